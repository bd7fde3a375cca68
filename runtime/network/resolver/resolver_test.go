package resolver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet(testing.TB) *slog.Logger { return slog.New(slog.DiscardHandler) }

// honest gives every name one address.
func honest(t *testing.T) say {
	return func(_ string, q *dns.Msg) [][]byte {
		return [][]byte{packed(t, reply(t, q, q.Question[0].Name+" 60 IN A 198.51.100.7"))}
	}
}

func silent(string, *dns.Msg) [][]byte { return nil }

func told(addr string, seconds int) Address {
	return Address{Addr: netip.MustParseAddr(addr), TTL: time.Duration(seconds) * time.Second}
}

func TestAnAnswerIsRelayed(t *testing.T) {
	u := newUpstream(t, honest(t))
	r := newRig(t, &guard{}, u)
	for _, network := range []string{"udp", "tcp"} {
		query := question("WWW.Example.com.", dns.TypeA)
		query.SetEdns0(4096, false)
		query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1e5b2c3d4e"}}
		m := r.ask(network, query)
		if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 || m.Question[0].Name != "WWW.Example.com." {
			t.Fatalf("%s: %v", network, m)
		}
		if got := r.guard.told("www.example.com"); !slices.Equal(got, []Address{told("198.51.100.7", 60)}) {
			t.Errorf("the guard was told %v", got)
		}
	}
	for _, q := range u.asked() {
		if with := q.IsEdns0(); with == nil || len(with.Option) != 0 {
			t.Errorf("the client's options were passed on: %v", q)
		}
	}
}

func TestARefusedNameIsAskedOfNobody(t *testing.T) {
	u := newUpstream(t, honest(t))
	r := newRig(t, &guard{admits: func(netip.Addr, string) Verdict { return Refused }}, u)
	m := r.ask("udp", question("example.com.", dns.TypeA))
	if m.Rcode != dns.RcodeNameError || m.IsEdns0() != nil {
		t.Errorf("without extensions: %v", m)
	}
	query := question("example.com.", dns.TypeA)
	query.SetEdns0(1232, false)
	m = r.ask("udp", query)
	if with := m.IsEdns0(); m.Rcode != dns.RcodeNameError || with == nil || len(with.Option) != 1 {
		t.Errorf("with extensions: %v", m)
	}
	if len(u.asked()) != 0 || r.guard.told("example.com") != nil {
		t.Error("the name was resolved")
	}
}

func TestTheGuardHasTheLastWord(t *testing.T) {
	verdict, err := Refused, error(nil)
	r := newRig(t, &guard{resolved: func(string) (Verdict, error) { return verdict, err }}, newUpstream(t, honest(t)))
	if m := r.ask("udp", question("example.com.", dns.TypeA)); m.Rcode != dns.RcodeNameError || len(m.Answer) != 0 {
		t.Errorf("refused meanwhile: %v", m)
	}
	r.guard.mu.Lock()
	verdict, err = Admitted, errors.New("no way")
	r.guard.mu.Unlock()
	if m := r.ask("udp", question("example.com.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0 {
		t.Errorf("not opened: %v", m)
	}
}

func TestOnlyTheChainOfANameCounts(t *testing.T) {
	u := newUpstream(t, func(_ string, q *dns.Msg) [][]byte {
		return [][]byte{packed(t, reply(t, q,
			"b.cdn.example. 30 IN A 198.51.100.2", "a.cdn.example. 30 IN CNAME B.cdn.example.", "example.com. 30 IN CNAME a.cdn.example.",
			"b.cdn.example. 30 IN CNAME example.com.", "other.example. 30 IN A 198.51.100.66", "b.cdn.example. 30 IN AAAA 2001:db8::1"))}
	})
	r := newRig(t, &guard{}, u)
	r.ask("udp", question("example.com.", dns.TypeA))
	if got := r.guard.told("example.com"); !slices.Equal(got, []Address{told("198.51.100.2", 30)}) {
		t.Errorf("the guard was told %v", got)
	}
}

func TestAnAnswerOpensOnlySoMuch(t *testing.T) {
	var records []string
	for i := range 3 * maxAddresses {
		records = append(records, fmt.Sprintf("example.com. 30 IN A 198.51.%d.%d", i/256, i%256))
	}
	u := newUpstream(t, func(by string, q *dns.Msg) [][]byte {
		m := reply(t, q, records...)
		if by == "udp" {
			m.Truncate(maxUDPBytes)
		}
		return [][]byte{packed(t, m)}
	})
	r := newRig(t, &guard{}, u)
	m := r.ask("udp", question("example.com.", dns.TypeA))
	if raw := packed(t, m); !m.Truncated || len(raw) > leastUDPBytes {
		t.Errorf("a datagram of %d bytes, cut: %v", len(raw), m.Truncated)
	}
	if m := r.ask("tcp", question("example.com.", dns.TypeA)); m.Truncated || len(m.Answer) != len(records) {
		t.Errorf("%d records over TCP, cut: %v", len(m.Answer), m.Truncated)
	}
	if got := len(r.guard.told("example.com")); got != maxAddresses {
		t.Errorf("the guard was told %d addresses", got)
	}
}

func TestForgeriesAreNotBelieved(t *testing.T) {
	u := newUpstream(t, func(_ string, q *dns.Msg) [][]byte {
		forged := func(change func(*dns.Msg)) []byte {
			m := reply(t, q, q.Question[0].Name+" 60 IN A 203.0.113.66")
			change(m)
			return packed(t, m)
		}
		return [][]byte{
			[]byte("x"), make([]byte, 600), make([]byte, 4000), packed(t, q),
			forged(func(m *dns.Msg) { m.Id++ }),
			forged(func(m *dns.Msg) { m.Question[0].Name = "other.example." }),
			forged(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }),
			forged(func(m *dns.Msg) { m.Question = nil }),
			packed(t, reply(t, q, q.Question[0].Name+" 60 IN A 198.51.100.7")),
		}
	})
	r := newRig(t, &guard{}, u)
	r.ask("udp", question("example.com.", dns.TypeA))
	if got := r.guard.told("example.com"); !slices.Equal(got, []Address{told("198.51.100.7", 60)}) {
		t.Errorf("the guard was told %v", got)
	}
}

