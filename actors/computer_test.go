package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// restless makes an environment whose computer stops when unused for idle.
func (h *house) restless(t *testing.T, idle time.Duration) state.Environment {
	t.Helper()
	env := state.Environment{ID: newID[state.EnvironmentID]("env"), Account: h.caller.Account, Name: "restless"}
	computer := state.Computer{ID: newComputerID(), Image: "host", MemoryBytes: 1 << 30, MilliCPU: 1000, IdleStop: idle}
	if _, err := h.node.Apply(t.Context(), state.CreateEnvironment{Environment: env, Computer: computer}); err != nil {
		t.Fatal(err)
	}
	found, err := h.Environments.get(h.caller.Account, env.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// computer is a computer's record as it is now.
func (h *house) computer(t *testing.T, id state.ComputerID) state.Computer {
	t.Helper()
	c, err := applied(h.node, func(v *state.View) (state.Computer, error) { return v.Computer(h.caller.Account, id) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnUnusedComputerStopsAndItsNextUseWakesIt(t *testing.T) {
	h := open(t)
	env := h.restless(t, 50*time.Millisecond)
	use := func() {
		t.Helper()
		if exit, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"true"}}); err != nil || exit.Code != 0 {
			t.Fatalf("%+v, %v", exit, err)
		}
	}
	use()
	waitFor(t, func() bool { c := h.computer(t, env.Computer); return c.Phase == state.Stopped && c.IdleStopped })
	use()
}

func TestAComputerInUseDoesNotIdle(t *testing.T) {
	h := open(t)
	env := h.restless(t, 30*time.Millisecond)
	exit, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"sleep", "0.3"}})
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
}

// paid is a house where computers cost money, with a caller who has some.
func paid(t *testing.T, balance state.MicroUSD) *house {
	t.Helper()
	h := openHouse(t, actorstest.NewRecords(time.Now), fake.NewWorld(), "n1", nil)
	h.shop.meter.price = ledger.ComputerPrice{CPUHour: 3_600_000} // a core for a second is 1,000
	account, err := h.Accounts.Create(t.Context(), "tenant", &balance)
	if err != nil {
		t.Fatal(err)
	}
	h.caller = Caller{Account: account.ID}
	return h
}

func TestAComputerIsPaidForWhatItUsed(t *testing.T) {
	h := paid(t, 10_000_000)
	c := h.running(t)
	if err := h.tick(t.Context()); err != nil { // marks where the counters stand
		t.Fatal(err)
	}
	before := h.account(t)
	if before.Reserved == 0 {
		t.Fatal("nothing is held for the computer's next minutes")
	}
	h.driver.SetUsage(runtime.ID(c.ID), runtime.Usage{CPU: 2 * time.Second})
	for range 3 { // a tick sent again changes nothing
		if err := h.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := h.account(t); before.Balance-after.Balance != 2000 || after.Reserved != before.Reserved {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	if _, err := h.Computers.Stop(t.Context(), h.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	if a := h.account(t); a.Reserved != 0 {
		t.Fatalf("a stopped computer holds %d", a.Reserved)
	}
}

// TestAComputerThatCannotBeReadHoldsUpNoOther: something is done to it, for longer
// than a report may take.
func TestAComputerThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	h := paid(t, 10_000_000)
	stuck, other := h.running(t), h.running(t)
	if err := h.tick(t.Context()); err != nil { // marks where the counters stand
		t.Fatal(err)
	}
	before := h.account(t)
	h.driver.SetUsage(runtime.ID(other.ID), runtime.Usage{CPU: 2 * time.Second})
	h.driver.Script().Add(fake.Rule{Op: fake.Usage, ID: runtime.ID(stuck.ID), Hold: t.Context().Done()})
	ctx, cancel := context.WithTimeout(t.Context(), tickEvery)
	defer cancel()
	if err := h.tick(ctx); err != nil {
		t.Fatal(err)
	}
	if after := h.account(t); before.Balance-after.Balance != 2000 {
		t.Fatalf("before %+v, after %+v", before, after)
	}
}

func TestAComputerThatNobodyPaysForDoesNotStart(t *testing.T) {
	h := paid(t, 1000) // five minutes of a core are 300,000
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", Default: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Environments.Start(t.Context(), h.caller, env.ID)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Payment || f.Code != state.CodeBudget {
		t.Fatalf("got %v", err)
	}
	end := last(follow(t, h, send(t, h, "```bash\necho never\n```\n")))
	if end.Status != string(state.RunFailed) || !strings.Contains(end.Error, "budget") {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	for _, call := range h.driver.World().Of(runtime.ID(env.Computer)) {
		if call.Op == fake.Start {
			t.Fatal("it was started")
		}
	}
}
