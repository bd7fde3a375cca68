package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/netutil"

	"github.com/bothy-computer/bothy/runtime/guest/filesystem/filesystemconnect"
	"github.com/bothy-computer/bothy/runtime/guest/proc"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// maxConnections bounds open connections; each stream over HTTP/1.1 is one.
	maxConnections = 4096
	// maxHeaderBytes bounds a request's header.
	maxHeaderBytes = 64 << 10
	// maxMessageBytes bounds one message: arguments and environment of a
	// process, or one piece of input.
	maxMessageBytes = 4 << 20
	// headerPatience bounds the time in which a header must arrive.
	headerPatience = 10 * time.Second
	// idleLimit closes a connection without requests. It is longer than what
	// the client keeps one, so that the client is the one to close.
	idleLimit = 3 * time.Minute
	// readBufferBytes is small because a computer at rest holds a connection.
	readBufferBytes = 4 << 10
)

// Options is what a Server is made of.
type Options struct {
	// User is the default user's name, Workdir where commands and relative
	// paths of the default start. /init may change both.
	User, Workdir string
	// Root is where etc/passwd and etc/group lie; "" is "/".
	Root string
	// Reach is proc.EveryOrphan in pid 1.
	Reach proc.Reach
	Log   *slog.Logger
}

// Server answers for one computer.
type Server struct {
	opts     Options
	settings settings
	table    *proc.Table
	watchers *watchers
	gauge    gauge
	http     *http.Server
}

// New makes a server that has no processes yet. Close must be called.
func New(opts Options) *Server {
	if opts.Root == "" {
		opts.Root = "/"
	}
	s := &Server{opts: opts, table: proc.NewTable(opts.Reach, opts.Log), watchers: newWatchers()}
	s.gauge.start()
	s.settings.set(initRequest{DefaultUser: opts.User, DefaultWorkdir: opts.Workdir})
	s.http = &http.Server{
		Handler: s.routes(), MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: headerPatience, IdleTimeout: idleLimit,
		Protocols: new(http.Protocols),
		ErrorLog:  slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func (s *Server) routes() http.Handler {
	options := connect.WithHandlerOptions(
		connect.WithReadMaxBytes(maxMessageBytes),
		connect.WithCodec(codec{"json"}), connect.WithCodec(codec{"json; charset=utf-8"}),
	)
	mux := http.NewServeMux()
	path, processes := processconnect.NewProcessHandler(processService{s}, options)
	mux.Handle(path, bare(processes))
	path, files := filesystemconnect.NewFilesystemHandler(fileService{s}, options)
	mux.Handle(path, files)
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /metrics", s.load)
	mux.HandleFunc("GET /envs", s.envs)
	mux.HandleFunc("POST /init", s.init)
	mux.HandleFunc("GET /files", s.download)
	mux.HandleFunc("POST /files", s.upload)
	mux.HandleFunc("POST /files/compose", s.compose)
	return mux
}

// health is well until the computer begins to stop.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.table.Closed() {
		http.Error(w, proc.ErrClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Serve answers on ln until Close. It returns nil after Close.
func (s *Server) Serve(ln net.Listener) error {
	err := s.http.Serve(netutil.LimitListener(ln, maxConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the guest's socket: %w", err)
}

// Close ends every process, by force after grace, lets their streams end,
// and stops listening.
func (s *Server) Close(grace time.Duration) error {
	s.table.Close(grace)
	failed := s.watchers.close()
	ctx, cancel := context.WithTimeout(context.Background(), streamPatience)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		failed = errors.Join(failed, s.http.Close())
	}
	if failed != nil {
		return fmt.Errorf("close the guest: %w", failed)
	}
	return nil
}

// streamPatience bounds how long clients may take to read the ends of
// their streams when the computer stops.
const streamPatience = time.Second
