package network

import (
	"net/netip"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/runtime/network/resolver"
)

const (
	// maxFacts bounds what is remembered of the names that a computer resolved:
	// pairs of a name and an address. The oldest is forgotten for a new one.
	maxFacts = 512
	// An address may be connected to for as long as its record says, mostOpen
	// at most, and spareOpen longer: programs resolve first and connect later,
	// and one that resolves all the time does not change rules each time.
	mostOpen  = time.Hour
	spareOpen = time.Minute
)

// fact is that a name led to an address.
type fact struct {
	name  string // "" of an address that rules were found for after a restart
	addr  netip.Addr
	until time.Time // new connections to it may be opened
	// blocked is what the rules said of an address without a name.
	blocked bool
}

// memory is what a computer was told, the oldest first.
type memory []fact

// learn returns the memory with what a name led to just now.
func (m memory) learn(name string, found []resolver.Address, now time.Time) memory {
	was := map[netip.Addr]time.Time{}
	after := slices.DeleteFunc(slices.Clone(m), func(f fact) bool {
		again := f.name == name && slices.ContainsFunc(found, func(a resolver.Address) bool { return a.Addr == f.addr })
		if again {
			was[f.addr] = f.until
		}
		return again
	})
	for _, a := range found {
		until, wanted := was[a.Addr], now.Add(min(a.TTL, mostOpen))
		if until.Before(wanted) {
			until = wanted.Add(spareOpen)
		}
		after = append(after, fact{name: name, addr: a.Addr, until: until})
	}
	return after[max(0, len(after)-maxFacts):]
}

// named is the memory without what has no name: under other rules nobody can
// say what that would be.
func (m memory) named() memory {
	return slices.DeleteFunc(slices.Clone(m), func(f fact) bool { return f.name == "" })
}

// standing is what a policy makes of the addresses in a memory.
type standing struct {
	// open may be connected to, each for a time.
	open map[netip.Addr]time.Duration
	// known may go on being talked to: their time may be over, but a connection
	// that was opened in time is not cut for it.
	known map[netip.Addr]bool
	// blocked were resolved for names that are denied, and for no other.
	blocked map[netip.Addr]bool
}

// judge says where a policy leaves the addresses that names led to.
func (m memory) judge(p policy, now time.Time) standing {
	s := standing{open: map[netip.Addr]time.Duration{}, known: map[netip.Addr]bool{}, blocked: map[netip.Addr]bool{}}
	if !p.byName() {
		return s
	}
	fine := map[netip.Addr]bool{} // by one name at least
	for _, f := range m {
		if f.name == "" && !f.blocked || f.name != "" && p.admits(f.name) {
			fine[f.addr] = true
			if left := f.until.Sub(now); p.closed() && left > s.open[f.addr] {
				s.open[f.addr] = left
			}
		}
	}
	if p.closed() {
		s.known = fine
	}
	for _, f := range m {
		if !fine[f.addr] && (f.blocked || p.deny.has(f.name)) {
			s.blocked[f.addr] = true
		}
	}
	return s
}
