// Package doortest opens a whole node behind its HTTP doors in one process:
// the real server and the real actors, over records in memory and machines
// that are processes of this one. Tests of the doors and of clients stand on it.
package doortest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/admin"
	"github.com/bothy-computer/bothy/httpapi/agentcomputer"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// House is one node and an account with a key.
type House struct {
	T        testing.TB
	System   *actors.System
	Server   *httpapi.Server
	Node     *actorstest.Node
	Driver   *fake.Driver  // of Node
	Builder  *fake.Builder // of Node
	Records  *Records
	Registry *prometheus.Registry
	URL      string
	Account  state.Account
	Key      string // of Account, with scope "*", limited
	AdminKey string

	options httpapi.Options
	stop    context.CancelFunc
	stopped chan error
}

// Option changes a house before it opens.
type Option func(*setup)

type setup struct {
	options httpapi.Options
	now     func() time.Time
	ahead   time.Duration
	env     map[string]string
	reach   []netip.Prefix
	quiet   bool
}

// Quiet keeps the actors asleep, so that a test can write a run's events itself.
func Quiet() Option { return func(s *setup) { s.quiet = true } }

// asleep is a node whose actors are told of no change.
type asleep struct{ *actorstest.Node }

func (asleep) Wake() <-chan struct{} { return nil }

// Clock is the time of day that the records and the actors go by. The doors go
// by the real one.
func Clock(c *actorstest.Clock) Option { return func(s *setup) { s.now = c.Now } }

// Ahead has the records' time be ahead of the actors' and the doors', as it is once
// a leader's clock was wrong.
func Ahead(d time.Duration) Option { return func(s *setup) { s.ahead = d } }

// With changes the server's options.
func With(change func(*httpapi.Options)) Option { return func(s *setup) { change(&s.options) } }

// Reach lets what tenants name lead to this machine.
func Reach() Option {
	return func(s *setup) { s.reach = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
}

// Vendor sets a variable that configures a model vendor.
func Vendor(key, value string) Option { return func(s *setup) { s.env[key] = value } }

// Records can be cut off from the leader.
type Records struct {
	*actorstest.Node
	leaderless atomic.Pointer[func() bool]
}

// Cut makes reads fail whenever gone says so.
func (r *Records) Cut(gone func() bool) { r.leaderless.Store(&gone) }

func (r *Records) cut() bool {
	gone := r.leaderless.Load()
	return gone != nil && (*gone)()
}

// Read fails while there is no leader.
func (r *Records) Read(ctx context.Context) (*state.View, error) {
	if r.cut() {
		return nil, fault.New(fault.Unavailable, "no leader answers").WithCode("NO_LEADER")
	}
	return r.Node.Read(ctx)
}

// Open starts a house; it is closed with the test.
func Open(t testing.TB, options ...Option) *House {
	t.Helper()
	h := &House{T: t, Registry: prometheus.NewRegistry(), stopped: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := setup{env: map[string]string{}, now: time.Now, options: httpapi.Options{Registry: h.Registry, Log: log, Now: time.Now, Version: "test"}}
	for _, o := range options {
		o(&s)
	}
	h.openSystem(s, log)
	s.options.Records = httpapi.RecordsOf(h.Records, func() error {
		if h.Records.cut() {
			return errors.New("no leader is known")
		}
		return nil
	})
	s.options.Admin.Nodes, s.options.AgentComputer.Hosts = nodes{h.Records}, nodes{h.Records}
	s.options.Size = state.Size{MemoryBytes: 2 << 30, MilliCPU: 2000, DiskBytes: 5 << 30}
	h.options = httpapi.Stand(s.options, h.System)
	h.listen()
	h.people()
	return h
}

// Another is a second node over the same records, with the same accounts.
func (h *House) Another() *House {
	other := *h
	other.options.Registry = prometheus.NewRegistry()
	other.stopped = make(chan error, 1)
	other.listen()
	return &other
}

// Thread is a thread as it is recorded.
func (h *House) Thread(id string) state.Thread {
	h.T.Helper()
	v := h.Node.Stale()
	defer v.Close()
	t, ok, err := v.AnyThread(state.ThreadID(id))
	if err != nil || !ok {
		h.T.Fatalf("thread %s: %v, %v", id, ok, err)
	}
	return t
}

// Computer is a computer as it is recorded.
func (h *House) Computer(id string) state.Computer {
	h.T.Helper()
	v := h.Node.Stale()
	defer v.Close()
	c, ok, err := v.AnyComputer(state.ComputerID(id))
	if err != nil || !ok {
		h.T.Fatalf("computer %s: %v, %v", id, ok, err)
	}
	return c
}

func (h *House) openSystem(s setup, log *slog.Logger) {
	node, err := actorstest.NewRecords(func() time.Time { return s.now().Add(s.ahead) }).Join("n1")
	if err != nil {
		h.T.Fatal(err)
	}
	models, err := catalog.FromEnv(func(k string) string { return s.env[k] })
	if err != nil {
		h.T.Fatal(err)
	}
	h.Node, h.Records = node, &Records{Node: node}
	var changes actors.Changes = node
	if s.quiet {
		changes = asleep{node}
	}
	h.Driver = fake.New(fake.Options{Dir: h.T.TempDir(), World: fake.NewWorld(), Node: "n1", Local: true, Room: runtime.Capacity{Images: []string{"host"}}})
	h.Builder = &fake.Builder{For: h.Driver}
	h.System, err = actors.Open(actors.Options{Cluster: node, Lease: node, Changes: changes, Index: &actors.Index{Store: actorstest.NewIndex(), Changes: node.Watch()}, Sealer: sealer{}, Catalog: models,
		Driver: h.Driver, Builder: h.Builder, Recipes: actors.Recipes{Runtimes: build.DefaultRuntimes()},
		Shape:        actors.Shape{Image: "host", MemoryBytes: 1 << 30, MilliCPU: 1000, DiskBytes: 1 << 30},
		StartBalance: 10_000_000, Reach: s.reach, Log: log, Registerer: h.Registry, Now: s.now})
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(h.System.Close)
}

func (h *House) listen() {
	server, err := httpapi.New(h.options)
	if err != nil {
		h.T.Fatal(err)
	}
	h.Server = server
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.T.Fatal(err)
	}
	h.URL = "http://" + ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() { h.stopped <- server.Serve(ctx, ln) }()
	h.T.Cleanup(func() {
		stop()
		select {
		case err := <-h.stopped:
			if err != nil {
				h.T.Errorf("serve: %v", err)
			}
		case <-time.After(patience):
			h.T.Error("the server did not stop")
		}
	})
}

func (h *House) people() {
	account, err := h.System.Accounts.Create(h.T.Context(), "acme", nil)
	if err != nil {
		h.T.Fatal(err)
	}
	h.Account = account
	h.Key = h.NewKey(actors.NewKey{Account: account.ID, Scopes: []string{"*"}})
	h.AdminKey = h.NewKey(actors.NewKey{Account: "acct_admin", User: "user_admin", Scopes: []string{"*"}, Admin: true, NoLimit: true})
}

// NewKey makes a key and returns its text.
func (h *House) NewKey(k actors.NewKey) string {
	h.T.Helper()
	text, _, err := h.System.Accounts.CreateKey(h.T.Context(), k)
	if err != nil {
		h.T.Fatal(err)
	}
	return text
}

// NewAccount makes another account and returns it with a key of scope "*".
func (h *House) NewAccount(name string, balance state.MicroUSD) (state.Account, string) {
	h.T.Helper()
	account, err := h.System.Accounts.Create(h.T.Context(), name, &balance)
	if err != nil {
		h.T.Fatal(err)
	}
	return account, h.NewKey(actors.NewKey{Account: account.ID, Scopes: []string{"*"}})
}

// FullKey is a key of Account with every scope and no request limit.
func (h *House) FullKey() string {
	return h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"*", "billing:write", "computers:transfer"}, NoLimit: true})
}

