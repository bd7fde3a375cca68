package resolver

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// upstream is a name server of a test. What it says is raw, so that it may lie.
type upstream struct {
	addr netip.AddrPort
	mu   sync.Mutex
	seen []*dns.Msg // by UDP and TCP
}

// say makes the answers to a query; by is udp or tcp.
type say func(by string, query *dns.Msg) [][]byte

func newUpstream(t *testing.T, answer say) *upstream {
	t.Helper()
	u := &upstream{}
	both := &Server{} // for its search of a port that is free for both
	if err := both.bind(); err != nil {
		t.Fatal(err)
	}
	udp, tcp := both.udp, both.tcp
	u.addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
	var work sync.WaitGroup
	t.Cleanup(func() { udp.Close(); tcp.Close(); work.Wait() })
	work.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, raw := range answer("udp", u.note(t, buf[:n])) {
				_, _ = udp.WriteToUDPAddrPort(raw, from)
			}
		}
	})
	work.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			if raw, err := readFrame(conn, 4096); err == nil {
				for _, raw := range answer("tcp", u.note(t, raw)) {
					_, _ = conn.Write(frame(raw))
				}
			}
			conn.Close()
		}
	})
	return u
}

func (u *upstream) note(t *testing.T, raw []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		t.Errorf("a query that nobody can read: %v", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, m)
	return m
}

func (u *upstream) asked() []*dns.Msg {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen
}

// reply is an honest answer with these records.
func reply(t testing.TB, query *dns.Msg, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	m.Compress = true
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// guard notes what it is told and says what a test wants.
type guard struct {
	admits   func(client netip.Addr, name string) Verdict
	resolved func(name string) (Verdict, error)
	mu       sync.Mutex
	found    map[string][]Address
}

func (g *guard) Admits(client netip.Addr, name string) Verdict {
	if g.admits == nil {
		return Admitted
	}
	return g.admits(client, name)
}

func (g *guard) told(name string) []Address {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.found[name]
}

func (g *guard) Resolved(_ netip.Addr, name string, found []Address) (Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found == nil {
		g.found = map[string][]Address{}
	}
	g.found[name] = found
	if g.resolved == nil {
		return Admitted, nil
	}
	return g.resolved(name)
}

// rig is a resolver with its name servers.
type rig struct {
	t *testing.T
	*Server
	guard *guard
	close func() // once
}

func newRig(t *testing.T, g *guard, servers ...*upstream) rig {
	t.Helper()
	s, err := Listen(Options{Guard: g, Log: quiet(t), Servers: func() (all []netip.AddrPort) {
		for _, u := range servers {
			all = append(all, u.addr)
		}
		return all
	}})
	if err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return rig{t, s, g, end}
}

// from asks as a client at an address of the loopback.
func (r rig) from(client, network string, query *dns.Msg, patience time.Duration) (*dns.Msg, error) {
	raw, err := r.raw(client, network, packed(r.t, query), patience)
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	if m.Id != query.Id {
		return nil, errors.New("the reply is to another query")
	}
	return m, nil
}

func (r rig) raw(client, network string, query []byte, patience time.Duration) ([]byte, error) {
	var local net.Addr = &net.UDPAddr{IP: net.ParseIP(client)}
	if network == "tcp" {
		local, query = &net.TCPAddr{IP: net.ParseIP(client)}, frame(query)
	}
	conn, err := (&net.Dialer{LocalAddr: local}).Dial(network, netip.AddrPortFrom(loopback, r.Port).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	if network == "tcp" {
		return readFrame(conn, 1<<16)
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	return buf[:n], err
}

func (r rig) ask(network string, query *dns.Msg) *dns.Msg {
	r.t.Helper()
	m, err := r.from("127.0.0.2", network, query, 10*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func question(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	return m.SetQuestion(name, kind)
}

// isSilent expects no answer at all.
func (r rig) isSilent(network string, query []byte) {
	r.t.Helper()
	_, err := r.raw("127.0.0.2", network, query, 200*time.Millisecond)
	var timeout net.Error
	if !errors.As(err, &timeout) && !errors.Is(err, io.EOF) {
		r.t.Errorf("got an answer, or %v", err)
	}
}
