package sshgate

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/guest/process"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patienceOfTests = 20 * time.Second

// house is a gate that listens, with a doorkeeper and one guest of its own.
type house struct {
	t    *testing.T
	gate *Gate
	addr string
	host ssh.Signer

	mu     sync.Mutex
	keys   map[string]actors.Login // by public key
	follow chan error              // ends every login
	hosts  []string                // that TLS named
	used   []string                // as told
	asked  []actors.Login          // whose guest was asked

	guest *guestOfTests
}

// HostKey implements Doorkeeper.
func (h *house) HostKey(context.Context) (ssh.Signer, error) { return h.host, nil }

// Admit implements Doorkeeper.
func (h *house) Admit(_ context.Context, a actors.Attempt) (actors.Login, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hosts = append(h.hosts, a.Host)
	login, ok := h.keys[string(a.Key.Marshal())]
	if !ok {
		return login, fault.New(fault.Unauthorized, "nobody knows this key")
	}
	return login, nil
}

// Follow implements Doorkeeper.
func (h *house) Follow(ctx context.Context, _ actors.Login) error {
	select {
	case err := <-h.follow:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Used implements Doorkeeper.
func (h *house) Used(l actors.Login, action string, names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used = append(h.used, strings.Join(append([]string{string(l.Computer), action}, names...), " "))
}

// Names implements Doorkeeper.
func (h *house) Names(l actors.Login) ([]string, error) { return []string{string(l.Computer)}, nil }

// Guest implements Computers.
func (h *house) Guest(account state.AccountID, id state.ComputerID) http.RoundTripper {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, actors.Login{Account: account, Computer: id})
	return h.guest
}

// Dial implements Computers: nothing listens.
func (h *house) Dial(context.Context, state.AccountID, state.ComputerID, uint16) (net.Conn, error) {
	return nil, fault.New(fault.Unavailable, "nothing listens on this port")
}

// guestOfTests runs one kind of program: it says what it was started as, then
// repeats its input until that ends or a signal comes. One started by a command
// that is "nohup" goes on after its input.
type guestOfTests struct {
	processconnect.UnimplementedProcessHandler
	server  *httptest.Server
	input   chan []byte
	signals chan process.Signal // to the program
	heard   chan process.Signal // as they came
}

func newGuest(t *testing.T) *guestOfTests {
	g := &guestOfTests{input: make(chan []byte, 16), signals: make(chan process.Signal, 4), heard: make(chan process.Signal, 4)}
	_, handler := processconnect.NewProcessHandler(g)
	g.server = httptest.NewServer(handler)
	t.Cleanup(func() {
		g.server.CloseClientConnections()
		g.server.Close()
	})
	return g
}

// RoundTrip implements http.RoundTripper.
func (g *guestOfTests) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Host = g.server.Listener.Addr().String()
	return g.server.Client().Transport.RoundTrip(out)
}

func (g *guestOfTests) Start(ctx context.Context, req *connect.Request[process.StartRequest], stream *connect.ServerStream[process.StartResponse]) error {
	send := func(ev *process.ProcessEvent) error { return stream.Send(&process.StartResponse{Event: ev}) }
	say := func(b []byte) error {
		return send(&process.ProcessEvent{Event: &process.ProcessEvent_Data{Data: &process.ProcessEvent_DataEvent{
			Output: &process.ProcessEvent_DataEvent_Stdout{Stdout: b}}}})
	}
	end := func(code int32, status string) error {
		return send(&process.ProcessEvent{Event: &process.ProcessEvent_End{End: &process.ProcessEvent_EndEvent{ExitCode: code, Status: status}}})
	}
	err := errors.Join(send(&process.ProcessEvent{Event: &process.ProcessEvent_Start{Start: &process.ProcessEvent_StartEvent{Pid: 7}}}),
		say([]byte(strings.Join(req.Msg.Process.Args, " ")+"\n")))
	for err == nil {
		select {
		case b := <-g.input:
			if b == nil && slices.Contains(req.Msg.Process.Args, "nohup") {
				continue
			}
			if b == nil {
				return end(4, "exit status 4")
			}
			err = say(b)
		case n := <-g.signals:
			if n == process.Signal(15) {
				return end(-1, "signal: terminated")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (g *guestOfTests) StreamInput(_ context.Context, stream *connect.ClientStream[process.StreamInputRequest]) (*connect.Response[process.StreamInputResponse], error) {
	for stream.Receive() {
		if b := stream.Msg().GetData().GetInput().GetStdin(); b != nil {
			g.input <- b
		}
	}
	return connect.NewResponse(&process.StreamInputResponse{}), nil
}

func (g *guestOfTests) CloseStdin(context.Context, *connect.Request[process.CloseStdinRequest]) (*connect.Response[process.CloseStdinResponse], error) {
	g.input <- nil
	return connect.NewResponse(&process.CloseStdinResponse{}), nil
}

func (g *guestOfTests) SendSignal(_ context.Context, req *connect.Request[process.SendSignalRequest]) (*connect.Response[process.SendSignalResponse], error) {
	g.signals <- req.Msg.Signal
	g.heard <- req.Msg.Signal
	return connect.NewResponse(&process.SendSignalResponse{}), nil
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func open(t *testing.T, change func(*patience)) *house {
	t.Helper()
	h := &house{t: t, host: newSigner(t), keys: map[string]actors.Login{}, follow: make(chan error), guest: newGuest(t)}
	gate, err := New(Options{SSH: h, Computers: h, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&gate.patience)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.gate, h.addr = gate, ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gate.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patienceOfTests):
			t.Error("the gate does not stop")
		}
	})
	return h
}

// admits lets a key in.
func (h *house) admits(key ssh.PublicKey, login actors.Login) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[string(key.Marshal())] = login
}

// dial logs in.
func (h *house) dial(keys ...ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", h.addr, &ssh.ClientConfig{User: "box", Auth: []ssh.AuthMethod{ssh.PublicKeys(keys...)},
		HostKeyCallback: ssh.FixedHostKey(h.host.PublicKey()), Timeout: patienceOfTests})
}

