package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// TestAbandonedNode removes a node for ever, with a computer that is up, one that
// was being deleted, snapshots, and a disk that was left there.
func TestAbandonedNode(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 0)
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running, HasData: true})
	f.ok(n1, RecordUsage{Ticks: []Tick{{Computer: comp, Epoch: epoch, Next: "resv_1", Amount: 500}}})
	f.makeEnvironment(acct, "env_kept", "comp_kept")
	f.makeEnvironment(acct, "env_lost", "comp_lost")
	for _, id := range []ComputerID{"comp_kept", "comp_lost"} {
		e := f.claim(id, n1)
		f.ok(n1, SetPhase{Computer: id, Epoch: e, Phase: Stopped, HasData: true})
	}
	f.ok(n1, SaveDisk{Computer: "comp_kept", Epoch: 1, Save: Save{Name: "one", Store: "bucket"}})
	f.makeLone("box")
	f.claim(lone, n1)
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishDeleted, Operation: &Operation{ID: "op_d", Kind: DeleteOperation}})
	for _, id := range []SnapshotID{"snap_1", "snap_2"} {
		f.do(CreateSnapshot{Account: acct, Computer: comp, ID: id, Operation: Operation{ID: OperationID("op_" + id)}})
		f.ok(n1, SnapshotMade{ID: id, Epoch: epoch, Bytes: 7})
	}
	f.do(DeleteSnapshot{Account: acct, ID: "snap_2", Operation: Operation{ID: "op_ds"}})
	f.refused("", RemoveNode{Node: n1}, fault.Conflict, "")
	f.refused("", RemoveNode{Node: n1, Abandon: true}, fault.Conflict, "") // it may act
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.refused("", RemoveNode{Node: n1}, fault.Conflict, "")
	f.do(RemoveNode{Node: n1, Abandon: true})
	f.do(RemoveNode{Node: n1, Abandon: true})
	c := f.computer(comp)
	if c.Node != "" || c.Epoch != epoch+1 || c.Phase != Stopped || c.DataNode != n1 || c.Reservation != "" {
		t.Fatalf("%+v", c)
	}
	if c := f.computer("comp_kept"); !c.Restores() || c.Phase != Stopped {
		t.Fatalf("one with a save: %+v", c)
	}
	if c := f.computer("comp_lost"); c.DataNode != "" || c.Phase != Failed || c.Error == "" {
		t.Fatalf("one without: %+v", c)
	}
	if gone, _, _ := f.view().AnyComputer(lone); gone.Phase != Deleted {
		t.Fatalf("one that was to be deleted: %+v", gone)
	}
	if s := f.snapshot("snap_1"); s.Phase != SnapshotFailed || s.Error == "" || f.account(acct).SnapshotBytes != 0 {
		t.Fatalf("%+v", s)
	}
	if _, there, err := f.view().AnySnapshot("snap_2"); there || err != nil {
		t.Fatalf("a snapshot that was to be deleted: %v", err)
	}
	for _, op := range []OperationID{"op_d", "op_ds"} {
		if o, err := f.view().Operation(acct, op); err != nil || o.Status != OperationSucceeded {
			t.Fatalf("%s: %+v, %v", op, o, err)
		}
	}
	f.refused(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Stopped}, fault.NotFound, "")
	f.do(DeleteSnapshot{Account: acct, ID: "snap_1", Operation: Operation{ID: "op_last"}})
	if _, there, err := f.view().AnySnapshot("snap_1"); there || err != nil {
		t.Fatalf("nobody is there to delete it: %v", err)
	}
	found := 0
	f.view().WantedComputersOn("", func(Computer) bool { found++; return true })
	if found != 1 {
		t.Fatalf("%d computers wait for an owner", found)
	}
	if e := f.claim(comp, n2); e != epoch+2 {
		t.Fatalf("epoch %d", e)
	}
	f.do(SetWish{Account: acct, Computer: comp, Wish: WishDeleted})
	f.check()
}

// TestAbandonedNodeOfOthersComputers removes a node for ever that has the newest disks
// of computers which another node owns by now: a run brought them there, and was over
// before it touched them.
func TestAbandonedNodeOfOthersComputers(t *testing.T) {
	f := newFixture(t)
	for _, id := range []ComputerID{"comp_kept", "comp_lost"} {
		f.makeEnvironment(acct, EnvironmentID("env_"+id), id)
		e := f.claim(id, n1)
		f.ok(n1, SetPhase{Computer: id, Epoch: e, Phase: Stopped, HasData: true})
	}
	f.ok(n1, SaveDisk{Computer: "comp_kept", Epoch: 1, Save: Save{Name: "one", Store: "bucket"}})
	f.ok(n1, DirtyDisk{Computer: "comp_kept", Epoch: 1})
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	for _, id := range []ComputerID{"comp_kept", "comp_lost"} {
		f.claim(id, n2)
		if c := f.computer(id); c.DataNode != n1 || c.Restores() {
			t.Fatalf("its disk is to be on the node that is away: %+v", c)
		}
	}
	f.refused("", RemoveNode{Node: n1}, fault.Conflict, "")
	f.do(RemoveNode{Node: n1, Abandon: true})
	if c := f.computer("comp_kept"); !c.Restores() || c.Node != n2 || c.Epoch != 2 {
		t.Fatalf("one with a save: %+v", c)
	}
	if c := f.computer("comp_lost"); c.DataNode != "" || c.Phase != Failed || c.Error == "" {
		t.Fatalf("one without: %+v", c)
	}
	f.check()
}
