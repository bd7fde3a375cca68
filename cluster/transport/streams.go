package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

const (
	// maxStreams bounds the HTTP/2 streams of one connection; a client opens
	// another connection beyond that.
	maxStreams = 1000
	// streamPing is after how much silence an HTTP/2 connection is probed, and
	// how long the answer may take.
	streamPing = 5 * time.Second
	// maxHeaderBytes bounds the headers of a request between nodes.
	maxHeaderBytes = 64 << 10
)

// streams is HTTP/2 between nodes: exec, files and terminals.
type streams struct {
	t        *Transport
	server   *http.Server
	incoming chan *tls.Conn
	handler  atomic.Pointer[http.Handler]
	client   *http.Transport
}

type callerKey struct{}

// CallerOf is the node that sent a request served by Serve's handler.
func CallerOf(ctx context.Context) (state.NodeID, bool) {
	node, ok := ctx.Value(callerKey{}).(state.NodeID)
	return node, ok
}

// Serve answers other nodes' HTTP requests with h from now on; before, they
// get 503. Who asks is in CallerOf.
func (t *Transport) Serve(h http.Handler) { t.streams.handler.Store(&h) }

// RoundTripper sends HTTP/2 requests to nodes: the host of the URL is a node's
// uuid, as in https://<uuid>/path. A node that cannot be reached is a *Nack.
func (t *Transport) RoundTripper() http.RoundTripper {
	return trace.Transport{RoundTripper: t.streams.client}
}

func newStreams(t *Transport) *streams {
	s := &streams{t: t, incoming: make(chan *tls.Conn)}
	h2 := &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: streamPing, PingTimeout: streamPing}
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), HTTP2: h2, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: handshakeTimeout,
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
	}
	s.client = &http.Transport{
		DialTLSContext: s.dial, ForceAttemptHTTP2: true, HTTP2: h2,
		DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 5 * time.Minute,
	}
	t.work.Go(func() { _ = s.server.Serve(streamListener{s}) }) // always ends with ErrServerClosed, by close
	return s
}

func (s *streams) serve(w http.ResponseWriter, r *http.Request) {
	h := s.handler.Load()
	if h == nil {
		http.Error(w, "this node does not take streams yet", http.StatusServiceUnavailable)
		return
	}
	r = trace.Received(r)
	from, _ := CallerOf(r.Context())
	ctx, done := s.t.received(r.Context(), from, r.Method+" "+r.URL.Path)
	defer done(nil)
	(*h).ServeHTTP(w, r.WithContext(ctx))
}

// take hands an accepted connection to the HTTP server, which closes it.
func (s *streams) take(c *tls.Conn) {
	select {
	case s.incoming <- c:
	case <-s.t.ctx.Done():
		c.NetConn().Close()
	}
}

// connContext notes on each request who sends it.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		if w, ok := secure.NetConn().(*wire); ok {
			return context.WithValue(ctx, callerKey{}, w.bearer.Node)
		}
	}
	return ctx
}

// dial opens an HTTP/2 connection; addr is "<uuid>:443".
func (s *streams) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	c, err := s.t.dial(ctx, state.NodeID(host), protoStreams)
	if err != nil {
		return nil, err
	}
	return c, nil // net/http looks into the *tls.Conn for the protocol
}

func (s *streams) close() {
	s.server.Close()
	s.client.CloseIdleConnections()
}

// streamListener gives the HTTP server the connections that ALPN sent here.
type streamListener struct{ s *streams }

func (l streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.incoming:
		return c, nil
	case <-l.s.t.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (streamListener) Close() error     { return nil }
func (l streamListener) Addr() net.Addr { return nodeAddr(l.s.t.self) }
