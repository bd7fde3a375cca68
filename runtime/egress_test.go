package runtime_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

func TestRulesHaveOneForm(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.0/24":          "203.0.113.0/24",
		"203.0.113.7":             "203.0.113.7",
		"0.0.0.0/0":               "0.0.0.0/0",
		"2001:DB8::/32":           "2001:db8::/32",
		"2001:db8:0:0::1":         "2001:db8::1",
		"Example.COM.":            "example.com",
		"*.Example.com":           "*.example.com",
		"localhost":               "localhost",
		"_dmarc.example.com":      "_dmarc.example.com",
		"bücher.example":          "xn--bcher-kva.example",
		"*.BÜCHER.example":        "*.xn--bcher-kva.example",
		"1.2.3.example":           "1.2.3.example",
		"203.0.113.7/24":          "",
		"203.0.113.0/33":          "",
		"203.0.113.007":           "",
		"203.0.113":               "",
		"256.1.1.1":               "",
		"::ffff:203.0.113.7":      "",
		"::ffff:203.0.113.0/120":  "",
		"fe80::1%eth0":            "",
		"*":                       "",
		"*.":                      "",
		"*.203.0.113.7":           "",
		"*.*.example.com":         "",
		"a.*.example.com":         "",
		".example.com":            "",
		"example..com":            "",
		"-example.com":            "",
		"example.com:443":         "",
		"https://example.com":     "",
		"foo bar":                 "",
		"":                        "",
		"exa\x00mple.com":         "",
		`x\.example.com`:          "",
		strings.Repeat("a", 64):   "",
		strings.Repeat("a.", 200): "",
	} {
		got, err := runtime.ParseEgress(true, []string{text}, nil)
		if want == "" {
			var rule *runtime.RuleError
			if !errors.As(err, &rule) || rule.Field != "allow[0]" || !errors.Is(err, runtime.ErrInvalid) {
				t.Errorf("%q: %v, %v", text, got.Allow, err)
			}
			continue
		}
		if err != nil || !slices.Equal(got.Allow, []string{want}) {
			t.Errorf("%q: %v, %v; want %s", text, got.Allow, err, want)
		}
	}
}

func TestAWrongRuleIsNamed(t *testing.T) {
	for _, tt := range []struct {
		allow, deny []string
		want        string
	}{
		{[]string{"a.example", "b.example", "foo bar"}, nil, `allow[2]: "foo bar" is no CIDR, address or domain`},
		{nil, []string{"10.1.2.3/8"}, `deny[0]: "10.1.2.3/8" names an address inside a network: write 10.0.0.0/8 for the network or 10.1.2.3 for the address`},
		{nil, make([]string, runtime.MaxEgressRules+1), "deny: 257 rules; the limit is 256"},
		{slices.Repeat([]string{strings.Repeat("a.", 120) + "example"}, 100), nil, "allow[66]: the rules up to here have more than 16384 bytes, which is the limit"},
	} {
		if _, err := runtime.ParseEgress(true, tt.allow, tt.deny); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestARuleIsKeptOnce(t *testing.T) {
	got, err := runtime.ParseEgress(true, []string{"B.example", "a.example", "b.example."}, nil)
	if err != nil || !slices.Equal(got.Allow, []string{"b.example", "a.example"}) {
		t.Errorf("%v, %v", got.Allow, err)
	}
}

// TestOldRecordsLoad reads what nodes wrote when egress was on or off.
func TestOldRecordsLoad(t *testing.T) {
	for text, want := range map[string]runtime.Egress{
		`{"ID":"a","Egress":true}`:                              {Allowed: true},
		`{"ID":"a","Egress":false}`:                             {},
		`{"ID":"a"}`:                                            {},
		`{"Egress":{"Allowed":true,"Deny":["a.example"]}}`:      {Allowed: true, Deny: []string{"a.example"}},
		`{"Egress":{"Allowed":false,"Allow":["192.0.2.0/24"]}}`: {Allow: []string{"192.0.2.0/24"}},
	} {
		var spec runtime.Spec
		if err := json.Unmarshal([]byte(text), &spec); err != nil || !spec.Egress.Equal(want) {
			t.Errorf("%s: %+v, %v", text, spec.Egress, err)
		}
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var again runtime.Spec
		if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, spec) {
			t.Errorf("%s became %+v, %v", data, again, err)
		}
	}
	var spec runtime.Spec
	if err := json.Unmarshal([]byte(`{"Egress":7}`), &spec); err == nil {
		t.Error("a number was read as egress")
	}
}

// settled is the law of every rule that was taken: its form is its own form.
func settled(t interface{ Errorf(string, ...any) }, text string) {
	first, err := runtime.ParseEgress(true, []string{text}, nil)
	if err != nil {
		return
	}
	second, err := runtime.ParseEgress(true, first.Allow, nil)
	if err != nil || !second.Equal(first) {
		t.Errorf("%q became %v, and that %v, %v", text, first.Allow, second.Allow, err)
	}
	for _, r := range first.Allow[0] {
		if r <= ' ' || r > '~' || r >= 'A' && r <= 'Z' || r == '\\' {
			t.Errorf("%q became %q", text, first.Allow[0])
		}
	}
}

func TestEveryRuleSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.IntRange(0, 300)
		text := rapid.OneOf(
			rapid.StringMatching(`(\*\.)?([a-zA-Z0-9_-]{1,8}\.){0,4}[a-zA-Z0-9é]{1,5}\.?`),
			rapid.StringMatching(`[0-9a-f:]{2,20}(/[0-9]{1,3})?`),
			rapid.Custom(func(t *rapid.T) string {
				return fmt.Sprintf("%d.%d.%d.%d/%d", octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d"), rapid.IntRange(0, 40).Draw(t, "bits"))
			}),
			rapid.String(),
		).Draw(t, "rule")
		settled(t, text)
	})
}

func FuzzParseEgress(f *testing.F) {
	for _, seed := range []string{"203.0.113.0/24", "*.example.com", "bücher.example", "::1", "*", "foo bar", "1.2.3.4.", "xn--", "a\u00adb.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { settled(t, text) })
}
