package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// MaxServers is how many name servers are asked for one name, as in C libraries.
const MaxServers = 3

const (
	// tryTime is how long a name server may take.
	tryTime = 2 * time.Second
	// maxReplyBytes bounds what a name server may send.
	maxReplyBytes = 16 << 10
)

var errNoServers = errors.New("the machine has no name servers")

// ask asks the name servers in turn until one knows. Each time from another
// port and with another number, so that nobody elsewhere can answer for them.
func (s *Server) ask(ctx context.Context, query *dns.Msg) (*dns.Msg, error) {
	servers := s.Servers()
	var (
		found *dns.Msg
		errs  = []error{errNoServers}
	)
	for i, server := range servers[:min(len(servers), MaxServers)] {
		if i == 0 {
			errs = nil
		}
		reply, err := try(ctx, server, query)
		if err != nil {
			errs = append(errs, fmt.Errorf("name server %d: %w", i+1, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		found = reply
		if code := reply.Rcode; code != dns.RcodeServerFailure && code != dns.RcodeRefused && code != dns.RcodeNotImplemented {
			break
		}
	}
	if found == nil {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// try asks one server, again over TCP when the answer was cut.
func try(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	reply, err := exchange(ctx, "udp", server, query)
	if err == nil && reply.Truncated {
		reply, err = exchange(ctx, "tcp", server, query)
	}
	return reply, err
}

func exchange(ctx context.Context, network string, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	question := renew(query)
	packed, err := question.Pack()
	if err != nil {
		return nil, fmt.Errorf("write query: %w", err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// A deadline in the past also ends a read that has begun.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		packed = frame(packed)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	if network == "tcp" {
		raw, err := readFrame(conn, maxReplyBytes)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(raw); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if !answers(reply, question) {
			return nil, errors.New("the answer is to another question")
		}
		return reply, nil
	}
	return await(conn, question)
}

// await reads datagrams until one is the answer: others may have been sent by
// anybody, and say nothing about the server.
func await(conn net.Conn, question *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, maxUDPBytes)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(buf[:n]); err != nil && !reply.Truncated {
			continue
		}
		if answers(reply, question) {
			return reply, nil
		}
	}
}

// renew writes the query anew, with nothing of the client's but the question
// and what it wants to know of its proof.
func renew(query *dns.Msg) *dns.Msg {
	fresh := new(dns.Msg)
	fresh.Id, fresh.RecursionDesired = dns.Id(), true
	fresh.CheckingDisabled, fresh.AuthenticatedData = query.CheckingDisabled, query.AuthenticatedData
	fresh.Question = query.Question
	with := query.IsEdns0()
	fresh.SetEdns0(maxUDPBytes, with != nil && with.Do())
	return fresh
}

func answers(reply, question *dns.Msg) bool {
	if reply.Id != question.Id || !reply.Response || reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], question.Question[0]
	return strings.EqualFold(got.Name, want.Name) && got.Qtype == want.Qtype && got.Qclass == want.Qclass
}
