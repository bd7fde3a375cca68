package transport

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// minBackoff and maxBackoff bound how long after a failed dial the next is
	// tried. Within that time callers get the failure at once.
	minBackoff = 25 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
)

// peer is another node, as something to call.
type peer struct {
	normal, urgent lane
	severed        atomic.Bool // no longer in the transport's map
}

func (p *peer) lane(name laneName) *lane {
	if name == laneUrgent {
		return &p.urgent
	}
	return &p.normal
}

// peer returns what is kept for a node; a node without an address has nothing.
func (t *Transport) peer(node state.NodeID) (*peer, error) {
	t.mu.Lock()
	p, closed := t.peers[node], t.closed
	t.mu.Unlock()
	if closed {
		return nil, nack(node, Closed, nil)
	}
	if p != nil {
		return p, nil
	}
	if _, ok := t.o.Resolve(node); !ok {
		return nil, nack(node, UnknownNode, nil)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[node]; p != nil {
		return p, nil
	}
	p = &peer{}
	p.normal.t, p.normal.node, p.normal.severed = t, node, &p.severed
	p.urgent.t, p.urgent.node, p.urgent.severed = t, node, &p.severed
	t.peers[node] = p
	return p, nil
}

// lane is one connection to a peer, made when it is needed. Dialling happens
// apart from the callers, one at a time, and the lock is never held over it.
type lane struct {
	t    *Transport
	node state.NodeID

	severed *atomic.Bool
	mu      sync.Mutex
	current *line
	dialing chan struct{} // closed when the dial in progress has ended
	backoff backoff
}

// line returns the open line, dialling if there is none.
func (l *lane) line(ctx context.Context) (*line, error) {
	for waited := false; ; waited = true {
		l.mu.Lock()
		if l.current != nil && !l.current.broken() {
			defer l.mu.Unlock()
			return l.current, nil
		}
		if l.dialing == nil {
			if err := l.backoff.wait(); err != nil || waited && l.backoff.err != nil {
				defer l.mu.Unlock()
				return nil, l.backoff.err
			}
			done := make(chan struct{})
			if !l.t.spawn(func() { l.dial(done) }) {
				l.mu.Unlock()
				return nil, nack(l.node, Closed, nil)
			}
			l.dialing = done
		}
		dialing := l.dialing
		l.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, nack(l.node, Expired, ctx.Err())
		}
	}
}

func (l *lane) dial(done chan struct{}) {
	c, err := l.t.dial(l.t.ctx, l.node, protoCalls)
	if err == nil && l.severed.Load() {
		c.NetConn().Close()
		err = nack(l.node, Closed, nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing = nil
	defer close(done)
	if err != nil {
		l.backoff.failed(err)
		return
	}
	l.backoff = backoff{}
	l.current = newLine(l.node, c)
	if !l.t.spawn(l.current.run) {
		l.current.fail(nack(l.node, Closed, nil))
	}
}

// backoff spaces out attempts that fail.
type backoff struct {
	err   error
	pause time.Duration
	until time.Time
}

// wait returns the last failure while it is too early to try again.
func (b *backoff) wait() error {
	if b.err != nil && time.Now().Before(b.until) {
		return b.err
	}
	return nil
}

func (b *backoff) failed(err error) {
	b.err = err
	b.pause = min(max(2*b.pause, minBackoff), maxBackoff)
	b.until = time.Now().Add(b.pause/2 + rand.N(b.pause/2))
}
