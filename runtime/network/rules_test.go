package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func TestBlocksAreHeld(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	const a, b, c = "198.51.100.11", "198.51.100.12", "198.51.100.13"
	for _, tt := range []struct {
		allow, deny []string
		want        map[string]bool
	}{
		{nil, nil, map[string]bool{a: true, b: true, c: true, privateAddr: false}},
		{[]string{"198.51.100.12/31"}, nil, map[string]bool{a: false, b: true, c: true}},
		{[]string{a, "2001:db8::/32"}, nil, map[string]bool{a: true, b: false, c: false}},
		{nil, []string{"198.51.100.12/31"}, map[string]bool{a: true, b: false, c: false}},
		{nil, []string{"0.0.0.0/0"}, map[string]bool{a: false, b: false, c: false}},
		{[]string{"198.51.100.0/24"}, []string{b}, map[string]bool{a: true, b: false, c: true}},
		{[]string{b}, []string{"198.51.100.0/24"}, map[string]bool{a: false, b: false, c: false}},
		{[]string{"0.0.0.0/0"}, nil, map[string]bool{a: true, b: true, privateAddr: false, machineAddr: false, "203.0.113.2": false}},
		{[]string{privateAddr, "100.64.0.0/10"}, nil, map[string]bool{a: false, privateAddr: false}},
		{[]string{"2001:db8::/32"}, nil, map[string]bool{a: false, b: false}},
	} {
		w.attach(t, 7, s, egress(tt.allow, tt.deny))
		w.check(s, tt.want)
		if t.Failed() {
			t.Fatalf("with allow %v, deny %v", tt.allow, tt.deny)
		}
	}
}

func TestOtherNodesAreRefused(t *testing.T) {
	w := newTown(t)
	refuse := func(blocks ...netip.Prefix) {
		t.Helper()
		if err := w.Refuse(t.Context(), blocks); err != nil {
			t.Fatal(err)
		}
	}
	const a, b = "198.51.100.11", "198.51.100.12"
	refuse(netip.MustParsePrefix(a + "/32"))
	s := newSpace(t)
	w.attach(t, 7, s, egress([]string{"0.0.0.0/0"}, nil))
	w.check(s, map[string]bool{a: false, b: true})
	try := w.talk(s, b)
	refuse(netip.MustParsePrefix(b + "/32"))
	w.check(s, map[string]bool{a: true, b: false})
	if err := try(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection from before: %v", err)
	}
	refuse()
	w.check(s, map[string]bool{a: true, b: true})
}

