// Package links is a network with faults, for tests: every connection between
// two nodes goes through it and can be cut, delayed and healed, in each
// direction alone. It takes the place of a transport's Dial.
package links

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// ErrCut is how dialling over a cut link ends.
var ErrCut = errors.New("the link is cut")

// Network is the links of one test's nodes. The zero value is not usable.
type Network struct {
	mu    sync.Mutex
	links map[pair]*link
}

type pair struct{ from, to state.NodeID }

// New makes a network without faults.
func New() *Network { return &Network{links: make(map[pair]*link)} }

// Dial is the DialFunc of the node from.
func (n *Network) Dial(from state.NodeID) func(ctx context.Context, to state.NodeID, addr string) (net.Conn, error) {
	return func(ctx context.Context, to state.NodeID, addr string) (net.Conn, error) {
		out, back := n.link(from, to), n.link(to, from)
		if err := out.pass(ctx); err != nil {
			return nil, err
		}
		if err := back.pass(ctx); err != nil {
			return nil, err
		}
		raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, out: out, back: back, ended: make(chan struct{})}
		out.join(c)
		back.join(c)
		return c, nil
	}
}

// Cut stops what goes from one node to another, without a word to either: what
// is sent vanishes, as when a cable is pulled.
func (n *Network) Cut(from, to state.NodeID) { n.link(from, to).set(func(l *link) { l.cut = true }) }

// CutBoth cuts both directions.
func (n *Network) CutBoth(a, b state.NodeID) {
	n.Cut(a, b)
	n.Cut(b, a)
}

// Delay holds each write from one node to another for d.
func (n *Network) Delay(from, to state.NodeID, d time.Duration) {
	n.link(from, to).set(func(l *link) { l.delay = d })
}

// Isolate cuts all links between a node and others.
func (n *Network) Isolate(node state.NodeID, others ...state.NodeID) {
	for _, o := range others {
		if o != node {
			n.CutBoth(node, o)
		}
	}
}

// Heal makes all links whole. Connections that lost bytes are broken, since
// what they carried has a hole.
func (n *Network) Heal() {
	n.mu.Lock()
	all := make([]*link, 0, len(n.links))
	for _, l := range n.links {
		all = append(all, l)
	}
	n.mu.Unlock()
	for _, l := range all {
		l.heal()
	}
}

func (n *Network) link(from, to state.NodeID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[pair{from, to}]
	if l == nil {
		l = &link{conns: make(map[*conn]bool), changed: make(chan struct{})}
		n.links[pair{from, to}] = l
	}
	return l
}

// link is one direction between two nodes.
type link struct {
	mu      sync.Mutex
	cut     bool
	delay   time.Duration
	conns   map[*conn]bool // true: has lost bytes on this link
	changed chan struct{}  // closed at each change
}

func (l *link) set(change func(*link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) heal() {
	var holed []*conn
	l.set(func(l *link) {
		l.cut, l.delay = false, 0
		for c, lost := range l.conns {
			if lost {
				holed = append(holed, c)
			}
		}
	})
	for _, c := range holed {
		c.Close()
	}
}

// pass waits out the delay; over a cut link until ctx ends.
func (l *link) pass(ctx context.Context) error {
	l.mu.Lock()
	cut, delay := l.cut, l.delay
	l.mu.Unlock()
	if cut {
		<-ctx.Done()
		return ErrCut
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *link) join(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = false
}

func (l *link) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// weather is how the link is now; over a cut one c has lost what it carries.
func (l *link) weather(c *conn) (cut bool, delay time.Duration, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		if _, joined := l.conns[c]; joined {
			l.conns[c] = true
		}
	}
	return l.cut, l.delay, l.changed
}

// conn is a connection dialled over the links out and back.
type conn struct {
	net.Conn
	out, back *link
	once      sync.Once
	ended     chan struct{}

	mu           sync.Mutex
	readDeadline time.Time
}

func (c *conn) Write(p []byte) (int, error) {
	cut, delay, _ := c.out.weather(c)
	if cut {
		return len(p), nil // gone
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-c.ended:
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Write(p)
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		cut, delay, _ := c.back.weather(c)
		if err != nil && cut && !c.closed() && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, c.silence() // the goodbye is lost as well
		}
		if err != nil {
			return n, err
		}
		if cut {
			continue
		}
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-c.ended:
				return 0, net.ErrClosed
			}
		}
		return n, nil
	}
}

// silence waits as a reader does whose peer is unreachable.
func (c *conn) silence() error {
	for {
		c.mu.Lock()
		deadline := c.readDeadline
		c.mu.Unlock()
		if !deadline.IsZero() && time.Now().After(deadline) {
			return os.ErrDeadlineExceeded
		}
		cut, _, changed := c.back.weather(c)
		if !cut {
			return net.ErrClosed
		}
		select {
		case <-changed:
		case <-c.ended:
			return net.ErrClosed
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *conn) SetDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) note(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
}

func (c *conn) closed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.ended) })
	c.out.leave(c)
	c.back.leave(c)
	return c.Conn.Close()
}
