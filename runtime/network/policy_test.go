package network

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/network/resolver"
)

func egress(allow, deny []string) runtime.Egress {
	return runtime.Egress{Allowed: true, Allow: allow, Deny: deny}
}

func TestWhichNamesAPolicyAdmits(t *testing.T) {
	for _, tt := range []struct {
		allow, deny []string
		name        string
		want        bool
	}{
		{nil, nil, "example.com", true},
		{nil, nil, "", true},
		{nil, nil, `x\.example.com`, true},
		{nil, []string{"example.com"}, "example.com", false},
		{nil, []string{"example.com"}, "www.example.com", true},
		{nil, []string{"*.example.com"}, "example.com", true},
		{nil, []string{"*.example.com"}, "a.b.example.com", false},
		{nil, []string{"*.example.com"}, "notexample.com", true},
		{nil, []string{"192.0.2.0/24"}, "example.com", true},
		{nil, []string{"*.com"}, `x\.example.com`, false},
		{[]string{"example.com"}, nil, "example.com", true},
		{[]string{"example.com"}, nil, "www.example.com", false},
		{[]string{"*.example.com"}, nil, "a.b.example.com", true},
		{[]string{"*.example.com"}, nil, "example.com", false},
		{[]string{"*.example.com"}, nil, `x\.example.com`, false},
		{[]string{"*.example.com"}, []string{"a.example.com"}, "a.example.com", false},
		{[]string{"a.example.com"}, []string{"*.example.com"}, "a.example.com", false},
		{[]string{"*.example.com"}, []string{"a.example.com"}, "b.example.com", true},
		{[]string{"192.0.2.0/24"}, nil, "example.com", false},
		{[]string{"example.com"}, nil, "", false},
	} {
		if got := compile(egress(tt.allow, tt.deny)).admits(tt.name); got != tt.want {
			t.Errorf("allow %v, deny %v: %q is %v", tt.allow, tt.deny, tt.name, got)
		}
	}
}

func TestSpansHoldWhatBlocksHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.SampledFrom([]byte{0, 1, 2, 127, 128, 254, 255})
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")})
		})
		blocks := rapid.SliceOf(rapid.Custom(func(t *rapid.T) netip.Prefix {
			return netip.PrefixFrom(addr.Draw(t, "addr"), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
		})).Draw(t, "blocks")
		runs := spans(append(blocks, netip.MustParsePrefix("2001:db8::/32")))
		for i, run := range runs {
			if run.first.Compare(run.last) > 0 || i > 0 && runs[i-1].last.Next().Compare(run.first) >= 0 {
				t.Fatalf("%v of %v", runs, blocks)
			}
		}
		for range 20 {
			at := addr.Draw(t, "probe")
			want := slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(at) })
			got := slices.ContainsFunc(runs, func(r span) bool { return r.first.Compare(at) <= 0 && at.Compare(r.last) <= 0 })
			if got != want {
				t.Fatalf("%s is in %v: %v; in %v: %v", at, runs, got, blocks, want)
			}
		}
	})
}

// TestWhatIsRemembered drives a memory with answers at random and compares
// what a policy makes of it with the rules in words.
func TestWhatIsRemembered(t *testing.T) {
	names := []string{"a.example", "b.example", "c.other"}
	policies := []policy{
		compile(anywhere), compile(egress([]string{"a.example"}, nil)), compile(egress(nil, []string{"a.example"})),
		compile(egress([]string{"*.example"}, []string{"b.example"})), compile(egress([]string{"192.0.2.0/24"}, nil)),
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(policies).Draw(t, "policy")
		var m memory
		now := time.Unix(1e9, 0)
		last := map[string]map[netip.Addr]time.Time{} // until when, by name and address
		for range rapid.IntRange(0, 30).Draw(t, "answers") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			name := rapid.SampledFrom(names).Draw(t, "name")
			a := resolver.Address{
				Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(rapid.IntRange(1, 5).Draw(t, "addr"))}),
				TTL:  time.Duration(rapid.IntRange(0, 5000).Draw(t, "ttl")) * time.Second,
			}
			m = m.learn(name, []resolver.Address{a}, now)
			if last[name] == nil {
				last[name] = map[netip.Addr]time.Time{}
			}
			if wanted := now.Add(min(a.TTL, mostOpen)); last[name][a.Addr].Before(wanted) {
				last[name][a.Addr] = wanted.Add(spareOpen)
			}
		}
		s := m.judge(p, now)
		for i := range 6 {
			addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			var known, denied bool
			var open time.Duration
			for name, of := range last {
				if until, led := of[addr]; led && p.admits(name) {
					known, open = true, max(open, until.Sub(now), 0)
				} else if led && p.deny.has(name) {
					denied = true
				}
			}
			closed := p.closed() && p.byName()
			if s.known[addr] != (known && closed) || s.blocked[addr] != (denied && !known) || s.open[addr] != open && closed {
				t.Fatalf("%s under %+v: %+v; want known %v, denied %v, open %v", addr, p.rules, s, known, denied, open)
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	now := time.Unix(1e9, 0)
	for i := range 2 * maxFacts {
		m = m.learn(fmt.Sprint(i, ".example"), []resolver.Address{{Addr: netip.AddrFrom4([4]byte{198, 51, byte(i / 256), byte(i)})}}, now)
	}
	if len(m) != maxFacts || m[maxFacts-1].name != fmt.Sprint(2*maxFacts-1, ".example") {
		t.Errorf("%d facts, the last %+v", len(m), m[len(m)-1])
	}
}

func TestAddressesAreFoundBack(t *testing.T) {
	for index := 0; index <= MaxIndex; index += 251 {
		machine, end := addresses(index)
		if got, ok := computerAt(end.Addr()); !ok || got != index {
			t.Fatalf("%s is of %d, %v; want %d", end, got, ok, index)
		}
		if _, ok := computerAt(machine.Addr()); ok {
			t.Fatalf("%s is a computer", machine)
		}
	}
	for _, text := range []string{"127.0.0.1", "198.51.100.1", "::1", "::ffff:100.68.0.2"} {
		if _, ok := computerAt(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is a computer", text)
		}
	}
}