// Client is an HTTP client whose connections end with the test.
func (h *House) Client() *http.Client {
	transport := &http.Transport{}
	h.T.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// sealer leaves values readable.
type sealer struct{}

func (sealer) Seal(_, plain []byte) ([]byte, error) { return append([]byte("sealed:"), plain...), nil }
func (sealer) Open(_, sealed []byte) ([]byte, error) {
	return sealed[len("sealed:"):], nil
}

// nodes is a cluster of one.
type nodes struct{ records *Records }

func (nodes) JoinToken(context.Context) (string, time.Time, error) {
	return "token-for-tests", time.Now().Add(time.Hour), nil
}

func (nodes) Remove(_ context.Context, node state.NodeID) error {
	return fault.New(fault.Conflict, "node %s is the only one", node)
}

func (n nodes) Backup(_ context.Context, recipients []string, w io.Writer) error {
	return backup.Write(w, recipients, backup.Header{Cluster: "test"}, func(io.Writer) error { return nil })
}

func (n nodes) Abandon(ctx context.Context, node state.NodeID) error { return n.Remove(ctx, node) }

func (n nodes) RotateSecrets(ctx context.Context) (k state.SecretsKeys, err error) {
	v := n.records.Stale()
	defer v.Close()
	have, _, err := v.SecretsKeys()
	if err != nil {
		return k, err
	}
	from := cmp.Or(have.Current, "first")
	b, err := n.records.Apply(ctx, state.RotateSecrets{Old: state.SecretsKey{ID: from}, New: state.SecretsKey{ID: from + "+"}})
	if err != nil {
		return k, err
	}
	return k, state.Decode(b, &k)
}

func (nodes) Rooms() []agentcomputer.Room {
	return []agentcomputer.Room{{MemoryFree: 8 << 30, DiskFree: 100 << 30}}
}

func (nodes) Members() map[state.NodeID]admin.Member {
	return map[state.NodeID]admin.Member{"node-n1": {Alive: true, Voter: true, Leader: true, LeaseLeft: time.Second}}
}
