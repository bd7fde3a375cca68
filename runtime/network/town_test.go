package network

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/miekg/dns"
)

// zone is what the name server of these tests knows.
var zone = map[string]string{
	"a.example.":      "198.51.100.11",
	"www.a.example.":  "198.51.100.12",
	"b.example.":      "198.51.100.12",
	"c.example.":      "198.51.100.13",
	"inside.example.": privateAddr,
	"node.example.":   machineAddr,
}

// nameServer answers on the machine's loopback and counts the queries.
func nameServer(t *testing.T) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := new(atomic.Int64)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		count.Add(1)
		m := new(dns.Msg).SetReply(q)
		if addr, ok := zone[q.Question[0].Name]; !ok {
			m.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			rr, err := dns.NewRR(q.Question[0].Name + " 300 IN A " + addr)
			if err != nil {
				t.Error(err)
			}
			m.Answer = []dns.RR{rr}
		}
		_ = w.WriteMsg(m)
	})}
	var work sync.WaitGroup
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	work.Go(func() { _ = server.ActivateAndServe() })
	<-up
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		work.Wait()
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), count
}

// town is a world with hosts at public addresses that answer, and a node.
type town struct {
	*testing.T
	world space
	*Network
	server  netip.AddrPort
	queries *atomic.Int64
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{T: t, world: outside(t)}
	w.world.do(func() error {
		var errs []error
		for _, addr := range []string{"198.51.100.11/32", "198.51.100.12/32", "198.51.100.13/32"} {
			errs = append(errs, raise("lo", netip.MustParsePrefix(addr)))
		}
		return errors.Join(errs...)
	})
	w.world.serve(":80")
	w.server, w.queries = nameServer(t)
	w.Network = newNetwork(t, "node-a")
	w.Servers = []netip.AddrPort{w.server}
	return w
}

// resolve asks the computer's name server from inside and returns the first
// address, or why there is none.
func (s space) resolve(index int, name string) (string, error) {
	s.t.Helper()
	machine, _ := addresses(index)
	m, err := s.exchange("udp", netip.AddrPortFrom(machine.Addr(), dnsPort), name)
	if err != nil {
		return "", err
	}
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
		return "", errors.New(dns.RcodeToString[m.Rcode])
	}
	return m.Answer[0].(*dns.A).A.String(), nil
}

func (s space) exchange(network string, server netip.AddrPort, name string) (m *dns.Msg, err error) {
	s.t.Helper()
	var conn net.Conn
	if err := inNamespace(s.pid, func() (err error) {
		conn, err = net.DialTimeout(network, server.String(), time.Second)
		return err
	}); err != nil {
		return nil, err
	}
	defer conn.Close()
	client := &dns.Client{Net: network, Timeout: 3 * time.Second}
	m, _, err = client.ExchangeWithConn(new(dns.Msg).SetQuestion(name, dns.TypeA), &dns.Conn{Conn: conn})
	return m, err
}

// check compares what a computer reaches, at port 80, with what it may.
func (w *town) check(s space, want map[string]bool) {
	w.Helper()
	for addr, ok := range want {
		if err := s.reaches(addr + ":80"); (err == nil) != ok {
			w.Errorf("%s: %v, want reached %v", addr, err, ok)
		}
	}
}

// talk opens a connection that can be tried again and again.
func (w *town) talk(s space, addr string) (try func() error) {
	w.Helper()
	var l net.Listener
	w.world.do(func() (err error) {
		l, err = net.Listen("tcp", addr+":0")
		return err
	})
	accepted := make(chan net.Conn, 1)
	var work sync.WaitGroup
	work.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		accepted <- conn
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
	ns, err := OpenNamespace(s.pid)
	if err != nil {
		w.Fatal(err)
	}
	defer ns.Close()
	conn, err := ns.Dial(w.Context(), l.Addr().String())
	if err != nil {
		w.Fatal(err)
	}
	far := <-accepted // which may never hear that the other end is gone
	w.Cleanup(func() {
		conn.Close()
		far.Close()
		l.Close()
		work.Wait()
	})
	return func() error {
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		buf := []byte("x")
		if _, err := conn.Write(buf); err != nil {
			return err
		}
		_, err := conn.Read(buf)
		return err
	}
}

// expire has the time of an address be over, in the node's memory and, as it
// may be a little later, in the kernel.
func (w *town) expire(index int, addr string, inKernel bool) {
	w.Helper()
	if c := w.computers[index]; c != nil {
		c.mu.Lock()
		for i := range c.memory {
			c.memory[i].until = time.Now()
		}
		c.mu.Unlock()
	}
	if !inKernel {
		return
	}
	s, err := w.begin()
	if err != nil {
		w.Fatal(err)
	}
	set := newBooks(index).open
	set.Table = w.table()
	err = s.conn.SetDeleteElements(set, []nftables.SetElement{{Key: netip.MustParseAddr(addr).AsSlice()}})
	if err := errors.Join(err, s.commit()); err != nil {
		w.Fatal(err)
	}
}
