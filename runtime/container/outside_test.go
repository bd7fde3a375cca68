package container

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// outside is an internet for tests: a namespace with some public addresses,
// which this machine reaches by a link, and a name server that knows them.
type outside struct {
	hosts  [3]string // each answers at port, with what it is sent
	port   int
	server netip.AddrPort
}

// newOutside makes one that goes with the test, or with its process.
func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{}
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // and the link with it
	link := fmt.Sprintf("bt%d", os.Getpid())
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: link}, PeerName: "out", PeerNamespace: netlink.NsPid(cmd.Process.Pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil && !errors.Is(err, unix.ENODEV) {
			t.Error(err)
		}
	})
	base := 4 * (os.Getpid() % 63) // test processes may run side by side
	for i := range o.hosts {
		o.hosts[i] = fmt.Sprintf("198.51.100.%d", base+1+i)
	}
	within(t, cmd.Process.Pid, func() error { return o.settle(t) })
	l, err := netlink.LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	_, block, err := net.ParseCIDR(fmt.Sprintf("198.51.100.%d/30", base))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.LinkSetUp(l), netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: block, Scope: netlink.SCOPE_LINK}),
		os.WriteFile("/proc/sys/net/ipv4/conf/"+link+"/forwarding", []byte("1"), 0o644)); err != nil {
		t.Fatal(err)
	}
	o.name(t)
	return o
}

// settle gives the namespace its addresses and a server at all of them.
func (o *outside) settle(t *testing.T) error {
	l, err := netlink.LinkByName("out")
	if err != nil {
		return err
	}
	errs := []error{netlink.LinkSetUp(l), netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})}
	for _, host := range o.hosts {
		errs = append(errs, netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(host), Mask: net.CIDRMask(32, 32)}}))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		return err
	}
	o.port = listener.Addr().(*net.TCPAddr).Port
	var work sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() { close(done); listener.Close(); work.Wait() })
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				work.Go(func() { <-done; conn.Close() })
				buf := make([]byte, 1)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(buf); err != nil {
						return
					}
				}
			})
		}
	})
	return nil
}

// name serves the names of the hosts.
func (o *outside) name(t *testing.T) {
	t.Helper()
	zone := map[string]string{"a.example.": o.hosts[0], "www.a.example.": o.hosts[1], "b.example.": o.hosts[2]}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.server = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if addr, ok := zone[strings.ToLower(q.Question[0].Name)]; !ok {
			m.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.ParseIP(addr)}}
		}
		_ = w.WriteMsg(m)
	})}
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	var work sync.WaitGroup
	work.Go(func() { _ = server.ActivateAndServe() })
	<-up
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		work.Wait()
	})
}

// within runs what in the network namespace of a process, on a thread that is
// thrown away after.
func within(t *testing.T, pid int, what func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		done <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return what()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
