// Package clustertest runs whole clusters in one process: real nodes with real
// transports and disks, over links that a test cuts, delays and heals.
package clustertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/transport/links"
)

// Patience is how long a test waits for something that must happen.
const Patience = 30 * time.Second

// Account is the id of the account that a test's cluster begins with.
const Account state.AccountID = "acct_first"

// Options changes a test's cluster.
type Options struct {
	// Node changes the options of the node with this number, at each start.
	Node func(i int, o *cluster.Options)
	// Timing replaces Timing() below where set.
	Timing *cluster.Timing
	// Dir holds the nodes' data directories; "" is a directory of the test.
	Dir string
}

// Timing is the timing of tests: elections as in production, leases a quarter.
func Timing() cluster.Timing {
	d := cluster.DefaultTiming()
	for _, f := range []*time.Duration{&d.Renew, &d.Act, &d.Freeze, &d.Hold, &d.Expire} {
		*f /= 4
	}
	d.Duty = 100 * time.Millisecond
	d.VoterDead = 3 * time.Second
	return d
}

// Nodes is a cluster under test. Its methods fail the test rather than return
// errors, except where a test wants one.
type Nodes struct {
	t     testing.TB
	o     Options
	dir   string
	Links *links.Network

	mu    sync.Mutex
	nodes []*Node
}

// Node is one node: its data directory, and its Cluster while it runs.
type Node struct {
	*cluster.Cluster
	Index    int
	Name     string
	Dir      string
	ID       state.NodeID
	Metrics  *prometheus.Registry
	identity *identity.Identity
}

// New starts n nodes and waits until all of them serve. They end with the test.
func New(t testing.TB, n int, o Options) *Nodes {
	t.Helper()
	c := &Nodes{t: t, o: o, dir: o.Dir, Links: links.New()}
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	t.Cleanup(c.closeAll)
	for range n {
		c.Add()
	}
	for i := range n {
		c.WaitReady(i)
	}
	return c
}

// Add starts one more node, which joins with a token of the first that runs.
func (c *Nodes) Add() *Node {
	c.t.Helper()
	n, err := c.TryAdd(fmt.Sprintf("n%d", len(c.all())+1))
	if err != nil {
		c.t.Fatalf("add a node: %v", err)
	}
	return n
}

// TryAdd is Add under a name, for nodes that may be refused.
func (c *Nodes) TryAdd(name string) (*Node, error) {
	c.t.Helper()
	n := &Node{Index: len(c.all()), Name: name, Dir: filepath.Join(c.dir, fmt.Sprintf("%d-%s", len(c.all())+1, name))}
	var token *identity.Token
	if first := c.running(); first != nil {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		t, err := first.NewToken(ctx)
		if err != nil {
			return nil, err
		}
		token = &t
	}
	if err := c.open(n, token); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	return n, nil
}

// open opens a node's identity and cluster, on a new port.
func (c *Nodes) open(n *Node, token *identity.Token) (err error) {
	n.identity, err = identity.Open(identity.Options{Dir: n.Dir, Name: n.Name})
	if err != nil {
		return err
	}
	n.ID = n.identity.Node()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.identity.Close()
		return err
	}
	n.Metrics = prometheus.NewRegistry()
	o := cluster.Options{
		Identity: n.identity, Listener: ln, Token: token, Registerer: n.Metrics,
		Addrs:  state.NodeAddrs{Peer: ln.Addr().String(), HTTP: "127.0.0.1:1", Version: "test"},
		First:  first(),
		Dial:   c.Links.Dial(n.ID),
		Timing: Timing(), Log: c.logger(n.Name),
		BallastBytes: 1 << 20, MinFreeBytes: 1 << 20, CacheBytes: 4 << 20,
	}
	if c.o.Timing != nil {
		o.Timing = *c.o.Timing
	}
	if c.o.Node != nil {
		c.o.Node(n.Index, &o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if n.Cluster, err = cluster.Open(ctx, o); err != nil {
		n.identity.Close()
		return err
	}
	return nil
}

// first is what a test's cluster begins with.
func first() cluster.First {
	return cluster.First{
		Account: state.Account{ID: Account, Name: "first", Unbilled: true},
		User:    state.User{ID: "user_first", Account: Account, Name: "first", Role: "owner"},
		Key:     state.Key{ID: "key_first", Account: Account, User: "user_first", Hash: "first"},
	}
}

// logger writes to the file named by CLUSTERTEST_LOG, or nowhere: a test that
// has failed is run again with it.
func (c *Nodes) logger(name string) *slog.Logger {
	path := os.Getenv("CLUSTERTEST_LOG")
	if path == "" {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatalf("open the log: %v", err)
	}
	c.t.Cleanup(func() { f.Close() })
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})).With("on", name, "test", c.t.Name())
}

func (c *Nodes) all() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Node(nil), c.nodes...)
}

// Len is how many nodes there are, running or not.
func (c *Nodes) Len() int { return len(c.all()) }

// Node returns a node by its number, from 0.
func (c *Nodes) Node(i int) *Node { return c.all()[i] }

// IDs lists the nodes' ids.
func (c *Nodes) IDs() (ids []state.NodeID) {
	for _, n := range c.all() {
		ids = append(ids, n.ID)
	}
	return ids
}

func (c *Nodes) running() *Node {
	for _, n := range c.all() {
		if n.Cluster != nil {
			return n
		}
	}
	return nil
}

// Stop closes a node as an orderly end of its process does.
func (c *Nodes) Stop(i int) {
	c.t.Helper()
	n := c.Node(i)
	if n.Cluster == nil {
		return
	}
	if err := n.Close(); err != nil {
		c.t.Errorf("close %s: %v", n.Name, err)
	}
	n.Cluster = nil
	if err := n.identity.Close(); err != nil {
		c.t.Errorf("close the identity of %s: %v", n.Name, err)
	}
}

// Kill ends a node as the end of its machine does, as far as the others see:
// it falls silent at once, and only then is it closed.
func (c *Nodes) Kill(i int) {
	c.t.Helper()
	n := c.Node(i)
	c.Links.Isolate(n.ID, c.IDs()...)
	c.Stop(i)
}

// Start starts a node that was stopped or killed, on a new port, and heals the
// links of all.
func (c *Nodes) Start(i int) *Node {
	c.t.Helper()
	c.Links.Heal()
	n := c.Node(i)
	if err := c.open(n, nil); err != nil {
		c.t.Fatalf("start %s: %v", n.Name, err)
	}
	return n
}

// Isolate cuts a node off from all others; it goes on running.
func (c *Nodes) Isolate(i int) { c.Links.Isolate(c.Node(i).ID, c.IDs()...) }

// Heal makes all links whole.
func (c *Nodes) Heal() { c.Links.Heal() }

func (c *Nodes) closeAll() {
	c.Links.Heal()
	for _, n := range c.all() {
		c.Stop(n.Index)
	}
}
