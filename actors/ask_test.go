package actors

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// operation is an operation's record as it is now.
func (h *house) operation(t *testing.T, id state.OperationID) state.Operation {
	t.Helper()
	o, err := applied(h.node, func(v *state.View) (state.Operation, error) { return v.Operation(h.caller.Account, id) })
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// ends waits until an operation is over and returns why it failed.
func (h *house) ends(t *testing.T, a Asked) string {
	t.Helper()
	if a.Operation == nil {
		t.Fatal("no operation was begun")
	}
	waitFor(t, func() bool { return h.operation(t, a.Operation.ID).Status.Over() })
	return h.operation(t, a.Operation.ID).Error
}

func TestALoneComputerFromFirstToLast(t *testing.T) {
	h := open(t)
	made, err := h.Computers.Create(t.Context(), h.caller, state.Computer{Name: "Box", MemoryBytes: 2 << 30, DiskBytes: 5 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if c := made.Computer; c.Handle == "" || c.Label != c.Handle || c.Image != "host" || c.MilliCPU == 0 {
		t.Fatalf("%+v", c)
	}
	id := made.Computer.ID
	if why := h.ends(t, made); why != "" || h.computer(t, id).Phase != state.Running {
		t.Fatalf("%q, %s", why, h.computer(t, id).Phase)
	}
	again, err := h.Computers.Ask(t.Context(), h.caller, id, state.WishRunning)
	if err != nil || again.Operation != nil {
		t.Fatalf("%+v, %v", again.Operation, err)
	}
	bigger := state.Size{MemoryBytes: 4 << 30}
	sized, err := h.Computers.Resize(t.Context(), h.caller, id, bigger)
	if err != nil {
		t.Fatal(err)
	}
	if why := h.ends(t, sized); why != "" {
		t.Fatal(why)
	}
	status, err := h.driver.Inspect(t.Context(), runtime.ID(id))
	if c := h.computer(t, id); err != nil || c.MemoryBytes != 4<<30 || c.DiskBytes != 5<<30 || status.Spec.Resources.MemoryBytes != 4<<30 || c.Phase != state.Running {
		t.Fatalf("%+v, %+v, %v", c, status.Spec, err)
	}
	for _, step := range []struct {
		wish state.Wish
		rest state.Phase
	}{{state.WishStopped, state.Stopped}, {state.WishRunning, state.Running}} {
		asked, err := h.Computers.Ask(t.Context(), h.caller, id, step.wish)
		if err != nil {
			t.Fatal(err)
		}
		if why := h.ends(t, asked); why != "" || h.computer(t, id).Phase != step.rest {
			t.Fatalf("%q, %s", why, h.computer(t, id).Phase)
		}
	}
	gone, err := h.Computers.Delete(t.Context(), h.caller, id, "")
	if err != nil {
		t.Fatal(err)
	}
	if why := h.ends(t, gone); why != "" || h.holds(t, runtime.ID(id)) {
		t.Fatalf("%q", why)
	}
}

func TestAnOperationTellsWhyItFailed(t *testing.T) {
	h := open(t)
	h.driver.Script().Add(fake.Rule{Op: fake.Start, Err: runtime.ErrNoImage})
	made, err := h.Computers.Create(t.Context(), h.caller, state.Computer{})
	if err != nil {
		t.Fatal(err)
	}
	if why := h.ends(t, made); why == "" || h.computer(t, made.Computer.ID).Phase != state.Failed {
		t.Fatalf("%q", why)
	}
}

// TestAComputerThatFailedIsLeftAlone has a start fail for good: the record of it
// is no reason to try at once again, but somebody who asks is.
func TestAComputerThatFailedIsLeftAlone(t *testing.T) {
	h := open(t)
	h.driver.Script().Add(fake.Rule{Op: fake.Start, Err: runtime.ErrUnsupported, Times: maxStartTries + 1})
	made, err := h.Computers.Create(t.Context(), h.caller, state.Computer{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.Computer.ID
	if why := h.ends(t, made); why == "" {
		t.Fatal("it started")
	}
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if phase := h.computer(t, id).Phase; phase != state.Failed {
			t.Fatalf("it is %s, though nobody asked for it", phase)
		}
	}
	for _, fails := range []bool{true, false} {
		asked, err := h.Computers.Ask(t.Context(), h.caller, id, state.WishRunning)
		if err != nil {
			t.Fatal(err)
		}
		if why := h.ends(t, asked); (why != "") != fails {
			t.Fatalf("%q", why)
		}
	}
}

func TestAnEnvironmentsComputerIsNotDeletedAlone(t *testing.T) {
	h := open(t)
	env := h.restless(t, time.Hour)
	if _, err := h.Computers.Delete(t.Context(), h.caller, env.Computer, state.OriginAgentComputer); !fault.Is(err, fault.Conflict) {
		t.Fatalf("%v", err)
	}
}

func TestALoneComputerIdlesWhereThatIsConfigured(t *testing.T) {
	h := open(t)
	h.Computers.shape.ComputerIdle = 50 * time.Millisecond
	made, err := h.Computers.Create(t.Context(), h.caller, state.Computer{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.Computer.ID
	waitFor(t, func() bool { c := h.computer(t, id); return c.Phase == state.Stopped && c.IdleStopped })
	// A wake and the stop after it are a few records, not one for each look.
	var records atomic.Int64
	h.node.Fail = func(cmd state.Command) error {
		if _, ok := cmd.(state.SetPhase); ok {
			records.Add(1)
		}
		return nil
	}
	first := h.computer(t, id).StartedAt
	if exit, err := h.Computers.Exec(t.Context(), h.caller, id, Command{Argv: []string{"true"}}); err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	waitFor(t, func() bool {
		c := h.computer(t, id)
		return c.Phase == state.Stopped && c.IdleStopped && c.StartedAt.After(first)
	})
	if n := records.Load(); n > 8 {
		t.Errorf("%d records for one wake and one stop", n)
	}
	if _, err := h.Computers.Ask(t.Context(), h.caller, id, state.WishStopped); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Computers.Exec(t.Context(), h.caller, id, Command{Argv: []string{"true"}}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("one that its user stopped was woken: %v", err)
	}
}
