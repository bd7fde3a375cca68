package network

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestNamesOpenWhatTheyLeadTo(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	w.attach(t, 7, s, egress([]string{"*.a.example", "a.example", "inside.example", "node.example"}, []string{"no.a.example"}))
	w.check(s, map[string]bool{"198.51.100.11": false, "198.51.100.12": false})
	for name, want := range map[string]string{
		"a.example.": "198.51.100.11", "WWW.a.Example.": "", "b.example.": "NXDOMAIN", "no.a.example.": "NXDOMAIN", "example.": "NXDOMAIN",
		"inside.example.": privateAddr, "node.example.": machineAddr,
	} {
		addr, err := s.resolve(7, name)
		if want == "" {
			continue // the zone knows it in lower case alone
		}
		if addr != want && (err == nil || err.Error() != want) {
			t.Errorf("%s: %s, %v, want %s", name, addr, err, want)
		}
	}
	w.check(s, map[string]bool{"198.51.100.11": true, "198.51.100.12": false, "198.51.100.13": false, privateAddr: false, machineAddr: false})
	if addr, err := s.resolve(7, "www.a.example."); err != nil {
		t.Errorf("www: %s, %v", addr, err)
	}
	w.check(s, map[string]bool{"198.51.100.12": true})
	machine, _ := addresses(7)
	if m, err := s.exchange("tcp", netip.AddrPortFrom(machine.Addr(), dnsPort), "a.example."); err != nil || len(m.Answer) != 1 {
		t.Errorf("over TCP: %v, %v", m, err)
	}
	// A denied name that leads to where an allowed one leads does not close it.
	w.attach(t, 7, s, egress([]string{"www.a.example"}, []string{"b.example"}))
	w.check(s, map[string]bool{"198.51.100.11": false, "198.51.100.12": true})
}

func TestOthersNamesAreNotMine(t *testing.T) {
	w := newTown(t)
	a, b := newSpace(t), newSpace(t)
	rules := egress([]string{"a.example"}, nil)
	w.attach(t, 7, a, rules)
	w.attach(t, 8, b, rules)
	if _, err := a.resolve(7, "a.example."); err != nil {
		t.Fatal(err)
	}
	w.check(a, map[string]bool{"198.51.100.11": true})
	w.check(b, map[string]bool{"198.51.100.11": false})
}

func TestAConnectionOutlivesItsRecord(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	w.attach(t, 7, s, egress([]string{"a.example"}, nil))
	resolve := func() {
		t.Helper()
		if _, err := s.resolve(7, "a.example."); err != nil {
			t.Fatal(err)
		}
	}
	resolve()
	try := w.talk(s, "198.51.100.11")
	w.expire(7, "198.51.100.11", true)
	if err := try(); err != nil {
		t.Errorf("the old connection: %v", err)
	}
	w.check(s, map[string]bool{"198.51.100.11": false})
	for _, inKernel := range []bool{true, false} {
		if inKernel {
			resolve()
			w.check(s, map[string]bool{"198.51.100.11": true})
		}
		w.expire(7, "198.51.100.11", inKernel)
		resolve()
		w.check(s, map[string]bool{"198.51.100.11": true})
	}
}

func TestOtherNameServersWhereNamesMatter(t *testing.T) {
	w := newTown(t)
	for _, addr := range []string{":53", ":853"} {
		w.world.serve(addr)
	}
	s := newSpace(t)
	for _, tt := range []struct {
		allow, deny []string
		want        bool
	}{
		{nil, nil, true}, {[]string{"198.51.100.11"}, nil, true},
		{nil, []string{"b.example"}, false}, {[]string{"198.51.100.11", "b.example"}, nil, false},
	} {
		w.attach(t, 7, s, egress(tt.allow, tt.deny))
		for _, port := range []string{"53", "853"} {
			if err := s.reaches("198.51.100.11:" + port); (err == nil) != tt.want {
				t.Errorf("allow %v, deny %v, port %s: %v", tt.allow, tt.deny, port, err)
			}
		}
	}
}

// TestAFloodOfQueriesStaysSmall sends far more than a computer may, beside one
// that asks now and then.
func TestAFloodOfQueriesStaysSmall(t *testing.T) {
	w := newTown(t)
	a, b := newSpace(t), newSpace(t)
	w.attach(t, 7, a, anywhere)
	w.attach(t, 8, b, anywhere)
	machine, _ := addresses(7)
	var conn net.Conn
	a.do(func() (err error) {
		conn, err = net.Dial("udp", netip.AddrPortFrom(machine.Addr(), dnsPort).String())
		return err
	})
	defer conn.Close()
	raw, err := new(dns.Msg).SetQuestion("a.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		sent := 0
		for ; ; sent++ {
			select {
			case <-stop:
				done <- sent
				return
			default:
				_, _ = conn.Write(raw)
			}
		}
	}()
	begun := time.Now()
	for range 20 {
		if _, err := b.resolve(8, "b.example."); err != nil {
			t.Errorf("beside a flood: %v", err)
		}
	}
	close(stop)
	sent, most := <-done, int64(20+queryBurst+queriesPerSecond*(1+time.Since(begun)/time.Second))
	if got := w.queries.Load(); got > most || int64(sent) < 2*most {
		t.Errorf("of %d queries %d came through; the most is %d", sent, got, most)
	}
}
