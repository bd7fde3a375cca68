package guest_test

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a guest in this process and returns a client of it and its
// socket. Commands run as root, in a directory of the test.
func serve(t testing.TB) (*guest.Client, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "guest.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Options{User: "root", Workdir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c := guest.Dial(socket)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(time.Second); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c, socket
}
