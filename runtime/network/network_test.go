package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime"
)

// TestMain runs the tests in a network namespace of their own, so they build
// whatever machine they like and leave nothing.
func TestMain(m *testing.M) {
	const inside = "BOTHY_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		goleak.VerifyTestMain(m)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// space is a network namespace with a process in it.
type space struct {
	t   *testing.T
	pid int
}

func newSpace(t *testing.T) space {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := space{t: t, pid: cmd.Process.Pid}
	s.do(func() error { return raise("lo", netip.MustParsePrefix("127.0.0.1/8")) })
	return s
}

func (s space) do(what func() error) {
	s.t.Helper()
	if err := inNamespace(s.pid, what); err != nil {
		s.t.Fatal(err)
	}
}

// serve listens inside and reports who connected.
func (s space) serve(addr string) <-chan string {
	s.t.Helper()
	var l net.Listener
	s.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return report(s.t, l)
}

func report(t *testing.T, l net.Listener) <-chan string {
	seen, done := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case seen <- conn.RemoteAddr().(*net.TCPAddr).IP.String():
			default: // nobody wants to know
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return seen
}

func (s space) reaches(addr string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	ns, err := OpenNamespace(s.pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	conn, err := ns.Dial(ctx, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// link joins this namespace, the machine, to s.
func (s space) link(name, here, there string) {
	s.t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "up", PeerNamespace: netlink.NsPid(s.pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if _, err := deleteLink(name); err != nil {
			s.t.Error(err)
		}
	})
	if err := raise(name, netip.MustParsePrefix(here)); err != nil {
		s.t.Fatal(err)
	}
	s.do(func() error {
		return errors.Join(raise("up", netip.MustParsePrefix(there)),
			netlink.RouteAdd(&netlink.Route{Gw: netip.MustParsePrefix(here).Addr().AsSlice()}))
	})
}

// Addresses of the world that the tests build.
const (
	machineAddr = "203.0.113.1" // on the link to the outside
	publicAddr  = "198.51.100.10"
	privateAddr = "10.1.2.3" // beyond the same gateway
)

// outside is a gateway with a public and a private host behind it.
func outside(t *testing.T) space {
	t.Helper()
	if err := raise("lo", netip.MustParsePrefix("127.0.0.1/8")); err != nil {
		t.Fatal(err)
	}
	s := newSpace(t)
	s.link("up0", machineAddr+"/24", "203.0.113.2/24")
	s.do(func() error {
		return errors.Join(raise("lo", netip.MustParsePrefix(publicAddr+"/32")), raise("lo", netip.MustParsePrefix(privateAddr+"/32")))
	})
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("203.0.113.2").To4()}); err != nil {
		t.Fatal(err)
	}
	return s
}

func newNetwork(t *testing.T, node string) *Network {
	t.Helper()
	n, err := Open(Options{Node: node, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.Close(), Sweep(node, n.Log)); err != nil {
			t.Error(err)
		}
	})
	return n
}

var anywhere = runtime.Egress{Allowed: true}

func (n *Network) attached(t *testing.T, index int) space {
	t.Helper()
	s := newSpace(t)
	for range 2 {
		n.attach(t, index, s, anywhere)
	}
	return s
}

func (n *Network) attach(t *testing.T, index int, s space, e runtime.Egress) {
	t.Helper()
	if err := n.Attach(t.Context(), index, s.pid, e); err != nil {
		t.Fatal(err)
	}
}

func tables(t *testing.T) (names []string) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		names = append(names, table.Name)
	}
	return names
}

func forwarding(t *testing.T, link string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + link + "/forwarding")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestEgressOpensTheWayOutAndOnlyThat(t *testing.T) {
	world := outside(t)
	seen := world.serve(":80")
	here, err := net.Listen("tcp", ":81")
	if err != nil {
		t.Fatal(err)
	}
	report(t, here)
	n := newNetwork(t, "node-a")
	lonely := newSpace(t)
	if err := lonely.reaches(publicAddr + ":80"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("without egress: %v", err)
	}
	a, b := n.attached(t, 7), n.attached(t, 8)
	b.serve(":82")
	if err := a.reaches(publicAddr + ":80"); err != nil {
		t.Fatalf("with egress: %v", err)
	}
	if who := <-seen; who != machineAddr {
		t.Errorf("the outside saw %s, want the machine", who)
	}
	gateway, _ := addresses(7)
	_, other := addresses(8)
	for what, addr := range map[string]string{
		"the machine's address":   machineAddr + ":81",
		"its own link's end":      gateway.Addr().String() + ":81",
		"the machine's neighbour": "203.0.113.2:80",
		"a private address":       privateAddr + ":80",
		"another computer":        other.Addr().String() + ":82",
	} {
		begin := time.Now()
		if err := a.reaches(addr); err == nil || time.Since(begin) > 500*time.Millisecond {
			t.Errorf("%s: %v after %v", what, err, time.Since(begin))
		}
	}
	if sent, err := n.SentBytes(7); err != nil || sent < 100 {
		t.Errorf("sent %d bytes, %v", sent, err)
	}
}

