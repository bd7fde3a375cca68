package actors

import (
	"slices"
	"testing"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// TestARequestSentAgainFindsTheOperationItBegan: the one of the first time, as
// long as that is open.
func TestARequestSentAgainFindsTheOperationItBegan(t *testing.T) {
	h := open(t)
	c := h.running(t)
	caller := h.caller
	caller.Idempotency = &state.Idempotency{Key: "k", Hash: "h"}
	var id state.SnapshotID
	create := func() (SnapshotAsked, error) { return h.Snapshots.Create(t.Context(), caller, c.ID) }
	remove := func() (SnapshotAsked, error) { return h.Snapshots.Delete(t.Context(), h.caller, id) }
	for _, tt := range []struct {
		op  fake.Op
		ask func() (SnapshotAsked, error)
	}{{fake.Snapshot, create}, {fake.DropSnapshot, remove}} {
		hold := make(chan struct{})
		h.driver.Script().Add(fake.Rule{Op: tt.op, Hold: hold, Times: 1})
		first, err := tt.ask()
		if err != nil || first.Operation == nil {
			t.Fatalf("%s: %+v, %v", tt.op, first, err)
		}
		id = first.Snapshot.ID
		again, err := tt.ask()
		if err != nil || again.Snapshot.ID != id || again.Operation == nil || again.Operation.ID != first.Operation.ID {
			t.Fatalf("%s: first %+v, again %+v, %v", tt.op, first, again, err)
		}
		close(hold)
		waitFor(t, func() bool { return h.operation(t, first.Operation.ID).Status.Over() })
		if tt.op == fake.Snapshot {
			if over, err := create(); err != nil || over.Snapshot.ID != id || over.Operation != nil {
				t.Fatalf("%+v, %v", over, err)
			}
		}
	}
}

// TestAFailedSnapshotDoesNotStayOnTheDisk: it was kept before it failed.
func TestAFailedSnapshotDoesNotStayOnTheDisk(t *testing.T) {
	h := open(t)
	clock := actorstest.NewClock()
	h.o.Now = clock.Now
	c := h.running(t)
	snapshot := func(want state.OperationStatus) state.SnapshotID {
		t.Helper()
		asked, err := h.Snapshots.Create(t.Context(), h.caller, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return h.operation(t, asked.Operation.ID).Status == want })
		return asked.Snapshot.ID
	}
	h.driver.Script().Add(fake.Rule{Op: fake.Snapshot, Err: runtime.ErrFull, Late: true, Times: 1})
	failed, ready := snapshot(state.OperationFailed), snapshot(state.OperationSucceeded)
	keeps := func(want ...state.SnapshotID) {
		t.Helper()
		if err := h.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		held, err := h.driver.Snapshots(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var names []state.SnapshotID
		for _, one := range held {
			names = append(names, state.SnapshotID(one.Name))
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Fatalf("the machine keeps %q, not %q", names, want)
		}
	}
	both := []state.SnapshotID{failed, ready}
	slices.Sort(both)
	keeps(both...)
	clock.Advance(orphanAge)
	keeps(ready)
}
