package clustertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

// warden notes what a node's warden is told.
type warden struct {
	mu       sync.Mutex
	deadline time.Duration
	none     bool
}

func (w *warden) Deadline(at time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline, w.none = at, false
	return nil
}

func (w *warden) NoDeadline() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.none = true
	return nil
}

func (w *warden) told() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deadline, w.none
}

// startRun makes an environment with a computer and a running thread on it.
func startRun(t testing.TB, n *Node, id string) state.ComputerID {
	t.Helper()
	newEnvironment(t, n, "env_"+id, "comp-"+id)
	_, err := n.Apply(within(t, Patience), state.StartRun{
		Account: Account,
		Create:  &state.Thread{ID: state.ThreadID("thread_" + id), Account: Account, Environment: state.EnvironmentID("env_" + id)},
		Run:     state.Run{ID: state.RunID("run_" + id)},
		Message: &state.Message{ID: state.MessageID("msg_" + id), Role: "user", Content: "hello"},
	})
	must(t, err)
	return state.ComputerID("comp-" + id)
}

func computerOn(t testing.TB, n *Node, id state.ComputerID) state.Computer {
	t.Helper()
	v, err := n.Stale()
	must(t, err)
	defer v.Close()
	c, _, err := v.AnyComputer(id)
	must(t, err)
	return c
}

// TestOwnershipMovesOnlyAfterTheHolderStopped cuts an owner off. Its computer
// with a running thread gets a new owner in a new epoch, after the old one
// stopped acting and its warden's deadline has passed; then the old one begins
// a new life and learns what it lost.
func TestOwnershipMovesOnlyAfterTheHolderStopped(t *testing.T) {
	wardens := []*warden{{}, {}, {}}
	expired := make(chan uint64, 8)
	c := New(t, 3, Options{Node: func(i int, o *cluster.Options) {
		o.Warden = wardens[i]
		o.OnExpired = func(_ context.Context, incarnation uint64) error { expired <- incarnation; return nil }
	}})
	c.Voters(0, 3)
	id := startRun(t, c.Node(0), "a")
	placed, err := c.Node(0).Place(within(t, Patience), id)
	must(t, err)
	again, err := c.Node(1).Place(within(t, Patience), id)
	if err != nil || again != placed {
		t.Fatalf("placed on %+v, then on %+v, %v", placed, again, err)
	}
	owner := c.index(placed.Node)
	old := c.Node(owner)
	life := old.Incarnation()
	ctx, done := old.LeaseContext(context.Background())
	defer done()
	if !old.LeaseHeld() || ctx.Err() != nil {
		t.Fatal("the owner has no lease")
	}
	c.Isolate(owner)
	<-ctx.Done()
	stopped := cluster.SystemClock{}.Boottime()
	if !errors.Is(context.Cause(ctx), cluster.ErrLeaseLost) || old.LeaseHeld() {
		t.Fatalf("the context of the lease ended with %v", context.Cause(ctx))
	}
	other := c.Node(c.Leader(owner))
	if now := computerOn(t, other, id); now.Node != old.ID || now.Epoch != placed.Epoch {
		t.Fatalf("the computer moved to %s, epoch %d, before its owner stopped acting", now.Node, now.Epoch)
	}
	c.Eventually("the computer has a new owner", func() bool { return computerOn(t, other, id).Node != old.ID })
	moved := cluster.SystemClock{}.Boottime()
	frozen, none := wardens[owner].told()
	if none || frozen > moved || stopped >= moved {
		t.Fatalf("stopped at %v, frozen at %v (no deadline: %v), moved at %v", stopped, frozen, none, moved)
	}
	t.Logf("the owner stopped %v, and its computers froze %v, before the computer moved", moved-stopped, moved-frozen)
	if got := computerOn(t, other, id); got.Epoch != placed.Epoch+1 {
		t.Fatalf("the epoch is %d after %d", got.Epoch, placed.Epoch)
	}
	c.Heal()
	select {
	case got := <-expired:
		if got <= life {
			t.Fatalf("incarnation %d after %d", got, life)
		}
	case <-time.After(Patience):
		t.Fatal("the old owner was not told that its lease had expired")
	}
	c.WaitReady(owner)
	_, err = old.Apply(within(t, Patience), state.SetPhase{Computer: id, Epoch: placed.Epoch, Phase: state.Running})
	if fault.Of(err) != fault.Moved {
		t.Fatalf("a command of the old epoch: %v", err)
	}
}

