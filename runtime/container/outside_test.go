package container

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/bothy-computer/bothy/runtime/network/networktest"
)

// outside is an internet for tests: a namespace with some public addresses,
// which this machine reaches by a link, and a name server that knows them.
type outside struct {
	hosts  [3]string // each answers at port, with what it is sent
	port   int
	server netip.AddrPort
}

// newOutside makes one that goes with the test.
func newOutside(t *testing.T) *outside {
	t.Helper()
	world := networktest.NewOutside(t)
	o := &outside{hosts: world.Hosts}
	o.echo(t, world.Listen(t))
	o.name(t)
	return o
}

// echo answers each connection with what it is sent.
func (o *outside) echo(t *testing.T, listener net.Listener) {
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
