package guest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
	"github.com/bothy-computer/bothy/runtime/guest/server"
)

func TestHealthWaitsForTheGuest(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "guest.sock")
	c := guest.Dial(socket)
	defer c.Close()
	if err := c.Health(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("without a socket: got %v, want ErrNotRunning", err)
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Health(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before the guest serves: got %v, want DeadlineExceeded", err)
	}
	healthy := make(chan error, 1)
	go func() { healthy <- c.Health(t.Context()) }()
	s := server.New(server.Options{User: "root", Workdir: "/", Log: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	if err := <-healthy; err != nil {
		t.Errorf("when the guest serves: %v", err)
	}
	c.Close()
	if err := s.Close(0); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := c.Health(t.Context()); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("after the guest ended: got %v, want ErrNotRunning", err)
	}
}

// TestAGuestThatEndsIsNotWell asks while the guest waits for a process that takes
// its time to end.
func TestAGuestThatEndsIsNotWell(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "guest.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Options{User: "root", Workdir: dir, Log: slog.New(slog.DiscardHandler)})
	served, closed, ran := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	c := guest.Dial(filepath.Join(dir, "guest.sock"))
	defer c.Close()
	begun, says := io.Pipe()
	go func() {
		_, err := c.Exec(t.Context(), runtime.Cmd{Argv: sh("trap '' TERM; echo on; while [ ! -e end ]; do sleep 0.01; done"), Stdout: says})
		ran <- err
	}()
	if _, err := begun.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, begun)
	go func() { closed <- s.Close(time.Minute) }()
	for err = c.Health(t.Context()); err == nil; err = c.Health(t.Context()) {
	}
	if !errors.Is(err, runtime.ErrNotRunning) || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("got %v, want that it is stopping", err)
	}
	select {
	case <-closed:
		t.Error("it ended before its process")
	default:
	}
	if err := os.WriteFile(filepath.Join(dir, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]chan error{"the command": ran, "the guest": closed, "its socket": served} {
		if err := <-end; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	says.Close()
}

func TestInitSetsDefaults(t *testing.T) {
	c, _ := serve(t)
	dir := t.TempDir()
	for range 2 {
		if err := c.Init(t.Context(), guest.Init{EnvVars: map[string]string{"A": "from init"}, DefaultWorkdir: dir}); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := c.Exec(t.Context(), runtime.Cmd{Argv: sh(`echo "$A $PWD"`), Stdout: &out}); err != nil || out.String() != "from init "+dir+"\n" {
		t.Errorf("%q, %v", &out, err)
	}
	if err := c.Init(t.Context(), guest.Init{DefaultWorkdir: "relative"}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// A gateway proxies to the guest through the client.
func TestTheClientIsAProxysTransport(t *testing.T) {
	c, _ := serve(t)
	target, err := url.Parse("http://any-host")
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = c
	door := httptest.NewServer(proxy)
	defer door.Close()
	res, err := http.Post(door.URL+"/process.Process/Start", "application/json", strings.NewReader(`{"command":["echo","through"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || strings.Count(string(body), "\n") != 3 || !strings.Contains(string(body), "dGhyb3VnaAo=") {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestGRPCPassesThroughTheClient(t *testing.T) {
	c, _ := serve(t)
	grpc := processconnect.NewProcessClient(&http.Client{Transport: c}, "http://any-host", connect.WithGRPC())
	stream, err := grpc.Start(t.Context(), connect.NewRequest(&process.StartRequest{Process: &process.ProcessConfig{Cmd: "echo", Args: []string{"grpc"}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var out string
	for stream.Receive() {
		out += string(stream.Msg().GetEvent().GetData().GetStdout())
	}
	if err := stream.Err(); err != nil || out != "grpc\n" {
		t.Errorf("%q %v", out, err)
	}
}

func TestBinaryIsStaticOrSaysWhatToDo(t *testing.T) {
	data, err := guest.Binary()
	if _, missing := os.Stat("embedded/guest"); missing != nil {
		if err == nil || !strings.Contains(err.Error(), "make build") {
			t.Errorf("got %d bytes, %v", len(data), err)
		}
		return
	}
	if err != nil || !bytes.HasPrefix(data, []byte("\x7fELF")) {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
}
