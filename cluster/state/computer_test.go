package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestClaims(t *testing.T) {
	f := newFixture(t)
	f.refused(n1, Claim{Computer: "none", Node: n1}, fault.NotFound, "")
	f.refused(n1, Claim{Computer: comp, Node: n1, Seen: 7}, fault.Conflict, CodeChanged)
	f.refused(n1, Claim{Computer: comp, Node: "none"}, fault.NotFound, "")
	if e := f.claim(comp, n1); e != 1 {
		t.Fatalf("first epoch %d", e)
	}
	f.refused(n2, Claim{Computer: comp, Node: n2, Seen: 0}, fault.Conflict, CodeChanged)
	f.refused(n2, Claim{Computer: comp, Node: n2, Seen: 1}, fault.Conflict, "") // the owner's lease holds
	f.refused(n1, Claim{Computer: comp, Node: n2, Seen: 1}, fault.Conflict, "") // also for itself: it hands over
	f.ok(n1, HandOver{Computer: comp, Epoch: 1, To: n2})
	f.do(ExpireLease{Node: n2, Renewal: f.node(n2).Renewal})
	f.refused(n3, Claim{Computer: comp, Node: n2, Seen: 2}, fault.Conflict, "") // to a node without a lease
	f.ok(n3, Claim{Computer: comp, Node: n3, Seen: 2})
	if c := f.computer(comp); c.Node != n3 || c.Epoch != 3 {
		t.Fatalf("%s in epoch %d", c.Node, c.Epoch)
	}
	f.check()
}

// Everything an owner proposes is refused from another node, another epoch,
// after its lease, and without an incarnation.
func TestOwnersAreFenced(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 100)
	phase := func(e Epoch) SetPhase { return SetPhase{Computer: comp, Epoch: e, Phase: Starting} }
	appends := func(e Epoch) Append {
		return Append{Thread: "thread_1", Run: "run_1", Epoch: e, FirstSeq: 1, Events: make([]Event, 1)}
	}
	for _, e := range []Epoch{epoch - 1, epoch + 1} {
		f.refused(n1, phase(e), fault.Moved, "")
		f.refused(n1, appends(e), fault.Moved, "")
	}
	f.refused(n2, phase(epoch), fault.Moved, "")
	f.refused(n2, appends(epoch), fault.Moved, "")
	forged := f.propose(n1, appends(epoch))
	forged.ID.Incarnation = 0
	if err := f.entry(forged).Results[0].Err(); !fault.Is(err, fault.Moved) {
		t.Fatalf("an owner's command without an incarnation: %v", err)
	}
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.refused(n1, phase(epoch), fault.Moved, "")
	f.refused(n1, appends(epoch), fault.Moved, "")
	f.claim(comp, n2)
	f.begin(n1)
	f.refused(n1, appends(epoch), fault.Moved, "")
	f.ok(n2, appends(epoch+1))
	f.check()
}

func TestPhasesAndWishes(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	set := func(p Phase) SetPhase { return SetPhase{Computer: comp, Epoch: epoch, Phase: p} }
	f.refused(n1, set(Updating), fault.Conflict, "") // not from provisioning
	f.refused(n1, SetWish{Account: acct, Computer: comp, Wish: "fly"}, fault.Invalid, "")
	f.refused(n1, SetWish{Account: other, Computer: comp, Wish: WishRunning}, fault.NotFound, "")
	f.ok(n2, SetWish{Account: acct, Computer: comp, Wish: WishRunning})
	f.ok(n1, set(Starting))
	f.ok(n1, set(Running))
	started := f.computer(comp).StartedAt
	f.pass(1)
	f.ok(n1, set(Updating))
	f.ok(n1, set(Running))
	f.ok(n1, set(Running))
	if c := f.computer(comp); !c.StartedAt.Equal(started) || c.Wish != WishRunning {
		t.Fatalf("started at %v, then %v; wish %s", started, c.StartedAt, c.Wish)
	}
	idle := set(Stopping)
	idle.Idle = true
	f.startRun("thread_1", "run_1", 0)
	f.ok(n1, idle)
	if c := f.computer(comp); c.Wish != WishRunning || c.IdleStopped {
		t.Fatalf("stopped as idle with a run in progress: %+v", c)
	}
	f.ok(n1, Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1, Finish: &Finish{Status: RunFailed}})
	f.ok(n1, idle)
	if c := f.computer(comp); c.Wish != WishStopped || !c.IdleStopped {
		t.Fatalf("not stopped as idle: %+v", c)
	}
	f.check()
}

// A start for a caller turns the wish of a computer that idleness stopped, and
// not of one that its user stopped.
func TestWakingTurnsTheWish(t *testing.T) {
	for name, idle := range map[string]bool{"stopped by idleness": true, "stopped by its user": false} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			epoch := f.claim(comp, n1)
			set := func(cmd SetPhase) {
				cmd.Computer, cmd.Epoch = comp, epoch
				f.ok(n1, cmd)
			}
			f.do(SetWish{Account: acct, Computer: comp, Wish: WishRunning})
			set(SetPhase{Phase: Running})
			if idle {
				set(SetPhase{Phase: Stopping, Idle: true})
			} else {
				f.do(SetWish{Account: acct, Computer: comp, Wish: WishStopped})
			}
			set(SetPhase{Phase: Stopped})
			set(SetPhase{Phase: Running, Woke: true})
			if c := f.computer(comp); (c.Wish == WishRunning) != idle {
				t.Fatalf("its wish is %s", c.Wish)
			}
			f.check()
		})
	}
}

