package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// holds reports whether a machine still has something of a computer.
func (h *house) holds(t *testing.T, id runtime.ID) bool {
	t.Helper()
	_, err := h.driver.Inspect(t.Context(), id)
	if err != nil && !errors.Is(err, runtime.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// running makes an environment whose computer runs, and returns it.
func (h *house) running(t testing.TB) state.Computer {
	t.Helper()
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Environments.Start(t.Context(), h.caller, env.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsStillItsOwnIsThawed(t *testing.T) {
	h := open(t)
	c := h.running(t)
	h.driver.Freeze()
	if err := h.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, err := h.driver.Inspect(t.Context(), runtime.ID(c.ID))
	if err != nil || status.Phase != runtime.Running {
		t.Fatalf("%+v, %v", status, err)
	}
}

// moved is a computer that ran at one, which lost its lease, and was claimed by
// two; one has come back and knows nothing of it.
func moved(t *testing.T, one, two *house) state.Computer {
	t.Helper()
	c := one.running(t)
	waitFor(t, func() bool { return one.computer(t, c.ID).DataNode == one.node.Self() })
	one.files(t, c.ID, text("f", "left"))
	one.driver.Freeze()
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Place(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if err := one.node.Return(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatMovedAwayIsStoppedAndItsDiskKept(t *testing.T) {
	clock := actorstest.NewClock()
	records, world := actorstest.NewRecords(clock.Now), fake.NewWorld()
	one := openHouse(t, records, world, "n1", nil)
	two := openHouse(t, records, world, "n2", nil)
	one.o.Now = clock.Now
	hold := make(chan struct{})
	two.driver.Script().Add(fake.Rule{Op: fake.Create, Hold: hold, Times: 1})
	c := moved(t, one, two)
	reconcile := func() {
		t.Helper()
		for range 2 { // doing it twice is success
			if err := one.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func() []state.Snapshot {
		t.Helper()
		list, err := applied(one.node, func(v *state.View) (state.List[state.Snapshot], error) {
			return v.AskedSnapshots(c.ID, state.Page{Limit: 9})
		})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	reconcile()
	status, err := one.driver.Inspect(t.Context(), runtime.ID(c.ID))
	if err != nil || status.Phase != runtime.Stopped || len(left()) != 0 {
		t.Fatalf("nobody has a newer disk, and the computer is %+v, %v, its disk given up: %+v", status, err, left())
	}
	close(hold)
	waitFor(t, func() bool { return two.computer(t, c.ID).DataNode == two.node.Self() })
	reconcile()
	kept := left()
	if len(kept) != 1 || !kept[0].Kept || kept[0].Phase != state.SnapshotReady || one.holds(t, runtime.ID(c.ID)) {
		t.Fatalf("the disk is kept as %+v, and the computer is there: %v", kept, one.holds(t, runtime.ID(c.ID)))
	}
	// It is there to be used, by the node that has it.
	spec := state.Computer{Source: kept[0].ID, MemoryBytes: 1 << 30, DiskBytes: 1 << 30}
	again, err := one.Computers.Create(t.Context(), one.caller, spec)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return one.computer(t, again.Computer.ID).Phase == state.Running })
	one.reads(t, again.Computer.ID, "f", "left")
	clock.Advance(state.LeftDiskLifetime + time.Minute)
	if err := one.dropSnapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := one.driver.Snapshots(t.Context(), runtime.ID(c.ID)); err != nil || len(held) != 0 || len(left()) != 0 {
		t.Fatalf("after its time the disk is %+v, %v, its record %+v", held, err, left())
	}
}

func TestWhatHasNoRecordIsRemovedOnlyAfterAWhile(t *testing.T) {
	h := open(t)
	clock := actorstest.NewClock()
	h.o.Now = clock.Now
	if err := h.driver.Create(t.Context(), 1, runtime.Spec{ID: "stranger", Image: "host"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Reconcile(t.Context()); err != nil || !h.holds(t, "stranger") {
		t.Fatalf("removed at first sight: %v", err)
	}
	clock.Advance(orphanAge)
	if err := h.Reconcile(t.Context()); err != nil || h.holds(t, "stranger") {
		t.Fatalf("still there: %v", err)
	}
}

func TestADeletedEnvironmentLeavesNothingOnTheMachine(t *testing.T) {
	h := open(t)
	c := h.running(t)
	if err := h.Environments.Delete(t.Context(), h.caller, c.Environment, true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return !h.holds(t, runtime.ID(c.ID)) })
}

// TestWhoTakesOverHasTheNewestData: the phase of a computer that runs on
// elsewhere does not change, but where its newest data is does.
func TestWhoTakesOverHasTheNewestData(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	one := openHouse(t, records, world, "n1", nil)
	two := openHouse(t, records, world, "n2", nil)
	c := one.running(t)
	waitFor(t, func() bool { return one.computer(t, c.ID).DataNode == one.node.Self() })
	one.driver.Freeze()
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Place(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Computers.Exec(t.Context(), two.caller, c.ID, Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return two.computer(t, c.ID).DataNode == two.node.Self() })
}

// TestAComputerWhoseDiskWasLostSaysSoUntilItIsStarted: to ask for it gives it a new
// owner, who has nothing of it, and must not take that for a stop.
func TestAComputerWhoseDiskWasLostSaysSoUntilItIsStarted(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	one := openHouse(t, records, world, "n1", nil)
	two := openHouse(t, records, world, "n2", nil)
	c := one.running(t)
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Apply(t.Context(), state.RemoveNode{Node: one.node.Self(), Abandon: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := two.Computers.Exec(t.Context(), two.caller, c.ID, Command{Argv: []string{"true"}})
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "lost with node n1") {
			t.Fatalf("got %v", err)
		}
		if lost := two.computer(t, c.ID); lost.Phase != state.Failed || !strings.Contains(lost.Error, "lost with node n1") {
			t.Fatalf("it is %s: %s", lost.Phase, lost.Error)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if down, err := two.Computers.Stop(ctx, two.caller, c.ID); err != nil || down.Phase != state.Failed { // it is down already
		t.Fatalf("to stop it: %s, %v", down.Phase, err)
	}
	if _, err := two.Computers.Start(t.Context(), two.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { again := two.computer(t, c.ID); return again.Phase == state.Running && again.Error == "" })
}
