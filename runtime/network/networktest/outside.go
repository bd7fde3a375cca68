// Package networktest has an internet for tests: a network namespace with
// public addresses, which this machine reaches by a link of its own.
package networktest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// blocks is how many there are of four addresses each, of TEST-NET-2 (RFC
	// 5737): test processes that run side by side have one each.
	blocks = 63
	// lifeTime ends a namespace whose test could not, in seconds.
	lifeTime = "1000"
)

// Outside is such an internet.
type Outside struct {
	Hosts [3]string // its addresses
	pid   int       // of a process in it
}

// NewOutside makes one that goes with the test.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	cmd := exec.Command("/bin/sleep", lifeTime)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // and the link with it
	o := &Outside{pid: cmd.Process.Pid}
	link := fmt.Sprintf("bt%d", os.Getpid())
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: link}, PeerName: "out", PeerNamespace: netlink.NsPid(o.pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil && !errors.Is(err, unix.ENODEV) {
			t.Error(err)
		}
	})
	if err := o.route(link); err != nil {
		t.Fatal(err)
	}
	o.within(t, o.settle)
	return o
}

// route leads one block of addresses, which no other test process has, to the
// link.
func (o *Outside) route(link string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return err
	}
	first := os.Getpid() % blocks
	for i := range blocks {
		base := 4 * ((first + i) % blocks)
		block := &net.IPNet{IP: net.IPv4(198, 51, 100, byte(base)), Mask: net.CIDRMask(30, 32)}
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: block, Scope: netlink.SCOPE_LINK})
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		for n := range o.Hosts {
			o.Hosts[n] = net.IPv4(198, 51, 100, byte(base+1+n)).String()
		}
		break
	}
	return errors.Join(err, os.WriteFile("/proc/sys/net/ipv4/conf/"+link+"/forwarding", []byte("1"), 0o644))
}

// settle gives the namespace its addresses, and a way to everybody.
func (o *Outside) settle() error {
	l, err := netlink.LinkByName("out")
	if err != nil {
		return err
	}
	errs := []error{netlink.LinkSetUp(l), netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})}
	for _, host := range o.Hosts {
		errs = append(errs, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(host), Mask: net.CIDRMask(32, 32)}}))
	}
	return errors.Join(errs...)
}

// Listen listens for TCP at a free port of all its addresses, until the test ends.
func (o *Outside) Listen(t testing.TB) net.Listener {
	t.Helper()
	var listener net.Listener
	o.within(t, func() (err error) {
		listener, err = net.Listen("tcp4", ":0")
		return err
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return listener
}

// within does something in the namespace, on a thread that is thrown away after.
func (o *Outside) within(t testing.TB, do func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		done <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", o.pid))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return do()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
