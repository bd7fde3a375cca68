package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

const (
	// connectTimeout bounds the TCP part of a dial.
	connectTimeout = time.Second
	// handshakeTimeout bounds TLS and the greeting, on both sides.
	handshakeTimeout = 3 * time.Second
	// maxHandshakes bounds the connections that have not proved who they are.
	maxHandshakes = 128
	// raftBacklog bounds raft connections accepted and not yet taken by raft.
	raftBacklog = 64
)

// DialFunc opens a TCP connection to a node's address. Tests replace it to
// cut, delay and heal links.
type DialFunc func(ctx context.Context, node state.NodeID, addr string) (net.Conn, error)

// Options is what a transport needs from the rest of the node. The functions
// are called from many goroutines and must answer at once.
type Options struct {
	// Identity is who this node is; it must belong to a cluster.
	Identity *identity.Identity
	// Resolve says where a node takes other nodes (host:port) at this moment.
	Resolve func(node state.NodeID) (addr string, ok bool)
	// Elsewhere is another place where a node may be, tried when it is not where
	// Resolve says: what is recorded may be older than what is rumoured. Nil knows
	// none.
	Elsewhere func(node state.NodeID) (addr string, ok bool)
	// Member reports whether a node with this key is a member. A node that has
	// just joined must also know the peers of its Admission as members until
	// its own records say so.
	Member func(node state.NodeID, keyHash [32]byte) bool
	// Admit has the cluster consume a token for a joining node and answers with
	// its admission; asked again for the same key it answers the same. Nil
	// refuses every join.
	Admit func(ctx context.Context, j Joiner) (identity.Admission, error)
	// Voters lists the nodes that a new certificate is asked from when a third
	// of the old one's life is left; one that lists only this node gives itself
	// a new one. Nil never renews.
	Voters func() []state.NodeID
	// Dial opens connections; nil is a plain net.Dialer. The accepting side is
	// replaced by giving Open another listener.
	Dial DialFunc
	// Causes reports whether every node reads what calls and asks are made for:
	// an older one ends the connection. Nil sends none.
	Causes func() bool
	// Tracer begins the spans of what other nodes ask; nil begins none.
	Tracer *trace.Tracer
	// Log is where connections are reported; nil discards.
	Log *slog.Logger
	// Registerer takes the metrics; nil keeps none.
	Registerer prometheus.Registerer
}

// Transport is one node's end of all connections between nodes.
type Transport struct {
	o       Options
	self    state.NodeID
	ln      net.Listener
	log     *slog.Logger
	metrics *metrics
	raft    *raftLayer
	streams *streams
	methods methods
	joins   *rate.Limiter
	joining chan struct{} // has a place for each join being served

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows, held for map operations only
	closed  bool
	conns   map[*wire]state.NodeID
	peers   map[state.NodeID]*peer
	remoter *Remoter
}

// Open serves on ln until Close, which also closes ln.
func Open(ln net.Listener, o Options) (*Transport, error) {
	if !o.Identity.Joined() {
		return nil, fmt.Errorf("open the transport: %w", identity.ErrAlone)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		dialer := &net.Dialer{KeepAlive: 5 * time.Second, Control: giveUpSilent}
		o.Dial = func(ctx context.Context, _ state.NodeID, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}
	}
	t := &Transport{
		o: o, self: o.Identity.Node(), ln: ln, log: o.Log,
		metrics: newMetrics(o.Registerer, o.Identity),
		joins:   rate.NewLimiter(joinsPerSecond, joinBurst), joining: make(chan struct{}, maxJoining),
		conns: make(map[*wire]state.NodeID),
		peers: make(map[state.NodeID]*peer),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.raft = newRaftLayer(t)
	t.streams = newStreams(t)
	t.work.Go(t.accept)
	t.work.Go(t.keepCertificate)
	return t, nil
}

// Addr is where the transport listens.
func (t *Transport) Addr() net.Addr { return t.ln.Addr() }

// Close ends every connection and returns when no goroutine of the transport
// is left. Calls in flight come back as nacks.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	err := t.ln.Close()
	t.streams.close()
	t.closeConns(func(state.NodeID) bool { return true })
	t.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// Sever ends every connection with a node that is no longer a member. It may
// be dialled again at once if Resolve still knows it.
func (t *Transport) Sever(node state.NodeID) {
	t.mu.Lock()
	if p := t.peers[node]; p != nil {
		p.severed.Store(true) // before its connections end: a dial in progress sees one or the other
		delete(t.peers, node)
	}
	r := t.remoter
	t.mu.Unlock()
	if r != nil {
		r.forget(node)
	}
	t.closeConns(func(n state.NodeID) bool { return n == node })
}

func (t *Transport) closeConns(of func(state.NodeID) bool) {
	t.mu.Lock()
	var doomed []*wire
	for w, node := range t.conns {
		if of(node) {
			doomed = append(doomed, w)
		}
	}
	t.mu.Unlock()
	for _, w := range doomed {
		w.Close()
	}
}

// track makes a connection end with the transport, under the name of the node
// at its other end once that is known. Nil means that the transport has ended
// already; the connection is closed then.
func (t *Transport) track(raw net.Conn, node state.NodeID) *wire {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		raw.Close()
		return nil
	}
	w := &wire{Conn: raw, t: t}
	t.conns[w] = node
	return w
}

