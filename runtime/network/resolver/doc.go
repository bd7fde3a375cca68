// Package resolver answers the name queries of computers. It is a forwarder
// and no cache: it asks the machine's own name servers, and before a computer
// is told the addresses of a name, whoever guards the way out is told them.
//
//	server.go    one socket for all computers, each of which has its seats
//	answer.go    what is asked of the guard, and what a computer is told
//	upstream.go  asking the machine's name servers
//
// Everything that arrives, from computers and from name servers, is taken for
// hostile: sizes, times and numbers are bounded, queries are written anew and
// never passed on as they came.
package resolver

import (
	"net/netip"
	"time"
)

// Guard decides for clients, which are known by their addresses.
type Guard interface {
	// Admits says whether a client may ask for a name, which is in lower case
	// and without its final dot, in the presentation of zone files.
	Admits(client netip.Addr, name string) Verdict
	// Resolved is told the addresses of a name before the client is. What it
	// returns is its mind as of then.
	Resolved(client netip.Addr, name string, found []Address) (Verdict, error)
}

// Verdict is what a guard says to a query.
type Verdict int

const (
	Stranger Verdict = iota // nobody we answer
	Refused
	Admitted
)

// Address is what a name led to, and for how long its owner says so.
type Address struct {
	Addr netip.Addr
	TTL  time.Duration
}