func (c *Nodes) index(id state.NodeID) int {
	for _, n := range c.all() {
		if n.ID == id {
			return n.Index
		}
	}
	c.t.Fatalf("no node %s", id)
	return -1
}

// TestStoppedComputerWaitsForItsData places a computer whose data is on a node
// that is away: it waits, with the reason, until the node is back.
func TestStoppedComputerWaitsForItsData(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	newEnvironment(t, c.Node(0), "env_a", "comp-a")
	placed, err := c.Node(0).Place(within(t, Patience), "comp-a")
	must(t, err)
	owner := c.index(placed.Node)
	_, err = c.Node(owner).Apply(within(t, Patience), state.SetPhase{Computer: "comp-a", Epoch: placed.Epoch, Phase: state.Stopped, HasData: true})
	must(t, err)
	c.Kill(owner)
	other := c.Node(c.Leader(owner))
	c.Eventually("the owner's lease runs out", func() bool { return c.Record(other.Index, placed.Node).Expired })
	_, err = other.Place(within(t, Patience), "comp-a")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != cluster.CodeDataAway {
		t.Fatalf("placed without its data: %v", err)
	}
	c.Start(owner)
	c.WaitReady(owner)
	again, err := other.Place(within(t, Patience), "comp-a")
	if err != nil || again != placed {
		t.Fatalf("placed on %+v before, and on %+v now, %v", placed, again, err)
	}
}

// TestRestoreGoesToItsSnapshotsNode places computers that begin as a snapshot:
// on the snapshot's node, and on no other while that one has no room or is away.
func TestRestoreGoesToItsSnapshotsNode(t *testing.T) {
	var full atomic.Pointer[state.NodeID]
	c := New(t, 3, Options{Node: func(_ int, o *cluster.Options) {
		o.Capacity = func(id state.NodeID) (placement.Node, bool) {
			n := placement.Node{Known: true, FreeMemoryBytes: 8 << 30, FreeDiskBytes: 1 << 40}
			if at := full.Load(); at != nil && *at == id {
				n.FreeMemoryBytes = 0
			}
			return n, true
		}
	}})
	c.Voters(0, 3)
	newEnvironment(t, c.Node(0), "env_a", "comp-a")
	placed, err := c.Node(0).Place(within(t, Patience), "comp-a")
	must(t, err)
	owner := c.index(placed.Node)
	for _, cmd := range []state.Command{
		state.SetPhase{Computer: "comp-a", Epoch: placed.Epoch, Phase: state.Stopped, HasData: true},
		state.CreateSnapshot{Account: Account, Computer: "comp-a", ID: "snap_a", Operation: state.Operation{ID: "op_a"}},
		state.SnapshotMade{ID: "snap_a", Epoch: placed.Epoch},
		state.CreateComputer{Computer: state.Computer{ID: "comp-b", Account: Account, Source: "snap_a", MemoryBytes: 1 << 20}},
		state.CreateComputer{Computer: state.Computer{ID: "comp-c", Account: Account, Source: "snap_a", MemoryBytes: 1 << 20}},
	} {
		_, err := c.Node(owner).Apply(within(t, Patience), cmd)
		must(t, err)
	}
	refused := func(n *Node, code string) {
		t.Helper()
		_, err := n.Place(within(t, Patience), "comp-b")
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != code {
			t.Fatalf("placed without its snapshot: %v", err)
		}
	}
	full.Store(&placed.Node)
	refused(c.Node(0), cluster.CodeNoRoom)
	full.Store(nil)
	restored, err := c.Node(0).Place(within(t, Patience), "comp-c")
	if err != nil || restored.Node != placed.Node {
		t.Fatalf("placed on %+v, %v; the snapshot is on %s", restored, err, placed.Node)
	}
	c.Kill(owner)
	other := c.Node(c.Leader(owner))
	c.Eventually("the owner's lease runs out", func() bool { return c.Record(other.Index, placed.Node).Expired })
	refused(other, cluster.CodeDataAway)
}

