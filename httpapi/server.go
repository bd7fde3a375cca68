package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/httpapi/admin"
	"github.com/bothy-computer/bothy/httpapi/agentcomputer"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/console"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/gateway"
	"github.com/bothy-computer/bothy/httpapi/rebyte"
)

const (
	maxHeaderBytes = 64 << 10 // of one request
	// maxStreamsPerConnection bounds the requests at once of one HTTP/2 connection.
	maxStreamsPerConnection = 128
	// drainPatience is how long a stop waits for requests in progress.
	drainPatience = 20 * time.Second
)

// Options is what the server stands on. All fields but those with a default
// must be set.
type Options struct {
	Nouns computeragents.Nouns
	Admin admin.Nouns
	// AgentComputer is what that dialect asks; its Hosts are the cluster's.
	AgentComputer agentcomputer.Nouns
	Gateway       gateway.Nouns
	Console       console.Nouns
	Records       door.Records
	Keys          door.Keys
	Limits        door.Limits
	Rebyte        rebyte.Nouns
	Prober        Prober // nil keeps no probes
	Registry      *prometheus.Registry
	Log           *slog.Logger
	Tracer        *trace.Tracer // nil begins no spans
	Now           func() time.Time
	Version       string
	// PublicURL is where clients reach the cluster; "" is whatever they used.
	PublicURL string
	// Domain is what computers' hosts end in, by wildcard DNS; "" is none.
	Domain string
	// Challenged sees requests before the doors, and answers those that an
	// authority of certificates makes; nil is none.
	Challenged func(doors http.Handler) http.Handler
	// SSHAddr is where clients reach the SSH door, as door.Links has it.
	SSHAddr string
	// Size is what a computer gets that asks for none.
	Size state.Size
	// Requests is the request limit of the Computer Agents dialect in 15
	// minutes for each key; 0 is its default.
	Requests int
	// MaxStreams and MaxConnections are 0 for their defaults.
	MaxStreams, MaxConnections int
	Patience                   door.Patience
}

// Server answers HTTP for one node.
type Server struct {
	Options
	engine *gin.Engine
	all    http.Handler // traffic into computers, and the engine
	routes []Route
	http   *http.Server
	drain  context.CancelFunc
	done   context.Context // when draining began
}

// New composes the doors. It does not listen yet.
func New(o Options) (*Server, error) {
	if o.MaxStreams == 0 {
		o.MaxStreams = door.MaxStreams
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = MaxConnections
	}
	o.Patience = o.Patience.OrDefault()
	s := &Server{Options: o}
	s.done, s.drain = context.WithCancel(context.Background())
	document, err := Document(o.PublicURL)
	if err != nil {
		return nil, err
	}
	shared := door.Shared{Records: o.Records, Keys: o.Keys, Limits: o.Limits, Metrics: door.NewMetrics(o.Registry),
		Log: o.Log, Tracer: o.Tracer, Now: o.Now, Drain: s.done, Streams: door.NewStreams(o.MaxStreams), Patience: o.Patience}
	s.compose(shared, document)
	s.http = &http.Server{
		Handler: s.all, Protocols: protocols(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreamsPerConnection},
		ReadHeaderTimeout: o.Patience.Header, IdleTimeout: o.Patience.Idle, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // peers that go away mid-request
	}
	return s, nil
}

// protocols are HTTP/1.1 and, for gRPC, HTTP/2, with and without TLS: whoever
// ends TLS before this server passes either on.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (s *Server) compose(shared door.Shared, document []byte) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// A redirect turns a POST into a GET in most clients: an unclean path is
	// simply not found.
	e.RedirectTrailingSlash, e.RedirectFixedPath, e.HandleMethodNotAllowed = false, false, true
	links := door.Links{PublicURL: s.PublicURL, Domain: s.Domain, SSHAddr: s.SSHAddr}
	agents := computeragents.New(computeragents.Options{Nouns: s.Options.Nouns, Shared: shared, Links: links, Requests: s.Requests,
		Gatherer: s.Registry, Version: s.Version, Began: s.Now()})
	e.Use(door.Identify, door.Deadlines(s.Patience), door.CrossOrigin, agents.Fence)
	e.NoRoute(unrouted(shared), agents.NotFound)
	e.NoMethod(unrouted(shared), agents.NotAllowed)
	agents.Mount(e)
	agents.Door.Mount(e, computeragents.Prefixes, []door.Route{{Method: "GET", Path: "/openapi.json", Access: door.Public,
		Serve: func(c *gin.Context) { c.Data(http.StatusOK, "application/json", document) }}})
	agentcomputer.New(agentcomputer.Options{Nouns: s.AgentComputer, Shared: shared, Links: links, Default: s.Size, Preferences: agents.PatchPreferences()}).Mount(e)
	rebyte.New(rebyte.Options{Nouns: s.Rebyte, Shared: shared, Links: links}).Mount(e)
	console.New(console.Options{Nouns: s.Console, Shared: shared, Links: links}).Mount(e)
	admin.New(admin.Options{Nouns: s.Admin, Shared: shared, Version: s.Version}).Mount(e)
	s.engine = e
	s.all = gateway.New(gateway.Options{Nouns: s.Gateway, Links: links, Log: s.Log, Now: s.Now, Drain: s.done}).Before(e)
	if s.Challenged != nil {
		s.all = s.Challenged(s.all)
	}
	// Read now: the engine rewrites its routes at the first request.
	for _, r := range e.Routes() {
		s.routes = append(s.routes, Route{r.Method, r.Path})
	}
}

// unrouted counts requests that match no route under one label.
func unrouted(shared door.Shared) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		shared.Metrics.Unrouted(c)
	}
}

// Handler is the whole door, for tests and for serving it elsewhere.
func (s *Server) Handler() http.Handler { return s.all }

// Route is a method and a path as the router has it.
type Route struct{ Method, Path string }

// Routes lists every route that is served.
func (s *Server) Routes() []Route { return s.routes }

// Serve answers on ln until ctx ends or Drain is called; then it lets requests
// in progress finish. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Serve(bounded(ln, s.MaxConnections)) }()
	probing, stopProbing := context.WithCancel(ctx)
	var looks sync.WaitGroup
	if s.Prober != nil {
		looks.Go(func() { s.probe(probing, reachable(ln.Addr())) })
	}
	defer looks.Wait()
	defer stopProbing()
	select {
	case err := <-stopped:
		return closed(err)
	case <-ctx.Done():
	case <-s.done.Done():
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
	defer cancel()
	err := s.Drain(patient)
	return errors.Join(err, closed(<-stopped))
}

// reachable is where this machine reaches a listener: its loopback, where it
// listens on all addresses.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// ServeTLS answers on ln too, by TLS with HTTP/1.1 and HTTP/2, as long as Serve
// does. It closes ln. The bound of connections is each listener's own.
func (s *Server) ServeTLS(ln net.Listener, config *tls.Config) error {
	return closed(s.http.Serve(tls.NewListener(bounded(ln, s.MaxConnections), config)))
}

// Drain makes /readyz fail, ends streams so that their clients go elsewhere,
// takes no more connections and waits for requests in progress until ctx ends;
// those left are then cut. Draining twice is success.
func (s *Server) Drain(ctx context.Context) error {
	s.drain()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain HTTP: %w", err), s.http.Close())
	}
	return nil
}
