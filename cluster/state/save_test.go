package state

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func save(name string) Save { return Save{Name: name, Store: "bucket", Bytes: 7, MadeAt: midday} }

func TestOnlyTheOwnerInItsEpochSaves(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	one := SaveDisk{Computer: lone, Epoch: epoch, Save: save("one")}
	f.refused(n2, one, fault.Moved, "")
	f.ok(n1, one)
	f.ok(n1, one) // again
	if c := f.computer(lone); c.Saved.Name != "one" || c.Saved.Node != n1 || c.Saved.Epoch != epoch || c.Saved.Clean {
		t.Fatalf("%+v", c.Saved)
	}
	f.refused(n1, SaveDisk{Computer: lone, Epoch: epoch, Save: Save{Name: "x"}}, fault.Invalid, "")
	f.ok(n1, SaveDisk{Computer: lone, Epoch: epoch, Error: "the bucket is away"})
	if c := f.computer(lone); c.Saved.Name != "one" || c.SaveError == "" {
		t.Fatalf("%+v, %q", c.Saved, c.SaveError)
	}
	f.ok(n1, SaveDisk{Computer: lone, Epoch: epoch, Base: "one", Save: save("two")})
	// One that began before the other ended comes too late.
	f.refused(n1, SaveDisk{Computer: lone, Epoch: epoch, Base: "one", Save: save("three")}, fault.Conflict, CodeChanged)
	if c := f.computer(lone); c.Saved.Name != "two" || c.SaveError != "" {
		t.Fatalf("%+v, %q", c.Saved, c.SaveError)
	}
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.do(Claim{Computer: lone, Node: n2, Seen: epoch})
	// A former owner's late save, and the new owner's before it has the disk.
	f.refused(n1, SaveDisk{Computer: lone, Epoch: epoch, Base: "two", Save: save("late")}, fault.Moved, "")
	f.refused(n2, SaveDisk{Computer: lone, Epoch: epoch + 1, Base: "two", Save: save("empty")}, fault.Conflict, "")
	f.check()
}

// TestCleanMeansThatNothingWasWritten follows what ends it.
func TestCleanMeansThatNothingWasWritten(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	clean := func(name string) bool {
		s := save(name)
		s.Clean = true
		f.ok(n1, SaveDisk{Computer: lone, Epoch: epoch, Base: f.computer(lone).Saved.Name, Save: s})
		return f.computer(lone).Saved.Clean
	}
	if clean("one") {
		t.Fatal("a running computer's save is clean")
	}
	phase := func(p Phase) { f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: p, HasData: true}) }
	phase(Stopped)
	if !clean("two") || !f.computer(lone).Restores() {
		t.Fatal("a stopped computer's save is not clean")
	}
	phase(Stopped)
	if !f.computer(lone).Saved.Clean {
		t.Fatal("staying stopped ended it")
	}
	f.refused(n2, DirtyDisk{Computer: lone, Epoch: epoch}, fault.Moved, "")
	f.ok(n1, DirtyDisk{Computer: lone, Epoch: epoch})
	if f.computer(lone).Saved.Clean || f.computer(lone).Restores() {
		t.Fatal("it is clean while it is written to")
	}
	clean("three")
	phase(Running)
	if f.computer(lone).Saved.Clean {
		t.Fatal("it is clean while it runs")
	}
}

func TestRestoredDisksAreTheNewest(t *testing.T) {
	for name, recovered := range map[string]bool{"a clean save": false, "one that its user chose": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			epoch := f.aloneWithData()
			f.refused("", RecoverComputer{Account: acct, Computer: lone}, fault.Conflict, "") // its node is there
			f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Stopped, HasData: true})
			s := save("one")
			s.Clean = !recovered
			f.ok(n1, SaveDisk{Computer: lone, Epoch: epoch, Save: s})
			f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
			if recovered {
				f.refused("", RecoverComputer{Account: other, Computer: lone}, fault.NotFound, "")
				f.do(RecoverComputer{Account: acct, Computer: lone})
				f.do(RecoverComputer{Account: acct, Computer: lone})
			}
			if !f.computer(lone).Restores() {
				t.Fatalf("%+v", f.computer(lone))
			}
			f.do(Claim{Computer: lone, Node: n2, Seen: epoch})
			restore := RestoreDisk{Computer: lone, Epoch: epoch + 1, Save: "one"}
			f.refused(n1, restore, fault.Moved, "")
			f.refused(n2, RestoreDisk{Computer: lone, Epoch: epoch + 1, Save: "other"}, fault.Conflict, "")
			f.ok(n2, restore)
			f.ok(n2, restore)
			c := f.computer(lone)
			if c.DataNode != n2 || !c.Saved.Clean || c.Restored.Epoch != epoch+1 || c.Restored.Clean == recovered || !c.Restored.MadeAt.Equal(midday) {
				t.Fatalf("%+v", c)
			}
			f.check()
		})
	}
}