// rename notes who proved to be at the other end.
func (t *Transport) rename(w *wire, node state.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.conns[w]; open {
		t.conns[w] = node
	}
}

func (t *Transport) untrack(w *wire) {
	t.mu.Lock()
	delete(t.conns, w)
	t.mu.Unlock()
}

// spawn runs f as work that Close waits for; false means it is too late.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.work.Go(f)
	return true
}

// accept takes connections until the listener is closed.
func (t *Transport) accept() {
	slots := make(chan struct{}, maxHandshakes)
	for {
		raw, err := t.ln.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			t.log.Warn("accepting a node's connection failed", "err", err)
			select {
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
				continue
			case <-t.ctx.Done():
				return
			}
		}
		select {
		case slots <- struct{}{}:
		default:
			t.metrics.refused.WithLabelValues(refusedBusy).Inc()
			raw.Close()
			continue
		}
		if !t.spawn(func() { t.welcome(raw, func() { <-slots }) }) {
			raw.Close()
		}
	}
}

// welcome does the handshake and hands the connection to its protocol. admitted
// is called when the peer has proved itself or failed to.
func (t *Transport) welcome(raw net.Conn, admitted func()) {
	w := t.track(raw, "")
	if w == nil {
		admitted()
		return
	}
	c := tls.Server(w, &tls.Config{GetConfigForClient: t.serverConfig, MinVersion: tls.VersionTLS13})
	ctx, cancel := context.WithTimeout(t.ctx, handshakeTimeout)
	err := c.HandshakeContext(ctx)
	cancel()
	admitted()
	if err != nil {
		t.metrics.refused.WithLabelValues(refusal(err)).Inc()
		t.log.Debug("a connection was refused", "remote", raw.RemoteAddr().String(), "err", err)
		w.Close()
		return
	}
	t.rename(w, w.bearer.Node)
	proto := c.ConnectionState().NegotiatedProtocol
	w.meter.Store(t.metrics.meter(proto))
	t.route(c, w, proto)
}

// route serves a connection that has proved itself, by its protocol.
func (t *Transport) route(c *tls.Conn, w *wire, proto string) {
	switch proto {
	case protoStreams:
		t.streams.take(c)
		return
	case protoRaft:
		if t.greet(c) {
			t.raft.take(c)
			return
		}
	case protoCalls:
		if t.greet(c) {
			t.serveCalls(c, w.bearer.Node)
		}
	case protoActors:
		if r := t.actors(); r != nil && t.greet(c) {
			r.serve(c, w.bearer.Node)
		}
	case protoJoin:
		select {
		case t.joining <- struct{}{}:
			t.serveJoin(c, w.bearer)
			<-t.joining
		default:
			t.metrics.refused.WithLabelValues(refusedBusy).Inc()
		}
	}
	w.Close()
}

// greeting is the byte that tells a dialler that it was let in: in TLS 1.3 a
// client's handshake ends before the server has judged its certificate.
const greeting = 'b'

func (t *Transport) greet(c net.Conn) bool {
	c.SetWriteDeadline(time.Now().Add(handshakeTimeout))
	_, err := c.Write([]byte{greeting})
	c.SetWriteDeadline(time.Time{})
	return err == nil
}
