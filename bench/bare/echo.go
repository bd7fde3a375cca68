package bare

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// Echo is an HTTP server on a unix socket that answers with what it was sent:
// what a round trip to a guest costs before anything is done there.
type Echo struct {
	server http.Server
	client http.Client
	done   chan error
}

// OpenEcho serves on a socket in dir.
func OpenEcho(dir string) (*Echo, error) {
	path := filepath.Join(dir, "echo.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open bare echo: %w", err)
	}
	e := &Echo{done: make(chan error, 1)}
	e.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	e.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	go func() { e.done <- e.server.Serve(ln) }()
	return e, nil
}

// Call sends a text there and reads it back.
func (e *Echo) Call(text string) error {
	reply, err := e.client.Post("http://echo/", "text/plain", strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("call bare echo: %w", err)
	}
	defer reply.Body.Close()
	got, err := io.ReadAll(reply.Body)
	if err == nil && string(got) != text {
		err = fmt.Errorf("call bare echo: sent %q, read %q", text, got)
	}
	return err
}

// Close ends it.
func (e *Echo) Close() error {
	e.client.CloseIdleConnections()
	err := e.server.Close()
	<-e.done
	return err
}