func TestDeletedComputersEndTheirRuns(t *testing.T) {
	for name, owned := range map[string]bool{"never claimed": false, "by its owner": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var epoch Epoch
			if owned {
				epoch = f.claim(comp, n1)
			}
			f.startRun("thread_1", "run_1", 600)
			f.do(DeleteEnvironment{Account: acct, Environment: env})
			if owned {
				if r := f.run("run_1"); !r.Cancel || r.Status.Over() {
					t.Fatalf("the owner is not asked to end it: %+v", r)
				}
				f.check()
				f.refused(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running}, fault.Conflict, "")
				f.refused("", SetWish{Account: acct, Computer: comp, Wish: WishRunning}, fault.Conflict, "")
				f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Deleted})
			}
			r, events := f.run("run_1"), f.events("thread_1")
			if r.Status != RunCancelled || len(events) != 1 || events[0].Kind != EventRunCompleted || events[0].Status != "cancelled" {
				t.Fatalf("%+v, %+v", r, events)
			}
			if f.account(acct).Reserved != 0 || f.computer(comp).Phase != Deleted || f.thread("thread_1").Status != ThreadCancelled {
				t.Fatalf("reserved %d, %s, thread %s", f.account(acct).Reserved, f.computer(comp).Phase, f.thread("thread_1").Status)
			}
			if _, err := f.view().Computer(acct, comp); !fault.Is(err, fault.NotFound) {
				t.Fatalf("a deleted computer is shown: %v", err)
			}
			f.refused(n1, Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 2}, fault.NotFound, "")
			f.refused(n1, StartRun{Account: acct, Thread: "thread_1", Run: Run{ID: "run_2"}}, fault.Conflict, "")
			f.refused(n1, Claim{Computer: comp, Node: n2, Seen: epoch}, fault.NotFound, "")
			f.check()
			f.pass(LeftDiskLifetime + 1)
			f.do(Sweep{})
			if _, ok, err := f.view().AnyComputer(comp); ok || err != nil {
				t.Fatalf("the record is kept for ever: %v", err)
			}
			f.check()
		})
	}
}

func TestLeftDisks(t *testing.T) {
	f := newFixture(t)
	f.claim(comp, n1)
	keep := func(id SnapshotID, e Epoch) KeepDisk { return KeepDisk{ID: id, Computer: comp, Node: n1, Epoch: e} }
	f.refused(n1, keep("snap_1", 1), fault.Conflict, "") // it did not leave
	f.ok(n1, HandOver{Computer: comp, Epoch: 1, To: n2})
	f.ok(n1, keep("snap_1", 1))
	f.ok(n1, keep("snap_2", 1)) // the same disk
	list, err := f.view().Snapshots(comp, Page{Limit: 5})
	if err != nil || list.Total != 1 || list.Items[0].ID != "snap_1" {
		t.Fatalf("%+v, %v", list, err)
	}
	f.pass(LeftDiskLifetime + 1)
	f.do(Sweep{}) // only the node that has the disk can drop it
	kept, ok, err := f.view().LeftDisk(comp, n1, 1)
	if err != nil || !ok || f.now.Before(kept.ExpiresAt) {
		t.Fatalf("%+v, %v, %v", kept, ok, err)
	}
	f.ok(n1, DropDisk{ID: kept.ID})
	f.ok(n1, DropDisk{ID: kept.ID})
	if _, ok, err := f.view().LeftDisk(comp, n1, 1); ok || err != nil {
		t.Fatalf("a dropped disk is shown: %v", err)
	}
	f.ok(n1, keep("snap_3", 1))
	f.do(ExpireLease{Node: n2, Renewal: f.node(n2).Renewal})
	f.ok(n1, Claim{Computer: comp, Node: n1, Seen: 2}) // it comes back to its disk
	if _, ok, err := f.view().LeftDisk(comp, n1, 1); ok || err != nil {
		t.Fatalf("a disk in use is kept as one that was left: %v", err)
	}
	f.check()
}

func TestRunsWakeTheNextOwner(t *testing.T) {
	f := newFixture(t)
	f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 0)
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	seen := 0
	f.view().WantedComputersOn(n1, func(c Computer) bool { seen++; return true })
	done := f.entry(f.propose(n2, Claim{Computer: comp, Node: n2, Seen: 1}))
	want := map[Change]bool{{ChangedComputer, string(comp), n2}: true, {ChangedRun, "run_1", n2}: true}
	for _, c := range done.Changes {
		delete(want, c)
	}
	if seen != 1 || len(want) != 0 {
		t.Fatalf("%d live computers on the dead node; not told of %v", seen, want)
	}
}