func TestAnotherNameServerIsAsked(t *testing.T) {
	refuses := func(code int) say {
		return func(_ string, q *dns.Msg) [][]byte { return [][]byte{packed(t, new(dns.Msg).SetRcode(q, code))} }
	}
	lies := func(by string, q *dns.Msg) [][]byte { // cut by UDP, and another's answer by TCP
		m := reply(t, q)
		if m.Truncated = true; by == "tcp" {
			m.Id++
		}
		return [][]byte{packed(t, m)}
	}
	tooLong := func(by string, q *dns.Msg) [][]byte {
		m := reply(t, q)
		if m.Truncated = true; by == "tcp" {
			return [][]byte{make([]byte, maxReplyBytes+1)}
		}
		return [][]byte{packed(t, m)}
	}
	gone := newUpstream(t, silent)
	gone.addr = netip.AddrPortFrom(gone.addr.Addr(), 1) // nobody listens
	for what, first := range map[string]*upstream{
		"is silent": newUpstream(t, silent), "fails": newUpstream(t, refuses(dns.RcodeServerFailure)), "refuses": newUpstream(t, refuses(dns.RcodeRefused)),
		"lies": newUpstream(t, lies), "talks too much": newUpstream(t, tooLong), "is not there": gone,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, &guard{}, first, newUpstream(t, honest(t)))
			if m := r.ask("udp", question("example.com.", dns.TypeA)); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
				t.Errorf("%v", m)
			}
		})
	}
}

func TestWhatNobodyAnswersFails(t *testing.T) {
	for what, servers := range map[string][]*upstream{
		"no servers": nil, "silence": {newUpstream(t, silent), newUpstream(t, silent), newUpstream(t, silent)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			m := newRig(t, &guard{}, servers...).ask("udp", question("example.com.", dns.TypeA))
			if took := time.Since(begun); m.Rcode != dns.RcodeServerFailure || took > queryTime+time.Second {
				t.Errorf("%v after %v", m, took)
			}
		})
	}
}

func TestANameThatIsNotThere(t *testing.T) {
	u := newUpstream(t, func(_ string, q *dns.Msg) [][]byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		m.Ns = reply(t, q, "example.com. 300 IN SOA ns.example.com. root.example.com. 1 2 3 4 300").Answer
		return [][]byte{packed(t, m)}
	})
	if m := newRig(t, &guard{}, u).ask("udp", question("no.example.com.", dns.TypeA)); m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
		t.Errorf("%v", m)
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	u := newUpstream(t, honest(t))
	r := newRig(t, &guard{}, u)
	two := question("a.example.", dns.TypeA)
	two.Question = append(two.Question, two.Question[0])
	update := question("a.example.", dns.TypeSOA)
	update.Opcode = dns.OpcodeUpdate
	chaos := question("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	none := question("a.example.", dns.TypeA)
	none.Question = nil
	for _, tt := range []struct {
		query *dns.Msg
		want  int
	}{
		{two, dns.RcodeFormatError}, {none, dns.RcodeFormatError}, {update, dns.RcodeNotImplemented}, {chaos, dns.RcodeNotImplemented},
		{question("a.example.", dns.TypeAXFR), dns.RcodeNotImplemented},
	} {
		if m := r.ask("tcp", tt.query); m.Rcode != tt.want {
			t.Errorf("%v: %v", tt.query, m)
		}
	}
	response := question("a.example.", dns.TypeA)
	response.Response = true
	long := slices.Concat(packed(t, question("a.example.", dns.TypeA)), make([]byte, maxQueryBytes))
	for _, raw := range [][]byte{packed(t, response), long, {1, 2, 3}, {}} {
		r.isSilent("udp", raw)
		r.isSilent("tcp", raw)
	}
	if len(u.asked()) != 0 {
		t.Errorf("%v was passed on", u.asked())
	}
}

