package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

var _ Writer = (*statetest.Memory)(nil)

// tb is what the fixture needs of a test, so that rapid's tests can use it too.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// midday is when fixtures begin: not a round second, for times must survive whole.
var midday = time.Date(2026, 3, 30, 12, 0, 0, 123456789, time.UTC)

// fixture is one replica with a clock and with nodes that number their commands.
type fixture struct {
	tb      tb
	store   *statetest.Memory
	now     time.Time
	index   uint64
	log     [][]byte
	life    map[NodeID]uint64 // incarnations
	counter map[NodeID]uint64
}

const (
	n1, n2, n3 = NodeID("n1"), NodeID("n2"), NodeID("n3")
	acct       = AccountID("acct_a")
	other      = AccountID("acct_b")
	env        = EnvironmentID("env_a")
	comp       = ComputerID("comp_a")
	start      = MicroUSD(10_000_000)
)

// newFixture is a cluster of three nodes with leases, two accounts with a key,
// and an environment of acct with its computer, which nobody owns yet.
func newFixture(t tb) *fixture {
	t.Helper()
	f := &fixture{tb: t, store: statetest.New(), now: midday, life: map[NodeID]uint64{}, counter: map[NodeID]uint64{}}
	f.do(Bootstrap{Cluster: "c1", Version: CommandVersion, Node: Node{ID: n1, Name: "one", KeyHash: []byte("k1")},
		Account: Account{ID: acct, Name: "a", Balance: start}, User: User{ID: "user_a", Account: acct, Role: "owner"},
		Key: Key{ID: "key_a", Hash: "hash_a", Account: acct, User: "user_a", Admin: true}})
	for _, n := range []NodeID{n2, n3} {
		f.do(CreateToken{Hash: "token-" + string(n)})
		f.do(AdmitNode{Token: "token-" + string(n), Node: Node{ID: n, Name: "name-" + string(n), KeyHash: []byte(n)}})
	}
	for _, n := range []NodeID{n1, n2, n3} {
		f.begin(n)
		f.do(RenewLease{Node: n, Incarnation: f.life[n]})
	}
	f.do(CreateAccount{Account: Account{ID: other, Name: "b", Balance: start}})
	f.do(CreateUser{User: User{ID: "user_b", Account: other, Role: "owner"}})
	f.makeEnvironment(acct, env, comp)
	return f
}

func (f *fixture) makeEnvironment(a AccountID, e EnvironmentID, c ComputerID) {
	f.tb.Helper()
	f.do(CreateEnvironment{Environment: Environment{ID: e, Account: a, Name: string(e)}, Computer: Computer{ID: c}})
}

// begin gives a node its next life, with a nonce of its own.
func (f *fixture) begin(n NodeID) {
	f.tb.Helper()
	var life uint64
	f.reply(f.do(TakeIncarnation{Node: n, Nonce: fmt.Sprintf("%s-%d", n, f.life[n]+1)}), &life)
	f.life[n] = life
}

// pass lets time go by.
func (f *fixture) pass(d time.Duration) { f.now = f.now.Add(d) }

// entry applies proposals as one entry.
func (f *fixture) entry(ps ...Proposal) Applied {
	f.tb.Helper()
	b, err := Encode(Entry{Stamp: f.now.UnixNano(), Proposals: ps})
	if err != nil {
		f.tb.Fatalf("encode entry: %v", err)
	}
	f.index++
	f.log = append(f.log, b)
	done, err := Apply(f.store, f.index, b)
	if err != nil {
		f.tb.Fatalf("apply: %v", err)
	}
	return done
}

// propose numbers a command of a node; "" and a node without a life do not number.
func (f *fixture) propose(n NodeID, cmd Command) Proposal {
	f.tb.Helper()
	id := CommandID{}
	if f.life[n] != 0 {
		f.counter[n]++
		id = CommandID{Node: n, Incarnation: f.life[n], Counter: f.counter[n]}
	}
	p, err := Propose(id, 0, cmd)
	if err != nil {
		f.tb.Fatalf("propose %T: %v", cmd, err)
	}
	return p
}

// by applies one command of a node and returns what became of it.
func (f *fixture) by(n NodeID, cmd Command) Result {
	f.tb.Helper()
	return f.entry(f.propose(n, cmd)).Results[0]
}

