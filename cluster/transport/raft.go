package transport

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/state"
)

// RaftLayer is what raft.NewNetworkTransport stands on. Its addresses are node
// uuids. Closing it stops raft's connections from being accepted and leaves
// the transport open.
func (t *Transport) RaftLayer() raft.StreamLayer { return t.raft }

type raftLayer struct {
	t        *Transport
	incoming chan *tls.Conn
	once     sync.Once
	done     chan struct{}
}

func newRaftLayer(t *Transport) *raftLayer {
	return &raftLayer{t: t, incoming: make(chan *tls.Conn, raftBacklog), done: make(chan struct{})}
}

// take queues an accepted connection for raft, or closes it when raft is not
// taking any.
func (l *raftLayer) take(c *tls.Conn) {
	select {
	case <-l.done:
	default:
		select {
		case l.incoming <- c:
			return
		default:
		}
	}
	c.Close()
}

// Accept gives raft the next connection from another node.
func (l *raftLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.done:
	case <-l.t.ctx.Done():
	}
	l.drain()
	return nil, net.ErrClosed
}

func (l *raftLayer) drain() {
	for {
		select {
		case c := <-l.incoming:
			c.Close()
		default:
			return
		}
	}
}

// Close ends Accept.
func (l *raftLayer) Close() error {
	l.once.Do(func() { close(l.done) })
	l.drain()
	return nil
}

// Addr is this node's uuid, which is its raft address.
func (l *raftLayer) Addr() net.Addr { return nodeAddr(l.t.self) }

// Dial connects to the raft of a node, named by its uuid.
func (l *raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx := l.t.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := l.t.dial(ctx, state.NodeID(address), protoRaft)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// nodeAddr is a node's uuid as an address.
type nodeAddr state.NodeID

func (nodeAddr) Network() string  { return "bothy" }
func (a nodeAddr) String() string { return string(a) }
