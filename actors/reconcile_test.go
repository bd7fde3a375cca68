package actors

import (
	"errors"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
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

func TestWhatMovedAwayIsStoppedAndItsDiskKept(t *testing.T) {
	clock := actorstest.NewClock()
	records, world := actorstest.NewRecords(clock.Now), fake.NewWorld()
	one := openHouse(t, records, world, "n1", nil)
	two := openHouse(t, records, world, "n2", nil)
	one.o.Now = clock.Now
	c := one.running(t)
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
	kept := func() (state.Snapshot, bool) {
		t.Helper()
		type found struct {
			s  state.Snapshot
			ok bool
		}
		f, err := applied(one.node, func(v *state.View) (f found, err error) {
			f.s, f.ok, err = v.LeftDisk(c.ID, one.node.Self(), c.Epoch)
			return f, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return f.s, f.ok
	}
	for range 2 { // doing it twice is success
		if err := one.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	status, err := one.driver.Inspect(t.Context(), runtime.ID(c.ID))
	if _, ok := kept(); err != nil || status.Phase != runtime.Stopped || !ok {
		t.Fatalf("the computer is %+v, %v; its disk is recorded: %v", status, err, ok)
	}
	clock.Advance(state.LeftDiskLifetime + time.Minute)
	if err := one.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := kept(); ok || one.holds(t, runtime.ID(c.ID)) {
		t.Fatalf("after its time the disk is there: %v, its record: %v", one.holds(t, runtime.ID(c.ID)), ok)
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