func TestStrangersAreNotAnswered(t *testing.T) {
	r := newRig(t, &guard{admits: func(client netip.Addr, _ string) Verdict {
		if client == netip.MustParseAddr("127.0.0.2") {
			return Stranger
		}
		return Admitted
	}}, newUpstream(t, honest(t)))
	r.isSilent("udp", packed(t, question("example.com.", dns.TypeA)))
	r.isSilent("tcp", packed(t, question("example.com.", dns.TypeA)))
	if _, err := r.from("127.0.0.3", "udp", question("example.com.", dns.TypeA), 5*time.Second); err != nil {
		t.Errorf("a client: %v", err)
	}
}

// TestAFloodHurtsNobodyElse has one client take all the seats it can get, of
// queries and of connections, while another is served.
func TestAFloodHurtsNobodyElse(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(hold) }) }
	defer free()
	// It waits at the guard, so that every seat taken stays taken.
	r := newRig(t, &guard{admits: func(client netip.Addr, _ string) Verdict {
		if client == netip.MustParseAddr("127.0.0.66") {
			<-hold
		}
		return Admitted
	}}, newUpstream(t, honest(t)))
	flood, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)}, r.udp.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	raw := packed(t, question("flood.example.", dns.TypeA))
	for range 3 * maxPerClient {
		_, _ = flood.Write(raw)
	}
	for range 2 * maxConnsPerClient {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}).Dial("tcp", r.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for i := range 50 {
		network := []string{"udp", "tcp"}[i%2]
		if _, err := r.from("127.0.0.2", network, question("example.com.", dns.TypeA), 5*time.Second); err != nil {
			t.Fatalf("another client, %s: %v", network, err)
		}
	}
	r.queries.mu.Lock()
	if got := r.queries.taken[netip.MustParseAddr("127.0.0.66")]; got != maxPerClient {
		t.Errorf("the flood has %d seats", got)
	}
	r.queries.mu.Unlock()
	free()
}

func TestSeatsAreGivenBack(t *testing.T) {
	s := newSeats(2, 3)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, step := range []struct {
		client netip.Addr
		want   bool
	}{{a, true}, {a, true}, {a, false}, {b, true}, {b, false}} {
		if got := s.take(step.client); got != step.want {
			t.Fatalf("%+v: %v", step, got)
		}
	}
	s.leave(a)
	s.leave(a)
	s.leave(b)
	if len(s.taken) != 0 || s.sum != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClosingWaitsForNobody(t *testing.T) {
	u := newUpstream(t, silent)
	r := newRig(t, &guard{}, u)
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = r.from("127.0.0.2", "udp", question("example.com.", dns.TypeA), time.Second) })
	defer waiting.Wait()
	for len(u.asked()) == 0 {
		time.Sleep(time.Millisecond)
	}
	begun := time.Now()
	r.close()
	if took := time.Since(begun); took > time.Second {
		t.Errorf("closing took %v", took)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(packed(f, question("example.com.", dns.TypeA)), packed(f, reply(f, question("example.com.", dns.TypeA), "example.com. 60 IN A 198.51.100.7")))
	f.Add([]byte{}, []byte{0, 1, 0x80})
	s := &Server{Options: Options{Guard: &guard{admits: func(netip.Addr, string) Verdict { return Refused }}, Log: quiet(f)}}
	f.Fuzz(func(t *testing.T, query, answer []byte) {
		if got := s.answer(loopback, query, datagram); len(got) > maxUDPBytes {
			t.Errorf("a datagram of %d bytes", len(got))
		}
		q, m := new(dns.Msg), new(dns.Msg)
		if q.Unpack(query) != nil || m.Unpack(answer) != nil || len(q.Question) != 1 {
			return
		}
		if found := addresses(m.Answer, q.Question[0].Name); len(found) > maxAddresses {
			t.Errorf("%d addresses", len(found))
		}
		answers(m, renew(q))
		if raw, err := relay(q, m).Pack(); err == nil && len(raw) > 1<<16 {
			t.Errorf("%d bytes", len(raw))
		}
	})
}
