package resolver

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// queryTime bounds one query, whatever the name servers do.
	queryTime = 5 * time.Second
	// maxAliases bounds a chain of aliases, and maxAddresses what one answer
	// may open.
	maxAliases   = 16
	maxAddresses = 64
	// Datagrams from leastUDPBytes, which every client takes, to maxUDPBytes,
	// which fits every network, by what the client says.
	leastUDPBytes = 512
	maxUDPBytes   = 1232
)

// carrier is how a reply goes back.
type carrier int

const (
	datagram carrier = iota
	stream
)

// answer is the whole way of a query; nil when it deserves none.
func (s *Server) answer(client netip.Addr, raw []byte, by carrier) []byte {
	query := new(dns.Msg)
	if query.Unpack(raw) != nil || query.Response {
		return nil
	}
	reply := s.replyTo(client, query)
	if reply == nil {
		return nil
	}
	reply.Compress = true
	if by == datagram {
		reply.Truncate(roomOf(query))
	}
	packed, err := reply.Pack()
	if err != nil {
		if packed, err = failure(query, dns.RcodeServerFailure).Pack(); err != nil {
			return nil
		}
	}
	return packed
}

func (s *Server) replyTo(client netip.Addr, query *dns.Msg) *dns.Msg {
	if len(query.Question) != 1 {
		if s.Guard.Admits(client, "") == Stranger {
			return nil
		}
		return failure(query, dns.RcodeFormatError)
	}
	asked := query.Question[0]
	name := plain(asked.Name)
	switch s.Guard.Admits(client, name) {
	case Stranger:
		return nil
	case Refused:
		return refusal(query)
	case Admitted:
	}
	if query.Opcode != dns.OpcodeQuery || asked.Qclass != dns.ClassINET || asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR {
		return failure(query, dns.RcodeNotImplemented)
	}
	ctx, cancel := context.WithTimeout(s.life, queryTime)
	defer cancel()
	found, err := s.ask(ctx, query)
	if err != nil {
		s.Log.Debug("name not resolved", "err", err)
		return failure(query, dns.RcodeServerFailure)
	}
	verdict, err := s.Guard.Resolved(client, name, addresses(found.Answer, asked.Name))
	switch {
	case err != nil:
		s.Log.Warn("addresses of a name not admitted", "client", client.String(), "err", err)
		return failure(query, dns.RcodeServerFailure)
	case verdict == Refused:
		return refusal(query)
	case verdict == Stranger:
		return nil
	}
	return relay(query, found)
}

// plain is a name as rules write it.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// relay is what the name servers found, as a reply to this query.
func relay(query, found *dns.Msg) *dns.Msg {
	reply := failure(query, found.Rcode)
	if found.Rcode > 0xf { // needs an extension of which we know nothing
		reply.Rcode = dns.RcodeServerFailure
	}
	reply.AuthenticatedData = found.AuthenticatedData
	reply.Answer, reply.Ns = found.Answer, found.Ns
	for _, rr := range found.Extra {
		// These two speak of the message that they came in.
		if kind := rr.Header().Rrtype; kind != dns.TypeOPT && kind != dns.TypeTSIG {
			reply.Extra = append(slices.Clip(reply.Extra), rr)
		}
	}
	return reply
}

// failure is a reply without records.
func failure(query *dns.Msg, code int) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetRcode(query, code)
	reply.RecursionAvailable, reply.CheckingDisabled = true, query.CheckingDisabled
	reply.AuthenticatedData = false
	if len(reply.Question) > 1 {
		reply.Question = reply.Question[:1]
	}
	if with := query.IsEdns0(); with != nil {
		reply.SetEdns0(maxUDPBytes, with.Do())
	}
	return reply
}

// refusal says that there is no such name. REFUSED would be the word for it,
// but some C libraries wait for another answer then, and others ask again; a
// name that does not exist fails at once everywhere. Whoever understands
// extended errors is told the reason.
func refusal(query *dns.Msg) *dns.Msg {
	reply := failure(query, dns.RcodeNameError)
	if with := reply.IsEdns0(); with != nil {
		with.Option = append(with.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeBlocked, ExtraText: "network access"})
	}
	return reply
}

// roomOf is how long a datagram the client takes.
func roomOf(query *dns.Msg) int {
	size := leastUDPBytes
	if with := query.IsEdns0(); with != nil {
		size = int(with.UDPSize())
	}
	return min(max(size, leastUDPBytes), maxUDPBytes)
}

// addresses are the IPv4 addresses that the name leads to by its aliases;
// records of other names, which nobody asked for, are left out.
func addresses(answer []dns.RR, name string) (found []Address) {
	owners := map[string]bool{plain(name): true}
	for range maxAliases {
		before := len(owners)
		for _, rr := range answer {
			if alias, ok := rr.(*dns.CNAME); ok && owners[plain(alias.Hdr.Name)] {
				owners[plain(alias.Target)] = true
			}
		}
		if len(owners) == before {
			break
		}
	}
	for _, rr := range answer {
		a, ok := rr.(*dns.A)
		if !ok || !owners[plain(a.Hdr.Name)] {
			continue
		}
		if addr, ok := netip.AddrFromSlice(a.A.To4()); ok && len(found) < maxAddresses {
			found = append(found, Address{Addr: addr, TTL: time.Duration(a.Hdr.Ttl) * time.Second})
		}
	}
	return found
}