// client is one that is in, as computer "box".
func (h *house) client() *ssh.Client {
	h.t.Helper()
	key := newSigner(h.t)
	h.admits(key.PublicKey(), actors.Login{Account: "acct", Computer: "box"})
	c, err := h.dial(key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

func (h *house) session(c *ssh.Client) *ssh.Session {
	h.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patienceOfTests); !fact(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestAProgramsInputOutputAndEnd(t *testing.T) {
	h := open(t, nil)
	s := h.session(h.client())
	s.Stdin = strings.NewReader("to and fro\n")
	out, err := s.Output("a command")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 4 || string(out) != "login --command a command\nto and fro\n" {
		t.Errorf("%q %v", out, err)
	}
}

// What is audited is that somebody ran a command, and not what was in it.
func TestWhatIsDoneIsAuditedWithoutItsWords(t *testing.T) {
	h := open(t, nil)
	c := h.client()
	told := func(want ...string) {
		t.Helper()
		eventually(t, strings.Join(want, ", "), func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return slices.Equal(h.used, want)
		})
	}
	login, command, shell := "box ssh.login from 127.0.0.1", "box ssh.command", "box ssh.shell"
	told(login)
	s := h.session(c)
	if err := s.Start("export TOKEN=secret"); err != nil {
		t.Fatal(err)
	}
	told(login, command)
	if err := h.session(c).Shell(); err != nil {
		t.Fatal(err)
	}
	told(login, command, shell)
	if err := h.session(c).RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	told(login, command, shell, "box ssh.files")
}

func TestASignalEndsAProgram(t *testing.T) {
	h := open(t, nil)
	s := h.session(h.client())
	in, err := s.StdinPipe() // stays open
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("%v", err)
	}
}

// forger shows a public key that it cannot sign by.
type forger struct{ ssh.Signer }

func (f forger) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return f.Signer.Sign(r, append([]byte("not "), data...))
}

func TestAClientIsWhoSignedAndNotWhoseKeyItShowed(t *testing.T) {
	h := open(t, nil)
	victim, own := newSigner(t), newSigner(t)
	h.admits(victim.PublicKey(), actors.Login{Account: "victim", Computer: "theirs"})
	h.admits(own.PublicKey(), actors.Login{Account: "mallory", Computer: "own"})
	if _, err := h.dial(forger{victim}); err == nil {
		t.Fatal("a forged signature was taken")
	}
	c, err := h.dial(own)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := h.session(c)
	s.Stdin = strings.NewReader("")
	_, _ = s.Output("x") // it ends with 4
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.asked {
		if l.Account != "mallory" || l.Computer != "own" {
			t.Errorf("reached %+v", l)
		}
	}
	if len(h.asked) == 0 {
		t.Error("reached nothing")
	}
}

func TestWhatIsNotGivenIsRefused(t *testing.T) {
	h := open(t, nil)
	c := h.client()
	for _, kind := range []string{"x11", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", ""} {
		if _, _, err := c.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel %q was opened", kind)
		}
	}
	for _, request := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "x"} {
		if ok, _, err := c.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %v %v", request, ok, err)
		}
	}
	s := h.session(c)
	for _, request := range []string{"auth-agent-req@openssh.com", "x11-req", "subsystem", "window-change", "signal", "pty-req", "exec", "y"} {
		if ok, err := s.SendRequest(request, true, []byte{0, 0, 0, 9}); ok || err != nil {
			t.Errorf("%s: %v %v", request, ok, err)
		}
	}
	if ok, err := s.SendRequest("exec", true, ssh.Marshal(textRequest{"first"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, request := range []string{"exec", "shell", "env", "pty-req"} {
		if ok, err := s.SendRequest(request, true, ssh.Marshal(envRequest{"LANG", "C"})); ok || err != nil {
			t.Errorf("%s after the start: %v %v", request, ok, err)
		}
	}
	if conn, err := c.Dial("tcp", "localhost:80"); err == nil || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("%v %v", conn, err)
	}
	if conn, err := c.Dial("tcp", "10.0.0.1:80"); err == nil || !strings.Contains(err.Error(), "prohibited") {
		t.Errorf("%v %v", conn, err)
	}
}
