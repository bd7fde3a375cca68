package actors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// drained waits until nothing is left on a node but what stays, and returns that.
func drained(t *testing.T, at, node *house, staying int) Drain {
	t.Helper()
	if _, err := at.Drains.Begin(t.Context(), node.node.Self()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		d, err := at.Drains.Of(t.Context(), node.node.Self())
		if err != nil {
			t.Fatal(err)
		}
		stays := 0
		for _, one := range d.Departures {
			if one.Step == DepartureStays {
				stays++
			}
		}
		if d.Computers == staying && stays == staying && len(d.Departures) == staying {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %+v", patience, d)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestADrainingNodeGivesAwayWhatHasNoDisk has a node with computers that never
// ran and one whose files are there alone.
func TestADrainingNodeGivesAwayWhatHasNoDisk(t *testing.T) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	for range 2 * maxDepartures {
		env := one.restless(t, time.Hour)
		if _, err := one.node.Place(t.Context(), env.Computer); err != nil {
			t.Fatal(err)
		}
	}
	kept := one.running(t)
	d := drained(t, two, one, 1)
	if d.Done() || !d.Asked || d.Departures[0].Computer != kept.ID || !strings.Contains(d.Departures[0].Why, "on this node alone") {
		t.Fatalf("%+v", d)
	}
	if c := one.computer(t, kept.ID); c.Node != one.node.Self() || c.Phase != state.Running {
		t.Fatalf("the one that stays: %+v", c)
	}
	const tries = "bothy_departures_total"
	if left, not := counted(t, one.o.Registerer, tries, "succeeded"), counted(t, one.o.Registerer, tries, "failed"); left != 2*maxDepartures || not == 0 ||
		one.departures.staying() != 1 || !one.draining() || two.draining() {
		t.Errorf("%v left, %v could not, %d stay", left, not, one.departures.staying())
	}
	if d, err := two.Drains.End(t.Context(), one.node.Self()); err != nil || d.Node.Draining() {
		t.Fatalf("%+v, %v", d, err)
	}
}

// TestARunMovesBetweenTwoSteps drains a node in the middle of a run: the command
// under way ends there, the next one runs elsewhere, with the files as they were.
func TestARunMovesBetweenTwoSteps(t *testing.T) {
	one, two, _ := stored(t)
	first := filepath.Join(t.TempDir(), "first")
	s := send(t, one, "```bash\ntouch "+first+"; sleep 0.5; echo done > f\n```\n\n```bash\ncat f; echo second\n```\n")
	waitFor(t, func() bool { _, err := os.Stat(first); return err == nil })
	if c := one.computer(t, s.Run.Computer); c.Node != one.node.Self() {
		t.Fatalf("%+v", c)
	}
	stopped, err := one.Threads.Start(t.Context(), one.caller, NewRun{Create: &NewThread{}, Content: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	drained(t, one, one, 0)
	for _, h := range []*house{one, two} { // whoever follows
		events := follow(t, h, s)
		var output string
		for i, e := range events {
			if want := s.Run.FirstSeq + uint64(i); e.Seq != want {
				t.Fatalf("event %d has seq %d, want %d", i, e.Seq, want)
			}
			if e.Type == state.ItemToolResult {
				output += e.Tool.Output
				if e.Status == state.ItemInterrupted {
					t.Fatalf("a command was cut: %+v", e)
				}
			}
		}
		if end := last(events); end.Status != string(state.RunSuccess) || !strings.Contains(output, "done\nsecond") {
			t.Fatalf("%s: %s; the tools answered %q", end.Status, end.Error, output)
		}
	}
	follow(t, two, stopped)
	c := two.computer(t, s.Run.Computer)
	if c.Node != two.node.Self() || c.DataNode != two.node.Self() || !c.Restored.Clean {
		t.Fatalf("%+v", c)
	}
}

// TestWhatTakesTooLongIsCut drains a node with a command that does not end.
func TestWhatTakesTooLongIsCut(t *testing.T) {
	one, two, _ := stored(t)
	one.departures.grace, one.departures.commands = 100*time.Millisecond, time.Millisecond
	began := filepath.Join(t.TempDir(), "began")
	s := send(t, one, "```bash retry\nif [ -e "+began+" ]; then echo again; else touch "+began+"; sleep 600; fi\n```\n")
	waitFor(t, func() bool { _, err := os.Stat(began); return err == nil })
	drained(t, two, one, 0)
	interrupted := false
	events := follow(t, two, s)
	for _, e := range events {
		interrupted = interrupted || e.Type == state.ItemToolResult && e.Status == state.ItemInterrupted
	}
	if last(events).Status != string(state.RunSuccess) || !interrupted {
		t.Fatalf("interrupted %v: %+v", interrupted, last(events))
	}
}

// TestACommandHoldsNoDrainUp drains a node with a terminal that nobody closes.
func TestACommandHoldsNoDrainUp(t *testing.T) {
	one, two, _ := stored(t)
	one.departures.commands = 100 * time.Millisecond
	c := one.running(t)
	cut := make(chan error, 1)
	heard := &herald{heard: make(chan struct{}, 1)}
	go func() {
		exit, err := one.Computers.Exec(t.Context(), one.caller, c.ID, Command{Argv: []string{"sh", "-c", "echo here; sleep 600"}, Stdout: heard})
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("exit code %d, signal %s", exit.Code, exit.Signal)
		}
		cut <- err
	}()
	<-heard.heard
	drained(t, two, one, 0)
	if err := <-cut; err == nil {
		t.Fatal("a command that was cut ended well")
	}
	if exit, err := two.Computers.Exec(t.Context(), two.caller, c.ID, Command{Argv: []string{"true"}}); err != nil || exit.Code != 0 {
		t.Fatalf("the next command: %+v, %v", exit, err)
	}
}

// herald says when something was written to it.
type herald struct{ heard chan struct{} }

func (l *herald) Write(p []byte) (int, error) {
	select {
	case l.heard <- struct{}{}:
	default:
	}
	return len(p), nil
}

// TestAComputerThatCannotLeaveGoesOn has the store not answer in the middle.
func TestAComputerThatCannotLeaveGoesOn(t *testing.T) {
	one, two, _ := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "kept")
	if _, err := one.Computers.Save(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	one.writes(t, c.ID, "f", "newer")
	one.driver.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Err: fmt.Errorf("%w: it is away", runtime.ErrNoStore)})
	d := drained(t, one, one, 1)
	if !strings.Contains(d.Departures[0].Why, "blob store") {
		t.Fatalf("%+v", d.Departures)
	}
	if _, err := one.Computers.Exec(t.Context(), one.caller, c.ID, Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	one.driver.Script().Clear()
	one.departures.retry = 0
	signal(one.drains)
	waitFor(t, func() bool { return two.computer(t, c.ID).Node == two.node.Self() })
	two.reads(t, c.ID, "f", "newer")
}

// TestANodeThatJoinsGetsItsShareOnDemand rebalances through the node that is new.
func TestANodeThatJoinsGetsItsShareOnDemand(t *testing.T) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	for range 6 {
		env := one.restless(t, time.Hour)
		if _, err := one.node.Place(t.Context(), env.Computer); err != nil {
			t.Fatal(err)
		}
	}
	on := func(h *house) (n int) {
		v := h.node.Stale()
		defer v.Close()
		n, err := v.CountComputersOn(h.node.Self())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	plan, err := two.Drains.Plan(t.Context(), MaxRebalance)
	if err != nil || len(plan) < 3 || on(one) < 6 {
		t.Fatalf("%v, %v, %d", plan, err, on(one))
	}
	moves, err := two.Drains.Rebalance(t.Context(), MaxRebalance)
	if err != nil || len(moves) != len(plan) || moves[0].Why != "" {
		t.Fatalf("%v, %v", moves, err)
	}
	waitFor(t, func() bool { return on(two) > 0 && on(houses[2]) > 0 && on(one) <= 3 })
	waitFor(t, func() bool { return len(one.departures.list()) == 0 })
	if again, err := two.Drains.Plan(t.Context(), MaxRebalance); err != nil || len(again) > 0 {
		t.Fatalf("it does not come to rest: %v, %v", again, err)
	}
}
