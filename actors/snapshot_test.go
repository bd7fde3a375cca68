package actors

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
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
