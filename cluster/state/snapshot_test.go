package state

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// snap asks for a snapshot of the lone computer.
func (f *fixture) snap(id SnapshotID) {
	f.tb.Helper()
	f.do(CreateSnapshot{Account: acct, Computer: lone, ID: id, Operation: Operation{ID: OperationID("op_" + id)}})
}

func (f *fixture) snapshot(id SnapshotID) Snapshot {
	f.tb.Helper()
	return got(f, func(v *View) (Snapshot, error) { return v.Snapshot(acct, id) })
}

// aloneWithData makes the lone computer with a disk on n1.
func (f *fixture) aloneWithData() Epoch {
	f.tb.Helper()
	f.makeLone("box")
	epoch := f.claim(lone, n1)
	f.refused("", CreateSnapshot{Account: acct, Computer: lone, ID: "snap_0", Operation: Operation{ID: "op_0"}}, fault.Conflict, "")
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running, HasData: true})
	return epoch
}

func TestASnapshotsLife(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	f.snap("snap_1")
	if s := f.snapshot("snap_1"); s.Phase != SnapshotCreating || s.Size.DiskBytes != 5<<30 || f.operation("op_snap_1").Status.Over() {
		t.Fatalf("%+v", s)
	}
	made := SnapshotMade{ID: "snap_1", Epoch: epoch, Bytes: 700}
	f.refused("", DeleteSnapshot{Account: acct, ID: "snap_1", Operation: Operation{ID: "op_x"}}, fault.Conflict, "")
	f.refused(n2, made, fault.Moved, "")
	f.ok(n1, made)
	f.ok(n1, made) // again
	if s := f.snapshot("snap_1"); s.Phase != SnapshotReady || s.ReadyAt.IsZero() || f.account(acct).SnapshotBytes != 700 {
		t.Fatalf("%+v, %d bytes", s, f.account(acct).SnapshotBytes)
	}
	if o := f.operation("op_snap_1"); o.Status != OperationSucceeded || o.Snapshot != "snap_1" {
		t.Fatalf("%+v", o)
	}
	f.snap("snap_2")
	f.ok(n1, SnapshotMade{ID: "snap_2", Epoch: epoch, Error: "no btrfs"})
	if s, o := f.snapshot("snap_2"), f.operation("op_snap_2"); s.Phase != SnapshotFailed || o.Error != "no btrfs" {
		t.Fatalf("%+v, %+v", s, o)
	}
	f.check()
	// It outlives its computer, and left disks are dropped without it.
	f.snap("snap_3")
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishDeleted})
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Deleted})
	if s, o := f.snapshot("snap_3"), f.operation("op_snap_3"); s.Phase != SnapshotFailed || o.Status != OperationFailed {
		t.Fatalf("%+v, %+v", s, o)
	}
	f.pass(LeftDiskLifetime + time.Hour)
	f.do(Sweep{})
	if _, known, _ := f.view().AnyComputer(lone); known || f.snapshot("snap_1").Phase != SnapshotReady {
		t.Fatal("the snapshot went with its computer")
	}
	f.do(DeleteSnapshot{Account: acct, ID: "snap_1", Operation: Operation{ID: "op_delete"}})
	f.refused(n2, SnapshotGone{ID: "snap_1", Node: n2}, fault.Conflict, "")
	f.ok(n1, SnapshotGone{ID: "snap_1", Node: n1})
	f.ok(n1, SnapshotGone{ID: "snap_1", Node: n1})
	if o := f.operation("op_delete"); o.Status != OperationSucceeded || f.account(acct).SnapshotBytes != 0 {
		t.Fatalf("%+v, %d bytes", o, f.account(acct).SnapshotBytes)
	}
	f.check()
}

func TestASnapshotThatIsNotMadeInTimeFails(t *testing.T) {
	f := newFixture(t)
	f.aloneWithData()
	f.snap("snap_1")
	f.pass(CreateSnapshotOperation.Limit() + 1)
	f.do(Sweep{})
	if s, o := f.snapshot("snap_1"), f.operation("op_snap_1"); s.Phase != SnapshotFailed || o.Status != OperationFailed {
		t.Fatalf("%+v, %+v", s, o)
	}
	f.check()
}

func TestSnapshotsAreBounded(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	for i := range MaxSnapshots {
		id := SnapshotID("snap_" + encodeText(uint64(i)))
		f.snap(id)
		f.ok(n1, SnapshotMade{ID: id, Epoch: epoch, Bytes: 1})
	}
	f.refused("", CreateSnapshot{Account: acct, Computer: lone, ID: "snap_over", Operation: Operation{ID: "op_over"}}, fault.Conflict, "")
	f.check()
}

func TestRestoring(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	f.snap("snap_1")
	restore := func(a AccountID, disk int64) CreateComputer {
		return CreateComputer{Computer: Computer{ID: "comp_again", Account: a, Source: "snap_1", Wish: WishRunning, DiskBytes: disk},
			Operation: &Operation{ID: "op_restore", Kind: RestoreOperation}}
	}
	f.refused("", restore(acct, 5<<30), fault.Conflict, "") // not ready
	f.ok(n1, SnapshotMade{ID: "snap_1", Epoch: epoch, Bytes: 1})
	f.refused("", restore(other, 5<<30), fault.NotFound, "")
	f.refused("", restore(acct, 1<<30), fault.Invalid, "")
	f.do(restore(acct, 5<<30))
	if c := f.computer("comp_again"); c.Source != "snap_1" || c.Image != f.computer(lone).Image {
		t.Fatalf("%+v", c)
	}
	// A transfer takes the snapshots with it.
	f.do(TransferComputer{Account: acct, Computer: lone, To: other})
	if _, err := f.view().Snapshot(acct, "snap_1"); !fault.Is(err, fault.NotFound) || f.account(other).SnapshotBytes != 1 || f.account(acct).SnapshotBytes != 0 {
		t.Fatalf("%v; %d and %d bytes", err, f.account(acct).SnapshotBytes, f.account(other).SnapshotBytes)
	}
	f.check()
}
