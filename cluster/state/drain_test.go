package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestDrainAndUndrain(t *testing.T) {
	f := newFixture(t)
	f.refused("", DrainNode{Node: "none"}, fault.NotFound, "")
	f.do(UndrainNode{Node: n1}) // nothing to end
	f.do(DrainNode{Node: n1})
	since := f.node(n1).DrainingSince
	f.pass(1)
	f.do(DrainNode{Node: n1})
	if n := f.node(n1); !n.Draining() || !n.DrainingSince.Equal(since) {
		t.Fatalf("draining since %v; it began at %v", n.DrainingSince, since)
	}
	f.begin(n1) // the process is started again
	f.do(RenewLease{Node: n1, Incarnation: f.life[n1]})
	if !f.node(n1).Draining() {
		t.Fatal("a restart ended the drain")
	}
	f.do(UndrainNode{Node: n1})
	if f.node(n1).Draining() {
		t.Fatal("still draining")
	}
	f.check()
}

func TestHandOver(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 0)
	f.ok(n2, SetWish{Account: acct, Computer: comp, Wish: WishRunning})
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running, HasData: true, Image: "debian"})
	f.ok(n1, RecordUsage{Ticks: []Tick{{Computer: comp, Epoch: epoch, Next: "resv_1", Amount: 500}}})
	f.refused(n1, HandOver{Computer: comp, Epoch: epoch, To: n2}, fault.Conflict, "") // its data is only there
	f.pass(3e9)
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Stopping})
	f.ok(n1, SaveDisk{Computer: comp, Epoch: epoch, Save: Save{Name: "one", Store: "bucket", Clean: true}})
	over := func(e Epoch, to NodeID) HandOver { return HandOver{Computer: comp, Epoch: e, To: to} }
	f.refused(n1, over(epoch+1, n2), fault.Moved, "")
	f.refused(n2, over(epoch, n2), fault.Moved, "")    // not its own
	f.refused(n1, over(epoch, n1), fault.Conflict, "") // it is there
	f.refused(n1, over(epoch, "none"), fault.NotFound, "")
	f.do(DrainNode{Node: n2})
	f.refused(n1, over(epoch, n2), fault.Conflict, "")
	f.do(ExpireLease{Node: n3, Renewal: f.node(n3).Renewal})
	f.refused(n1, over(epoch, n3), fault.Conflict, "")
	f.do(UndrainNode{Node: n2})
	done := f.entry(f.propose(n1, over(epoch, n2)))
	if err := done.Results[0].Err(); err != nil {
		t.Fatal(err)
	}
	told := map[Change]bool{}
	for _, c := range done.Changes {
		told[c] = true
	}
	if !told[Change{ChangedComputer, string(comp), n2}] || !told[Change{ChangedRun, "run_1", n2}] {
		t.Fatalf("told of %v", done.Changes)
	}
	c := f.computer(comp)
	if c.Node != n2 || c.Epoch != epoch+1 || c.Phase != Starting || c.DataNode != n1 || c.Reservation != "" || c.RunImage != "" {
		t.Fatalf("handed over: %+v", c)
	}
	if c.Metered.RunMillis != 3000 || !c.RunFrom.IsZero() {
		t.Fatalf("it ran %d ms, counted from %v", c.Metered.RunMillis, c.RunFrom)
	}
	f.refused(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running}, fault.Moved, "")
	f.ok(n2, SetPhase{Computer: comp, Epoch: epoch + 1, Phase: Running})
	f.ok(n1, KeepDisk{ID: "snap_1", Computer: comp, Node: n1, Epoch: epoch})
	f.ok(n2, SetWish{Account: acct, Computer: comp, Wish: WishDeleted})
	f.refused(n2, over(epoch+1, n1), fault.Conflict, "")
	f.check()
}
