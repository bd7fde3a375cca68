package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Bounds of a computer's network rules. They travel with its record, so they
// are kept small.
const (
	MaxEgressRules = 256      // in each list
	MaxEgressBytes = 16 << 10 // of all rules together
	maxNameBytes   = 253      // of a domain
	maxLabelBytes  = 63       // of a part of one
)

// Egress says which connections a computer may open to the outside. A rule is
// an address, a CIDR, a domain, which is that name alone, or *.domain, which is
// every name below it and not itself. Private, link-local and the nodes' own
// addresses are refused whatever the rules say.
type Egress struct {
	Allowed bool     // false: none, and no name is resolved
	Allow   []string `json:",omitempty"` // nothing else, unless it is empty
	Deny    []string `json:",omitempty"` // wins over Allow
}

// Equal reports whether both allow the same by the same rules.
func (e Egress) Equal(o Egress) bool {
	return e.Allowed == o.Allowed && slices.Equal(e.Allow, o.Allow) && slices.Equal(e.Deny, o.Deny)
}

// UnmarshalJSON also reads what older nodes left beside a computer: true or
// false, without rules.
func (e *Egress) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("true")) || bytes.Equal(data, []byte("false")) {
		*e = Egress{Allowed: data[0] == 't'}
		return nil
	}
	type plain Egress // without this method
	return json.Unmarshal(data, (*plain)(e))
}

// RuleError is a rule that means nothing, or one too many.
type RuleError struct {
	Field string // such as allow[2]
	Why   string
}

func (e *RuleError) Error() string { return e.Field + ": " + e.Why }

// Unwrap makes it an ErrInvalid.
func (e *RuleError) Unwrap() error { return ErrInvalid }

// ParseEgress reads rules as people write them and returns them in their one
// form: lower case, no final dot, ASCII, no rule twice. The error is a
// *RuleError.
func ParseEgress(allowed bool, allow, deny []string) (Egress, error) {
	e, left := Egress{Allowed: allowed}, MaxEgressBytes
	for _, list := range []struct {
		field string
		from  []string
		into  *[]string
	}{{"allow", allow, &e.Allow}, {"deny", deny, &e.Deny}} {
		if len(list.from) > MaxEgressRules {
			return Egress{}, &RuleError{list.field, fmt.Sprintf("%d rules; the limit is %d", len(list.from), MaxEgressRules)}
		}
		for i, text := range list.from {
			field := fmt.Sprintf("%s[%d]", list.field, i)
			rule, err := parseRule(text)
			if err != nil {
				return Egress{}, &RuleError{field, err.Error()}
			}
			if left -= len(rule); left < 0 {
				return Egress{}, &RuleError{field, fmt.Sprintf("the rules up to here have more than %d bytes, which is the limit", MaxEgressBytes)}
			}
			if !slices.Contains(*list.into, rule) {
				*list.into = append(*list.into, rule)
			}
		}
	}
	return e, nil
}

func parseRule(text string) (string, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		if prefix.Addr().Is4In6() {
			return "", fmt.Errorf("write %.80q as IPv4", text)
		}
		if masked := prefix.Masked(); masked != prefix {
			return "", fmt.Errorf("%.80q names an address inside a network: write %s for the network or %s for the address", text, masked, prefix.Addr())
		}
		return prefix.String(), nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		switch {
		case addr.Is4In6():
			return "", fmt.Errorf("write %.80q as IPv4", text)
		case addr.Zone() != "":
			return "", fmt.Errorf("%.80q has a zone, which means nothing outside one machine", text)
		}
		return addr.String(), nil
	}
	if text == "*" {
		return "", fmt.Errorf(`"*" is everything: leave the list out, or set internetAccess to false`)
	}
	bare, below := strings.CutPrefix(text, "*.")
	name, err := domain(bare)
	if err != nil {
		return "", fmt.Errorf("%.80q is no CIDR, address or domain", text)
	}
	if below {
		name = "*." + name
	}
	return name, nil
}

// domain checks a name's form and returns it in lower case ASCII.
func domain(text string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", err
		}
	}
	if name == "" || len(name) > maxNameBytes {
		return "", fmt.Errorf("%d bytes are no name", len(name))
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return "", fmt.Errorf("%q is no part of a name", label)
		}
	}
	// A last part of digits alone is an address that somebody mistyped.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%q is no top-level domain", last)
	}
	return name, nil
}

func isLabel(s string) bool {
	legal := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' }
	return s != "" && len(s) <= maxLabelBytes && s[0] != '-' && s[len(s)-1] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !legal(r) })
}