// do applies a command that nobody owns and that has to succeed.
func (f *fixture) do(cmd Command) Result {
	f.tb.Helper()
	return f.ok("", cmd)
}

// ok applies a command of a node that has to succeed.
func (f *fixture) ok(n NodeID, cmd Command) Result {
	f.tb.Helper()
	r := f.by(n, cmd)
	if err := r.Err(); err != nil {
		f.tb.Fatalf("%T: %v", cmd, err)
	}
	return r
}

// refused applies a command that has to be refused in one way, and checks that
// it left nothing behind but its own result.
func (f *fixture) refused(n NodeID, cmd Command, kind fault.Kind, code string) {
	f.tb.Helper()
	p := f.propose(n, cmd)
	before := f.store.Clone()
	r := f.entry(p).Results[0]
	if r.Fault == nil || r.Fault.Kind != kind || r.Fault.Code != code {
		f.tb.Fatalf("%T: %+v; want %s %q", cmd, r.Fault, kind, code)
	}
	after := f.store.Clone()
	for _, k := range [][]byte{keyApplied, keyStamp, resultKey(p.ID)} {
		before.Delete(k)
		after.Delete(k)
	}
	if diff := before.Diff(after); diff != "" {
		f.tb.Fatalf("%T was refused and left something: %s", cmd, diff)
	}
}

func (f *fixture) reply(r Result, into any) {
	f.tb.Helper()
	if err := Decode(r.Reply, into); err != nil {
		f.tb.Fatalf("reply %x: %v", r.Reply, err)
	}
}

func (f *fixture) view() *View { return NewView(f.store, nil) }

func (f *fixture) account(id AccountID) Account {
	f.tb.Helper()
	return got(f, func(v *View) (Account, error) { return v.Account(id, f.now) })
}

func (f *fixture) computer(id ComputerID) Computer {
	f.tb.Helper()
	return got(f, func(v *View) (Computer, error) { return computers.get(v.r, string(id)) })
}

func (f *fixture) thread(id ThreadID) Thread {
	f.tb.Helper()
	return got(f, func(v *View) (Thread, error) { return threads.get(v.r, string(id)) })
}

func (f *fixture) run(id RunID) Run {
	f.tb.Helper()
	return got(f, func(v *View) (Run, error) { return runs.get(v.r, string(id)) })
}

func (f *fixture) node(id NodeID) Node {
	f.tb.Helper()
	return got(f, func(v *View) (Node, error) { return v.Node(id) })
}

func got[T any](f *fixture, read func(*View) (T, error)) T {
	f.tb.Helper()
	rec, err := read(f.view())
	if err != nil {
		f.tb.Fatalf("read: %v", err)
	}
	return rec
}

// events are a thread's, from its first.
func (f *fixture) events(id ThreadID) []Event {
	f.tb.Helper()
	var all []Event
	if err := f.view().Events(id, 0, func(e Event) bool { all = append(all, e); return true }); err != nil {
		f.tb.Fatalf("events: %v", err)
	}
	return all
}

// claim gives comp to a node and returns the epoch.
func (f *fixture) claim(c ComputerID, n NodeID) Epoch {
	f.tb.Helper()
	var e Epoch
	f.reply(f.ok(n, Claim{Computer: c, Node: n, Seen: f.computer(c).Epoch}), &e)
	return e
}

// startRun makes a thread in env and a run in it that reserves an amount.
func (f *fixture) startRun(t ThreadID, r RunID, amount MicroUSD) {
	f.tb.Helper()
	f.ok(n1, startRun(t, r, amount))
}

func startRun(t ThreadID, r RunID, amount MicroUSD) StartRun {
	return StartRun{Account: acct, Create: &Thread{ID: t, Account: acct, Environment: env}, Run: Run{ID: r},
		Message: &Message{ID: MessageID("msg_" + r), Role: "user", Content: "hello"},
		Reserve: &Reservation{ID: ReservationID("resv_" + r), Amount: amount, Floor: amount / 2}}
}

func ptr[T any](v T) *T { return &v }

// check fails the test with what an audit found.
func (f *fixture) check() {
	f.tb.Helper()
	if err := audit(f.store); err != nil {
		f.tb.Fatalf("%v", err)
	}
}

func TestFixtureHolds(t *testing.T) {
	f := newFixture(t)
	f.check()
	f.claim(comp, n2)
	f.startRun("thread_1", "run_1", 1000)
	f.check()
}