func TestWithoutASaveThereIsNothingToRecover(t *testing.T) {
	f := newFixture(t)
	f.aloneWithData()
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.refused("", RecoverComputer{Account: acct, Computer: lone}, fault.Conflict, CodeNoSave)
}

func TestADiskThatWasLeftBecomesASnapshot(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.do(Claim{Computer: lone, Node: n2, Seen: epoch})
	f.do(KeepDisk{ID: "snap_left", Computer: lone, Node: n1, Epoch: epoch, Name: "left on node one, epoch 1"})
	f.refused("", DiskKept{ID: "snap_left", Node: n1}, fault.Conflict, "") // nobody else has the newest yet
	f.ok(n2, SetPhase{Computer: lone, Epoch: epoch + 1, Phase: Running, HasData: true})
	if list := got(f, func(v *View) (List[Snapshot], error) { return v.AskedSnapshots(lone, Page{Limit: 9}) }); list.Total != 0 {
		t.Fatalf("it is offered before it is kept: %+v", list)
	}
	f.refused("", DiskKept{ID: "snap_left", Node: n2}, fault.Conflict, "")
	f.do(DiskKept{ID: "snap_left", Node: n1})
	f.do(DiskKept{ID: "snap_left", Node: n1})
	s := f.snapshot("snap_left")
	if s.Phase != SnapshotReady || !s.Kept || s.Size.DiskBytes == 0 || f.account(acct).SnapshotBytes != 0 {
		t.Fatalf("%+v", s)
	}
	if state, why, err := f.view().Durability(s); state != DurableFailed || why == "" || err != nil {
		t.Fatalf("%s, %q, %v", state, why, err)
	}
	// A computer is made from it, and it is deleted as others are.
	f.do(CreateComputer{Computer: Computer{ID: "comp_again", Account: acct, Source: "snap_left", DiskBytes: s.Size.DiskBytes}})
	f.do(DeleteSnapshot{Account: acct, ID: "snap_left", Operation: Operation{ID: "op_left"}})
	f.begin(n1)
	f.ok(n1, SnapshotGone{ID: "snap_left", Node: n1})
	f.check()
}

func TestADiskThatWasLeftGoesWithItsComputer(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	f.snap("snap_asked")
	f.ok(n1, SnapshotMade{ID: "snap_asked", Epoch: epoch, Bytes: 7})
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.do(Claim{Computer: lone, Node: n2, Seen: epoch})
	f.do(KeepDisk{ID: "snap_left", Computer: lone, Node: n1, Epoch: epoch})
	f.ok(n2, SetPhase{Computer: lone, Epoch: epoch + 1, Phase: Running, HasData: true})
	f.do(DiskKept{ID: "snap_left", Node: n1})
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishDeleted})
	f.ok(n2, SetPhase{Computer: lone, Epoch: epoch + 1, Phase: Deleted})
	if left, asked := f.snapshot("snap_left"), f.snapshot("snap_asked"); left.Phase != SnapshotDeleting || asked.Phase != SnapshotReady {
		t.Fatalf("%+v, %+v", left, asked)
	}
	f.begin(n1)
	f.ok(n1, SnapshotGone{ID: "snap_left", Node: n1})
	f.check()
}

func TestSnapshotsTellHowDurableTheyAre(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	tells := func(want DurableState) {
		t.Helper()
		state, why, err := f.view().Durability(f.snapshot("snap_1"))
		if err != nil || state != want || (why == "") == (want == DurableFailed) {
			t.Fatalf("%s, %q, %v; want %s", state, why, err, want)
		}
	}
	f.snap("snap_1")
	tells(DurablePending)
	f.ok(n1, SnapshotMade{ID: "snap_1", Epoch: epoch, Bytes: 7})
	tells(DurableFailed) // without a store
	f.do(ReachStore{Node: n1, Store: "bucket"})
	tells(DurablePending)
	f.refused(n2, SnapshotSaved{ID: "snap_1", Epoch: epoch, Durable: DurableSyncing}, fault.Moved, "")
	f.ok(n1, SnapshotSaved{ID: "snap_1", Epoch: epoch, Durable: DurableSyncing})
	tells(DurableSyncing)
	if list := got(f, func(v *View) ([]Snapshot, error) { return v.UnsavedSnapshots(lone, n1) }); len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	f.pass(time.Minute)
	f.ok(n1, SnapshotSaved{ID: "snap_1", Epoch: epoch, Durable: DurableReady, Store: "bucket"})
	tells(DurableReady)
	if s := f.snapshot("snap_1"); !s.DurableAt.Equal(f.now) || s.Store != "bucket" {
		t.Fatalf("%+v", s)
	}
	names := got(f, func(v *View) ([]string, error) { return v.DurableSnapshots(lone) })
	if len(names) != 1 || names[0] != "snap_1" {
		t.Fatal(names)
	}
}
