package doortest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/server"
)

// Guest has a real guest, of this process, answer for every computer of the
// house, and lets their ports lead to this machine's.
func (h *House) Guest() {
	h.T.Helper()
	dir, err := os.MkdirTemp("", "guest-") // a socket's name must be short
	if err != nil {
		h.T.Fatal(err)
	}
	socket := filepath.Join(dir, "guest.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		h.T.Fatal(err)
	}
	s := server.New(server.Options{User: "root", Workdir: dir, Log: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	client := guest.Dial(socket)
	h.T.Cleanup(func() {
		h.Driver.Script().Answer(nil)
		_ = client.Close() // closes idle connections only, and says nothing
		if err := s.Close(time.Second); err != nil {
			h.T.Error(err)
		}
		if err := <-served; err != nil {
			h.T.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			h.T.Error(err)
		}
	})
	h.Driver.Script().Answer(func(runtime.ID) http.RoundTripper { return client })
	h.Driver.Script().Listen(func(ctx context.Context, _ runtime.ID, port uint16) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrRefused, err)
		}
		return conn, nil
	})
}
