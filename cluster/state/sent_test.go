package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// given has node one give a running computer, whose disk is there alone, to node two.
func given(t *testing.T) (f *fixture, epoch Epoch) {
	t.Helper()
	f = newFixture(t)
	epoch = f.claim(comp, n1)
	f.ok(n2, SetWish{Account: acct, Computer: comp, Wish: WishRunning})
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running, HasData: true})
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Stopping})
	give := func(e Epoch, to NodeID, name string) GiveDisk {
		return GiveDisk{Computer: comp, Epoch: e, To: to, Sent: Sent{Name: name, Image: "sha256:1", MadeAt: midday}}
	}
	f.refused(n1, give(epoch, n2, ""), fault.Invalid, "")
	f.refused(n1, give(epoch-1, n2, "one"), fault.Moved, "")
	f.refused(n2, give(epoch, n2, "one"), fault.Moved, "")
	f.refused(n1, give(epoch, n1, "one"), fault.Conflict, "")
	f.do(DrainNode{Node: n2})
	f.refused(n1, give(epoch, n2, "one"), fault.Conflict, "")
	f.do(UndrainNode{Node: n2})
	f.do(DrainNode{Node: n1})
	f.ok(n1, give(epoch, n2, "one"))
	c := f.computer(comp)
	if c.Node != n2 || c.Epoch != epoch+1 || c.Phase != Starting || c.DataNode != n1 || !c.Restores() ||
		c.Sent != (Sent{Name: "one", Node: n2, Epoch: epoch, Image: "sha256:1", MadeAt: c.Sent.MadeAt}) {
		t.Fatalf("given: %+v", c)
	}
	f.refused(n1, give(epoch, n3, "two"), fault.Moved, "")
	f.refused(n2, give(epoch+1, n3, "two"), fault.Conflict, "") // it has no disk to send yet
	f.refused(n2, HandOver{Computer: comp, Epoch: epoch + 1, To: n3}, fault.Conflict, "")
	return f, epoch + 1
}

func TestADiskThatWasSentIsMadeTheNewest(t *testing.T) {
	f, epoch := given(t)
	made := RestoreDisk{Computer: comp, Epoch: epoch, Save: "one"}
	f.refused(n1, made, fault.Moved, "")
	f.refused(n2, RestoreDisk{Computer: comp, Epoch: epoch, Save: "other"}, fault.Conflict, "")
	f.ok(n2, made)
	f.ok(n2, made) // done again
	c := f.computer(comp)
	if c.DataNode != n2 || c.Sent != (Sent{}) || c.Restored.Epoch != epoch || !c.Restored.Clean || !c.Restored.MadeAt.Equal(midday) || c.Saved.Clean || c.Restores() {
		t.Fatalf("made: %+v", c)
	}
	f.refused(n2, HandOver{Computer: comp, Epoch: epoch, To: n3}, fault.Conflict, "") // its data is there alone
	f.check()
}

// TestADiskThatWasSentIsNoMoreThanTheFirst has the next owner go before it made
// the disk: then what stayed behind is the newest, as it was.
func TestADiskThatWasSentIsNoMoreThanTheFirst(t *testing.T) {
	f, epoch := given(t)
	f.do(ExpireLease{Node: n2, Renewal: f.node(n2).Renewal})
	f.do(Claim{Computer: comp, Node: n1, Seen: epoch})
	if c := f.computer(comp); c.Node != n1 || c.DataNode != n1 || c.Sent != (Sent{}) {
		t.Fatalf("claimed: %+v", c)
	}
	f.refused(n2, RestoreDisk{Computer: comp, Epoch: epoch, Save: "one"}, fault.Moved, "")
	f.check()
}

func TestADiskThatWasSentGoesBackWhereItIs(t *testing.T) {
	f, epoch := given(t) // by a node that drains
	back := ReturnDisk{Computer: comp, Epoch: epoch, Error: "no room"}
	f.refused(n1, back, fault.Moved, "")
	f.refused(n2, HandOver{Computer: comp, Epoch: epoch, To: n1}, fault.Conflict, "")
	f.ok(n2, back)
	c := f.computer(comp)
	if c.Node != n1 || c.DataNode != n1 || c.Sent != (Sent{}) || c.Epoch != epoch+1 || c.Phase != Starting || c.SendError != "no room" || c.ReturnedAt.IsZero() {
		t.Fatalf("back: %+v", c)
	}
	f.refused(n1, ReturnDisk{Computer: comp, Epoch: epoch + 1}, fault.Conflict, "") // it is there
	f.ok(n1, GiveDisk{Computer: comp, Epoch: epoch + 1, To: n3, Sent: Sent{Name: "two"}})
	if c := f.computer(comp); c.Node != n3 || c.SendError != "" || !c.ReturnedAt.IsZero() {
		t.Fatalf("given again: %+v", c)
	}
	f.check()
}

func TestAnOwnerThatReturnsStillHasWhatWasSent(t *testing.T) {
	f, epoch := given(t)
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	f.ok(n2, Claim{Computer: comp, Node: n2, Seen: epoch})
	f.ok(n2, RestoreDisk{Computer: comp, Epoch: epoch + 1, Save: "one", Bared: true})
	if c := f.computer(comp); c.DataNode != n2 || !c.Restored.Bared || c.Sent != (Sent{}) {
		t.Fatalf("made: %+v", c)
	}
	f.check()
}
