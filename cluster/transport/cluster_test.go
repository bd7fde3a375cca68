package transport

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/transport/links"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is some nodes' transports in one process, over links with faults.
type cluster struct {
	links *links.Network
	nodes []*node
	ahead atomic.Int64 // how far the identities' clocks are ahead, in nanoseconds

	mu      sync.Mutex
	addrs   map[state.NodeID]string
	members map[state.NodeID][32]byte
}

type node struct {
	*Transport
	id      state.NodeID
	ident   *identity.Identity
	metrics *prometheus.Registry
}

func newCluster(t testing.TB, n int) *cluster {
	t.Helper()
	c := emptyCluster()
	for range n {
		c.add(t, c.newMember(t))
	}
	return c
}

func emptyCluster() *cluster {
	return &cluster{links: links.New(), addrs: map[state.NodeID]string{}, members: map[state.NodeID][32]byte{}}
}

// newMember makes an identity that the cluster has given a certificate.
func (c *cluster) newMember(t testing.TB) *identity.Identity {
	t.Helper()
	id := openIdentity(t, c.now)
	if len(c.nodes) == 0 {
		must(t, id.Bootstrap())
	} else {
		first := c.nodes[0].ident
		token, _, err := first.NewToken([]string{"127.0.0.1:1"})
		must(t, err)
		a, err := first.Admit(id.Bearer())
		must(t, err)
		must(t, id.Accept(token, a))
	}
	c.enroll(id)
	return id
}

func (c *cluster) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *cluster) enroll(id *identity.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[id.Node()] = id.KeyHash()
}

func (c *cluster) expel(id state.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.members, id)
}

// add opens a transport for a member, and closes it with the test.
func (c *cluster) add(t testing.TB, id *identity.Identity, change ...func(*Options)) *node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	reg := prometheus.NewRegistry()
	o := Options{
		Identity: id, Dial: c.links.Dial(id.Node()), Registerer: reg,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Resolve: func(n state.NodeID) (string, bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			addr, ok := c.addrs[n]
			return addr, ok
		},
		Member: func(n state.NodeID, key [32]byte) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			have, ok := c.members[n]
			return ok && have == key
		},
	}
	for _, f := range change {
		f(&o)
	}
	tr, err := Open(ln, o)
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	c.mu.Lock()
	c.addrs[id.Node()] = ln.Addr().String()
	c.mu.Unlock()
	n := &node{Transport: tr, id: id.Node(), ident: id, metrics: reg}
	c.nodes = append(c.nodes, n)
	return n
}

func openIdentity(t testing.TB, now func() time.Time) *identity.Identity {
	t.Helper()
	id, err := identity.Open(identity.Options{Dir: t.TempDir(), Name: "node", Now: now})
	must(t, err)
	t.Cleanup(func() { must(t, id.Close()) })
	return id
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context that ends with the test at the latest.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a fact.
func eventually(t testing.TB, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !fact(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}