func TestNobodyComesIn(t *testing.T) {
	world := outside(t)
	n := newNetwork(t, "node-a")
	a := n.attached(t, 7)
	a.serve(":82")
	_, inside := addresses(7)
	if err := world.reaches(inside.Addr().String() + ":82"); err == nil {
		t.Error("the outside reached a computer")
	}
	other := newSpace(t)
	other.link("up1", "192.0.2.1/24", "192.0.2.2/24")
	other.serve(":83")
	if err := world.reaches("192.0.2.2:83"); err == nil {
		t.Error("the machine became a router for others")
	}
}

func TestDetachTakesEverythingBack(t *testing.T) {
	world := outside(t)
	world.serve(":80")
	one, two := newNetwork(t, "node-a"), newNetwork(t, "node-b")
	a, b := one.attached(t, 7), two.attached(t, 8)
	for range 2 {
		if err := one.Detach(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.reaches(publicAddr + ":80"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("after detach: %v", err)
	}
	if err := b.reaches(publicAddr + ":80"); err != nil {
		t.Errorf("the other node's computer: %v", err)
	}
	if got := tables(t); len(got) != 1 || got[0] != two.tableName() {
		t.Errorf("rules left: %v", got)
	}
	if err := two.Sweep(func(index int) bool { return index == 8 }); err != nil {
		t.Fatal(err)
	}
	if err := b.reaches(publicAddr + ":80"); err != nil {
		t.Errorf("swept though kept: %v", err)
	}
	if err := Sweep("node-b", two.Log); err != nil {
		t.Fatal(err)
	}
	if got := tables(t); len(got) != 0 {
		t.Errorf("rules left: %v", got)
	}
	if got := forwarding(t, "up0"); got != "0" {
		t.Errorf("the uplink still forwards: %s", got)
	}
	if names, err := linkNames(linkPrefix); err != nil || len(names) != 0 {
		t.Errorf("links left: %v, %v", names, err)
	}
}

func TestALinkOfAnEarlierLifeIsReplaced(t *testing.T) {
	world := outside(t)
	world.serve(":80")
	n := newNetwork(t, "node-a")
	n.attached(t, 7)
	again := n.attached(t, 7)
	if err := again.reaches(publicAddr + ":80"); err != nil {
		t.Error(err)
	}
}

// TestALinkMayGoWhileItIsDeleted deletes links from several sides at once, as
// the kernel does when it takes a dead computer's namespace apart.
func TestALinkMayGoWhileItIsDeleted(t *testing.T) {
	s := newSpace(t)
	for range 40 {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "twice"}, PeerName: "peer", PeerNamespace: netlink.NsPid(s.pid)}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
		const sides = 4
		done := make(chan error, sides)
		for range sides {
			go func() { _, err := deleteLink("twice"); done <- err }()
		}
		for range sides {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	if names, err := linkNames("twice"); err != nil || len(names) != 0 {
		t.Errorf("links left: %v, %v", names, err)
	}
}

func TestDialTakesNoNames(t *testing.T) {
	s := newSpace(t)
	if err := s.reaches("localhost:80"); err == nil || !strings.Contains(err.Error(), "no IP address") {
		t.Errorf("got %v", err)
	}
	if err := s.reaches("127.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
}

func TestAddressesNeverMeet(t *testing.T) {
	seen := map[netip.Addr]int{}
	for index := range MaxIndex + 1 {
		machine, computer := addresses(index)
		for _, p := range []netip.Prefix{machine, computer} {
			if before, ok := seen[p.Addr()]; ok || !pool.Contains(p.Addr()) {
				t.Fatalf("%s of %d, also of %d", p, index, before)
			}
			seen[p.Addr()] = index
		}
		if machine.Masked() != computer.Masked() {
			t.Fatalf("%s and %s do not reach each other", machine, computer)
		}
	}
}

func TestParseServersReadsWhatACLibraryDoes(t *testing.T) {
	for text, want := range map[string]string{
		"# x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 127.0.0.53\nnameserver\noptions a\nnameserver x\n" +
			"nameserver 9.9.9.9 \nnameserver 8.8.8.8\n": "[127.0.0.53:53 [::1]:53 9.9.9.9:53]",
		"nameserver fe80::1%eth0": "[[fe80::1%eth0]:53]",
		"":                        "[127.0.0.1:53]",
	} {
		if got := fmt.Sprint(parseServers(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