func TestAChangeCutsWhatIsOpen(t *testing.T) {
	w := newTown(t)
	for what, tt := range map[string]struct {
		names        []string
		before, then runtime.Egress
		cut          bool
	}{
		"no longer allowed by block": {nil, egress([]string{"198.51.100.0/24"}, nil), egress([]string{"198.51.100.12"}, nil), true},
		"denied by block":            {nil, anywhere, egress(nil, []string{"198.51.100.11"}), true},
		"still allowed":              {nil, egress([]string{"198.51.100.0/24"}, nil), egress([]string{"198.51.100.11"}, nil), false},
		"no longer allowed by name":  {[]string{"a.example."}, egress([]string{"a.example"}, nil), egress([]string{"b.example"}, nil), true},
		"still allowed by name":      {[]string{"a.example."}, egress([]string{"a.example"}, nil), egress([]string{"*.a.example", "a.example"}, nil), false},
		"denied by name":             {[]string{"a.example."}, anywhere, egress(nil, []string{"a.example"}), true},
		"another name is denied":     {[]string{"a.example."}, anywhere, egress(nil, []string{"b.example"}), false},
	} {
		t.Run(what, func(t *testing.T) {
			w := *w
			w.T = t
			s := newSpace(t)
			w.attach(t, 7, s, tt.before)
			for _, name := range tt.names {
				if _, err := s.resolve(7, name); err != nil {
					t.Fatal(err)
				}
			}
			try := w.talk(s, "198.51.100.11")
			if err := try(); err != nil {
				t.Fatal(err)
			}
			w.attach(t, 7, s, tt.then)
			err := try()
			if tt.cut && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || !tt.cut && err != nil {
				t.Errorf("after the change: %v", err)
			}
			w.check(s, map[string]bool{"198.51.100.11": !tt.cut})
			if err := w.Detach(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDatagramsFromOutsideAreCutToo has a peer that goes on sending after the
// computer may not talk to it any more.
func TestDatagramsFromOutsideAreCutToo(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	w.attach(t, 7, s, anywhere)
	var peer, mine *net.UDPConn
	w.world.do(func() (err error) {
		peer, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(198, 51, 100, 11)})
		return err
	})
	defer peer.Close()
	s.do(func() (err error) {
		mine, err = net.DialUDP("udp4", nil, peer.LocalAddr().(*net.UDPAddr))
		return err
	})
	defer mine.Close()
	buf := make([]byte, 16)
	if _, err := mine.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, from, err := peer.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	arrives := func() error {
		if _, err := peer.WriteToUDPAddrPort([]byte("x"), from); err != nil {
			t.Fatal(err)
		}
		_ = mine.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, err := mine.Read(buf)
		return err
	}
	if err := arrives(); err != nil {
		t.Fatal(err)
	}
	w.attach(t, 7, s, egress(nil, []string{"198.51.100.11"}))
	if err := arrives(); err == nil {
		t.Error("a datagram from where it may not talk to arrived")
	}
}

// TestANodeTakesUpItsComputers closes a node and opens it anew while computers
// run: rules hold in between, names resolve again after, and what was resolved
// before is not forgotten until the rules change.
func TestANodeTakesUpItsComputers(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	rules := egress([]string{"a.example", "b.example"}, nil)
	w.attach(t, 7, s, rules)
	for _, name := range []string{"a.example.", "b.example."} {
		if _, err := s.resolve(7, name); err != nil {
			t.Fatal(err)
		}
	}
	try := w.talk(s, "198.51.100.11")
	w.expire(7, "198.51.100.11", true)
	port := w.resolver.Port
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := s.resolve(7, "a.example."); err == nil || time.Since(begun) > time.Second {
		t.Errorf("without a node: %v after %v", err, time.Since(begun))
	}
	w.check(s, map[string]bool{"198.51.100.11": false, "198.51.100.12": true, "198.51.100.13": false})
	w.Network = newNetwork(t, "node-a")
	w.Servers = []netip.AddrPort{w.server}
	w.attach(t, 7, s, rules)
	if w.resolver.Port != port {
		t.Errorf("the resolver moved from %d to %d", port, w.resolver.Port)
	}
	w.check(s, map[string]bool{"198.51.100.11": false, "198.51.100.12": true, "198.51.100.13": false})
	if err := try(); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
	if _, err := s.resolve(7, "a.example."); err != nil {
		t.Errorf("names after: %v", err)
	}
	w.check(s, map[string]bool{"198.51.100.11": true})
	w.attach(t, 7, s, egress([]string{"a.example"}, nil))
	w.check(s, map[string]bool{"198.51.100.11": true, "198.51.100.12": false})
}

// Somebody may flush the machine's rules, or a node may die before it has written
// them: its next life writes them anew.
func TestANodeTakesUpAComputerWithoutRules(t *testing.T) {
	w := newTown(t)
	s := newSpace(t)
	rules := egress([]string{"198.51.100.11"}, nil)
	w.attach(t, 7, s, rules)
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	c.DelTable(w.table())
	if err := errors.Join(c.Flush(), w.Close()); err != nil {
		t.Fatal(err)
	}
	w.Network = newNetwork(t, "node-a")
	w.Servers = []netip.AddrPort{w.server}
	w.attach(t, 7, s, rules)
	w.check(s, map[string]bool{"198.51.100.11": true, "198.51.100.12": false})
}

// TestAForeignSourceIsDropped has a computer take a neighbour's address, on a
// machine that does not look at sources by itself.
func TestAForeignSourceIsDropped(t *testing.T) {
	if err := sysctl("ipv4/conf/all/rp_filter", "2"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sysctl("ipv4/conf/all/rp_filter", "0"); err != nil {
			t.Error(err)
		}
	}()
	w := newTown(t)
	a, b := newSpace(t), newSpace(t)
	w.attach(t, 7, a, egress(nil, []string{"0.0.0.0/0"}))
	w.attach(t, 8, b, anywhere)
	_, mine := addresses(7)
	_, other := addresses(8)
	a.do(func() error { return raise(insideName, netip.PrefixFrom(other.Addr(), 32)) })
	from := func(source netip.Addr) (err error) {
		machine, _ := addresses(7)
		var conn net.Conn
		a.do(func() error {
			dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: source.AsSlice()}}
			conn, err = dialer.Dial("udp", netip.AddrPortFrom(machine.Addr(), dnsPort).String())
			return err
		})
		defer conn.Close()
		client := &dns.Client{Timeout: 300 * time.Millisecond}
		_, _, err = client.ExchangeWithConn(new(dns.Msg).SetQuestion("a.example.", dns.TypeA), &dns.Conn{Conn: conn})
		return err
	}
	if err := from(mine.Addr()); err != nil {
		t.Errorf("with its own: %v", err)
	}
	if err := from(other.Addr()); err == nil {
		t.Error("a name was resolved for a neighbour")
	}
}

// TestNothingOfAComputerIsLeft counts what is in the node's table.
func TestNothingOfAComputerIsLeft(t *testing.T) {
	w := newTown(t)
	a, b := newSpace(t), newSpace(t)
	w.attach(t, 8, b, anywhere)
	left := func() string {
		t.Helper()
		c, err := nftables.New()
		if err != nil {
			t.Fatal(err)
		}
		sets, err := c.GetSets(w.table())
		if err != nil {
			t.Fatal(err)
		}
		chains, err := w.chains()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(len(sets), chains)
	}
	before := left()
	rules := egress([]string{"a.example", "198.51.100.12"}, []string{"b.example", "198.51.100.13"})
	w.attach(t, 7, a, rules)
	if err := w.Detach(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != before {
		t.Errorf("after detach: %s, before %s", got, before)
	}
	w.attach(t, 7, a, rules)
	w.attach(t, 7, a, anywhere)
	if _, err := deleteLink(w.linkName(7)); err != nil { // as the kernel does with the last process
		t.Fatal(err)
	}
	if err := w.Sweep(func(int) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != before {
		t.Errorf("after a sweep: %s, before %s", got, before)
	}
	if _, err := a.resolve(7, "a.example."); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("names without a link: %v", err)
	}
}