// TestOneNodeHasNoDeadline checks the warden of a lone node, and that it gets a
// deadline when a second node joins.
func TestOneNodeHasNoDeadline(t *testing.T) {
	w := &warden{}
	c := New(t, 1, Options{Node: func(i int, o *cluster.Options) {
		if i == 0 {
			o.Warden = w
		}
	}})
	if at, none := w.told(); !none || at != 0 {
		t.Fatalf("a lone node's warden has the deadline %v", at)
	}
	c.Add()
	c.WaitReady(1)
	c.Eventually("the first node's warden has a deadline", func() bool {
		at, none := w.told()
		return !none && at > cluster.SystemClock{}.Boottime()
	})
}

// TestASaveFreesAComputerFromItsNode places a stopped computer whose node is
// away: on nodes that reach the store with its save, when that is as good as the
// disk, or when its user takes it all the same.
func TestASaveFreesAComputerFromItsNode(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	ids := []state.ComputerID{"comp-a", "comp-b", "comp-c"}
	for i, id := range ids {
		newEnvironment(t, c.Node(0), fmt.Sprint("env_", i), string(id))
	}
	owner := 1
	apply := func(at int, cmd state.Command) error {
		_, err := c.Node(at).Apply(within(t, Patience), cmd)
		return err
	}
	must(t, apply(owner, state.ReachStore{Node: c.Node(owner).ID, Store: "bucket"}))
	for i, id := range ids {
		must(t, apply(owner, state.Claim{Computer: id, Node: c.Node(owner).ID}))
		must(t, apply(owner, state.SetPhase{Computer: id, Epoch: 1, Phase: state.Stopped, HasData: true}))
		if i < 2 {
			must(t, apply(owner, state.SaveDisk{Computer: id, Epoch: 1, Save: state.Save{Name: "one", Store: "bucket", Clean: i == 0}}))
		}
	}
	c.Kill(owner)
	other := c.Node(c.Leader(owner))
	c.Eventually("the owner's lease runs out", func() bool { return c.Record(other.Index, c.Node(owner).ID).Expired })
	refused := func(id state.ComputerID, code, word string) {
		t.Helper()
		_, err := other.Place(within(t, Patience), id)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != code || !strings.Contains(err.Error(), word) {
			t.Fatalf("%s: %v", id, err)
		}
	}
	refused("comp-a", cluster.CodeNoRoom, "blob store")
	must(t, apply(other.Index, state.ReachStore{Node: other.ID, Store: "bucket"}))
	placed, err := other.Place(within(t, Patience), "comp-a")
	if err != nil || placed.Node != other.ID {
		t.Fatalf("%+v, %v", placed, err)
	}
	refused("comp-b", cluster.CodeDataAway, "recover")
	refused("comp-c", cluster.CodeDataAway, "when the node returns")
	if err := apply(other.Index, state.RecoverComputer{Account: Account, Computer: "comp-c"}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("there is no save to recover: %v", err)
	}
	must(t, apply(other.Index, state.RecoverComputer{Account: Account, Computer: "comp-b"}))
	if placed, err = other.Place(within(t, Patience), "comp-b"); err != nil || placed.Node != other.ID {
		t.Fatalf("%+v, %v", placed, err)
	}
}
