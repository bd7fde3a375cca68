package actors

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// storeless is three nodes that reach each other and no blob store.
func storeless(t *testing.T) ([]*house, *lines) {
	t.Helper()
	houses, between := fleet(t)
	for _, h := range houses {
		h.shop.remote.client = &http.Client{Transport: between}
		h.departures.commands = time.Millisecond
	}
	return houses, between
}

// sentTo lists the computers of which something lies in a node's inbox.
func (h *house) sentTo(t *testing.T) (ids []runtime.ID) {
	t.Helper()
	if err := h.driver.SentComputers(t.Context(), func(id runtime.ID, _ time.Time) error { ids = append(ids, id); return nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}

// arrived waits until a computer's newest disk is on its node, and nothing of it
// in an inbox.
func (h *house) arrived(t *testing.T, id state.ComputerID) state.Computer {
	t.Helper()
	self := h.node.Self()
	waitFor(t, func() bool {
		c := h.computer(t, id)
		return c.Node == self && c.DataNode == self && len(h.sentTo(t)) == 0
	})
	return h.computer(t, id)
}

// TestADiskGoesFromNodeToNode drains a node without a blob store, and the next one.
func TestADiskGoesFromNodeToNode(t *testing.T) {
	houses, _ := storeless(t)
	one, two := houses[0], houses[1]
	up, down := one.running(t), one.running(t)
	one.writes(t, up.ID, "f", "up")
	one.writes(t, down.ID, "d/f", "down")
	if _, err := one.Computers.Stop(t.Context(), one.caller, down.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return one.computer(t, down.ID).Phase == state.Stopped })
	drained(t, two, one, 0)
	was := two.arrived(t, up.ID)
	two.arrived(t, down.ID) // without being used
	if was.Epoch != up.Epoch+1 || !was.Restored.Clean || was.Saved.Name != "" || was.Sent.Name != "" {
		t.Fatalf("%+v", was)
	}
	two.reads(t, up.ID, "f", "up")
	two.reads(t, down.ID, "d/f", "down")
	waitFor(t, func() bool { return two.computer(t, up.ID).Phase == state.Running })
	if c := two.computer(t, down.ID); c.Phase != state.Stopped {
		t.Fatalf("it was down, and now: %+v", c)
	}
	g, release, err := two.local.hold(t.Context(), up.ID)
	if err != nil || g.lost != "" {
		t.Fatalf("%q, %v", g.lost, err)
	}
	release()
	if err := one.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one.holds(t, runtime.ID(up.ID)) || one.holds(t, runtime.ID(down.ID)) {
		t.Fatal("what the next node has all of is there still")
	}
	two.writes(t, up.ID, "f", "up again")
	drained(t, two, two, 0)
	three := houses[2]
	three.arrived(t, up.ID)
	three.reads(t, up.ID, "f", "up again")
}

// TestAComputerStaysWhereNobodyTakesIt has the line be cut, and mended.
func TestAComputerStaysWhereNobodyTakesIt(t *testing.T) {
	houses, between := storeless(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.writes(t, c.ID, "f", "kept")
	between.mu.Lock()
	to := between.at[string(two.node.Self())]
	delete(between.at, string(two.node.Self()))
	between.mu.Unlock()
	d := drained(t, one, one, 1)
	if why := d.Departures[0].Why; !strings.Contains(why, "on this node alone: send the disk to node n2") {
		t.Fatalf("%+v", d.Departures)
	}
	if now := one.computer(t, c.ID); now.Phase != state.Running || now.Epoch != c.Epoch {
		t.Fatalf("the one that stays: %+v", now)
	}
	one.reads(t, c.ID, "f", "kept")
	if held, err := one.driver.Snapshots(t.Context(), ""); err != nil || len(held) != 0 {
		t.Fatalf("left: %v, %v", held, err)
	}
	between.mu.Lock()
	between.at[string(two.node.Self())] = to
	between.mu.Unlock()
	one.departures.retry = 0
	signal(one.drains)
	two.arrived(t, c.ID)
	two.reads(t, c.ID, "f", "kept")
}

// given drains a node until another one owns its computer, which it cannot make
// the disk of while the returned function is not called.
func given(t *testing.T, houses []*house) (c state.Computer, let func()) {
	t.Helper()
	one, two := houses[0], houses[1]
	c = one.running(t)
	one.writes(t, c.ID, "f", "kept")
	hold := make(chan struct{})
	two.driver.Script().Add(fake.Rule{Op: fake.Create, ID: runtime.ID(c.ID), Hold: hold})
	let = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(let)
	drained(t, one, one, 0)
	if now := one.computer(t, c.ID); now.Node != two.node.Self() || now.DataNode != one.node.Self() || now.Sent.Name == "" {
		t.Fatalf("given: %+v", now)
	}
	return c, let
}

// TestTheLastOwnerIsNotNeeded has it go once it has given its computer away.
func TestTheLastOwnerIsNotNeeded(t *testing.T) {
	houses, between := storeless(t)
	one, two := houses[0], houses[1]
	c, let := given(t, houses)
	one.falls(t, two)
	between.mu.Lock()
	delete(between.at, string(one.node.Self()))
	between.mu.Unlock()
	let()
	two.arrived(t, c.ID)
	two.reads(t, c.ID, "f", "kept")
}

// TestTheNextOwnerIsNotNeeded has it go before it made the disk: the last owner
// goes on with its own. What the next one has is nothing when it returns.
func TestTheNextOwnerIsNotNeeded(t *testing.T) {
	houses, _ := storeless(t)
	one, two := houses[0], houses[1]
	c, let := given(t, houses)
	two.falls(t, one)
	if err := one.Reconcile(t.Context()); err != nil || !one.holds(t, runtime.ID(c.ID)) {
		t.Fatalf("the only disk is gone, %v", err)
	}
	one.takes(t, c.ID)
	one.reads(t, c.ID, "f", "kept")
	one.writes(t, c.ID, "f", "newer")
	let()
	if err := two.node.Return(); err != nil {
		t.Fatal(err)
	}
	if err := two.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := two.computer(t, c.ID); now.Node != one.node.Self() || now.DataNode != one.node.Self() {
		t.Fatalf("%+v", now)
	}
	one.reads(t, c.ID, "f", "newer")
}

// TestADiskThatCannotBeMadeGoesBack has the next node be full.
func TestADiskThatCannotBeMadeGoesBack(t *testing.T) {
	houses, _ := storeless(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.writes(t, c.ID, "f", "kept")
	two.driver.Script().Add(fake.Rule{Op: fake.Create, ID: runtime.ID(c.ID), Err: fmt.Errorf("%w: of disk", runtime.ErrFull)})
	if _, err := two.Drains.Begin(t.Context(), one.node.Self()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { c := one.computer(t, c.ID); return c.SendError != "" && c.Phase == state.Running })
	now := one.computer(t, c.ID)
	if now.Node != one.node.Self() || now.DataNode != one.node.Self() || now.Epoch != c.Epoch+2 || !strings.Contains(now.SendError, "no room") {
		t.Fatalf("%+v", now)
	}
	one.reads(t, c.ID, "f", "kept")
	one.departures.retry = 0
	signal(one.drains)
	d := drained(t, one, one, 1)
	if !strings.Contains(d.Departures[0].Why, "no room") {
		t.Fatalf("%+v", d.Departures)
	}
	waitFor(t, func() bool { return len(two.sentTo(t)) == 0 })
}

// TestAnUnclearGift hands a computer over and does not hear of it: when it was
// not, nothing late may take away what was written since, and when it was, nothing
// is written any more.
func TestAnUnclearGift(t *testing.T) {
	for name, lost := range map[string]bool{"it came to nothing": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			houses, _ := storeless(t)
			one, two := houses[0], houses[1]
			var late atomic.Pointer[state.GiveDisk]
			unclear := func(cmd state.Command) error {
				if give, is := cmd.(state.GiveDisk); is && late.CompareAndSwap(nil, &give) {
					return fault.New(fault.Unavailable, "nobody knows")
				}
				return nil
			}
			if lost {
				one.node.Lose = unclear
			} else {
				one.node.Fail = unclear
			}
			c := one.running(t)
			one.writes(t, c.ID, "f", "kept")
			if _, err := one.Drains.Begin(t.Context(), one.node.Self()); err != nil {
				t.Fatal(err)
			}
			if lost {
				two.arrived(t, c.ID)
				two.reads(t, c.ID, "f", "kept")
				return
			}
			waitFor(t, func() bool { now := one.computer(t, c.ID); return now.Epoch == c.Epoch+1 && now.Phase == state.Running })
			one.writes(t, c.ID, "f", "newer")
			if _, err := one.node.Apply(t.Context(), *late.Load()); !fault.Is(err, fault.Moved) {
				t.Fatalf("it comes late: %v", err)
			}
			one.departures.retry = 0
			signal(one.drains)
			two.arrived(t, c.ID)
			two.reads(t, c.ID, "f", "newer")
		})
	}
}

// TestWhatIsWrittenMeanwhileIsSentToo writes while the last of a disk is on its way.
func TestWhatIsWrittenMeanwhileIsSentToo(t *testing.T) {
	houses, _ := storeless(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.writes(t, c.ID, "f", "kept")
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return one.computer(t, c.ID).Phase == state.Stopped })
	const ahead = 2 // rounds: nothing changes between them
	hold := make(chan struct{})
	one.driver.Script().Add(fake.Rule{Op: fake.SendSnapshot, Times: ahead})
	one.driver.Script().Add(fake.Rule{Op: fake.SendSnapshot, Times: 1, Hold: hold})
	if _, err := one.Drains.Begin(t.Context(), one.node.Self()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { l := one.departures.list(); return len(l) == 1 && l[0].Step == DepartureMoves })
	waitFor(t, func() bool { h, err := one.driver.Snapshots(t.Context(), ""); return err == nil && len(h) == 1 })
	one.writes(t, c.ID, "f", "newer")
	close(hold)
	two.arrived(t, c.ID)
	two.reads(t, c.ID, "f", "newer")
}

// TestWhatCameToNothingIsDeleted looks at an inbox before and after its time.
func TestWhatCameToNothingIsDeleted(t *testing.T) {
	houses, _ := storeless(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	if _, err := one.shop.sendAhead(t.Context(), c.ID, two.node.Self()); err != nil {
		t.Fatal(err)
	}
	if err := two.tendInbox(t.Context()); err != nil || len(two.sentTo(t)) != 1 {
		t.Fatalf("%v, %v", two.sentTo(t), err)
	}
	later := two.o.Now
	two.o.Now = func() time.Time { return later().Add(inboxAge) }
	if err := two.tendInbox(t.Context()); err != nil || len(two.sentTo(t)) != 0 {
		t.Fatalf("%v, %v", two.sentTo(t), err)
	}
	given, let := given(t, houses)
	if err := two.tendInbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	let()
	two.arrived(t, given.ID)
	two.reads(t, given.ID, "f", "kept")
}
