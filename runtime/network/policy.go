package network

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

// policy is what one computer may reach, in a form that can be asked.
type policy struct {
	rules runtime.Egress // as given
	allow ruleList
	deny  ruleList
}

// ruleList is one side of a policy.
type ruleList struct {
	blocks []netip.Prefix
	names  map[string]bool // a name, or *.name for all below it
}

// compile reads rules that are in their one form.
func compile(e runtime.Egress) policy {
	return policy{rules: e, allow: compileList(e.Allow), deny: compileList(e.Deny)}
}

func compileList(rules []string) ruleList {
	l := ruleList{names: map[string]bool{}}
	for _, rule := range rules {
		if block, err := netip.ParsePrefix(rule); err == nil {
			l.blocks = append(l.blocks, block)
		} else if addr, err := netip.ParseAddr(rule); err == nil {
			l.blocks = append(l.blocks, netip.PrefixFrom(addr, addr.BitLen()))
		} else {
			l.names[rule] = true
		}
	}
	return l
}

// byName reports whether names matter, and not addresses alone.
func (p policy) byName() bool { return len(p.allow.names)+len(p.deny.names) > 0 }

// closed reports whether only what is allowed may be reached.
func (p policy) closed() bool { return len(p.rules.Allow) > 0 }

// admits says whether a name may be resolved, and what it leads to be reached
// for its sake. The rule is on the name that was asked for, whatever its
// aliases.
func (p policy) admits(name string) bool {
	// A part with a dot inside is written with a backslash. What such a name is
	// below cannot be seen by its end, and no host has one.
	if strings.Contains(name, `\`) {
		return len(p.rules.Allow)+len(p.rules.Deny) == 0
	}
	return !p.deny.has(name) && (!p.closed() || p.allow.has(name))
}

func (l ruleList) has(name string) bool {
	if l.names[name] {
		return true
	}
	for {
		_, above, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if l.names["*."+above] {
			return true
		}
		name = above
	}
}

// span is a run of IPv4 addresses, both ends included.
type span struct{ first, last netip.Addr }

// spans are the IPv4 addresses of blocks in order, none twice and none
// touching, as the kernel takes them.
func spans(blocks []netip.Prefix) []span {
	var all []span
	for _, b := range blocks {
		if b.Addr().Is4() {
			all = append(all, span{b.Masked().Addr(), lastOf(b)})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(a.first.Compare(b.first), a.last.Compare(b.last)) })
	var out []span
	for _, s := range all {
		// Next of the highest address is none, which is before all others.
		if n := len(out) - 1; n >= 0 && (!out[n].last.Next().IsValid() || s.first.Compare(out[n].last.Next()) <= 0) {
			if s.last.Compare(out[n].last) > 0 {
				out[n].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(bytes)
}
