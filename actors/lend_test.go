package actors

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// street is two nodes that reach each other by HTTP/2, and a computer that
// runs on the second.
type street struct {
	asker, owner *house
	computer     state.Computer
	caller       Caller
}

func openStreet(t *testing.T, idle time.Duration) *street {
	t.Helper()
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	s := &street{asker: openHouse(t, records, world, "n1", nil), owner: openHouse(t, records, world, "n2", nil)}
	s.caller = s.asker.caller
	server := httptest.NewUnstartedServer(s.owner.Handler())
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	s.asker.Computers.remote = &wire{client: &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		out := req.Clone(req.Context())
		if out.URL.Host != string(s.owner.node.Self()) {
			t.Errorf("%s is asked, which is no other node", out.URL.Host)
		}
		at, err := url.Parse(server.URL)
		if err != nil {
			return nil, err
		}
		out.URL.Host = at.Host
		return server.Client().Transport.RoundTrip(out)
	})}}
	env := s.owner.restless(t, idle)
	if _, err := s.owner.node.Place(t.Context(), env.Computer); err != nil {
		t.Fatal(err)
	}
	if _, err := s.owner.Computers.Start(t.Context(), s.caller, env.Computer); err != nil {
		t.Fatal(err)
	}
	s.computer = s.owner.computer(t, env.Computer)
	return s
}

// nodes are both ways in: at the owner, and through the other node.
func (s *street) nodes() map[string]*house {
	return map[string]*house{"at the owner": s.owner, "through another node": s.asker}
}

// users is how many use the computer now, as its actor counts them.
func (s *street) users() int {
	s.owner.system.mu.Lock()
	c := s.owner.system.cells[computerKind][string(s.computer.ID)]
	s.owner.system.mu.Unlock()
	if c == nil {
		return 0
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	return c.b.(*computer).users
}

// givenBack waits until nobody uses the computer.
func (s *street) givenBack(t *testing.T) {
	t.Helper()
	waitFor(t, func() bool { return s.users() == 0 })
}

// listen plays what listens in the computer: f serves each connection.
func (s *street) listen(t *testing.T, f func(net.Conn)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f(conn)
		}
	}()
	s.owner.driver.Script().Listen(func(ctx context.Context, _ runtime.ID, port uint16) (net.Conn, error) {
		if port != 80 {
			return nil, runtime.ErrRefused
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	})
}

// is checks a failure's kind and words.
func is(t *testing.T, err error, kind fault.Kind, says string) {
	t.Helper()
	if !fault.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v (%s); want %s saying %q", err, fault.Of(err), kind, says)
	}
}

// TestAnOwnerThatLagsCatchesUp asks a node for a computer that it was given a
// moment ago, and asks through a node that still names the owner before.
func TestAnOwnerThatLagsCatchesUp(t *testing.T) {
	s := openStreet(t, time.Hour)
	run := func() error {
		_, err := s.asker.Computers.Exec(t.Context(), s.caller, s.computer.ID, Command{Argv: []string{"true"}})
		return err
	}
	again := func() { // the owner takes it up in another epoch
		t.Helper()
		c := s.asker.computer(t, s.computer.ID)
		if _, err := s.owner.node.Apply(t.Context(), state.Claim{Computer: c.ID, Node: s.owner.node.Self(), Seen: c.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	env := s.asker.restless(t, time.Hour)
	s.owner.node.Lag() // it has not heard of the claim that follows
	if _, err := s.asker.node.Apply(t.Context(), state.Claim{Computer: env.Computer, Node: s.owner.node.Self()}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.asker.Computers.Exec(t.Context(), s.caller, env.Computer, Command{Argv: []string{"true"}}); err != nil {
		t.Errorf("an owner that lags: %v", err)
	}
	s.asker.node.Lag()
	again()
	if err := run(); err != nil {
		t.Errorf("a node that lags: %v", err)
	}
}

// TestAnOwnerThatBreaksOffIsNoMistakeOfOurs: its node may have died just then.
func TestAnOwnerThatBreaksOffIsNoMistakeOfOurs(t *testing.T) {
	w := &wire{client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })}}
	req := httptest.NewRequest(http.MethodGet, "/files", nil)
	asks := map[string]func() error{
		"a command": func() error {
			_, err := w.Exec(t.Context(), "n2", ExecRequest{Computer: "c", Command: Command{Argv: []string{"true"}}})
			return err
		},
		"a save":   func() error { return w.Save(t.Context(), "n2", "acct", "c") },
		"a guest":  func() error { _, err := w.Guest(req, "n2", "acct", "c"); return err },
		"a stream": func() error { _, err := w.stream(t.Context(), "n2", "/computers/dial"); return err },
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) { is(t, ask(), fault.Unavailable, "through node n2") })
	}
}
