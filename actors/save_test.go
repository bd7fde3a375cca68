package actors

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// stored are two nodes that reach one blob store.
func stored(t *testing.T) (one, two *house, world *fake.World) {
	t.Helper()
	records := actorstest.NewRecords(time.Now)
	world = fake.NewWorld()
	world.SetStore("bucket")
	return openHouse(t, records, world, "n1", nil), openHouse(t, records, world, "n2", nil), world
}

func (h *house) writes(t *testing.T, id state.ComputerID, name, content string) {
	t.Helper()
	h.files(t, id, text(name, content))
}

// rests stops a computer and waits until its save is as good as its disk.
func (h *house) rests(t *testing.T, id state.ComputerID) {
	t.Helper()
	if _, err := h.Computers.Stop(t.Context(), h.caller, id); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return h.computer(t, id).Saved.Clean })
}

// falls has a node lose its lease and then, as its warden would have it, freeze.
func (h *house) falls(t *testing.T, by *house) {
	t.Helper()
	if err := h.node.Expire(by.node); err != nil {
		t.Fatal(err)
	}
	h.driver.Freeze()
}

// takes has a node claim a computer.
func (h *house) takes(t *testing.T, id state.ComputerID) {
	t.Helper()
	if _, err := h.node.Place(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func (h *house) starts(t *testing.T, id state.ComputerID) {
	t.Helper()
	if _, err := h.Computers.Start(t.Context(), h.caller, id); err != nil {
		t.Fatal(err)
	}
}

func TestAComputerIsSavedWhenItStops(t *testing.T) {
	one, _, world := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "one")
	one.rests(t, c.ID)
	first := one.computer(t, c.ID).Saved
	if first.Store != "bucket" || first.Node != one.node.Self() || first.Epoch != c.Epoch || first.MadeAt.IsZero() {
		t.Fatalf("%+v", first)
	}
	// Its snapshot goes, and with the next save the one before.
	one.starts(t, c.ID)
	if one.computer(t, c.ID).Saved.Clean {
		t.Fatal("it runs, and its save is as good as its disk")
	}
	one.writes(t, c.ID, "f", "two")
	one.rests(t, c.ID)
	second := one.computer(t, c.ID).Saved
	waitFor(t, func() bool { s := world.Saves(); return len(s) == 1 && s[0].Name == second.Name })
	if held, err := one.driver.Snapshots(t.Context(), ""); err != nil || len(held) != 0 || first.Name == second.Name {
		t.Fatalf("%+v, %v; saved as %s and %s", held, err, first.Name, second.Name)
	}
	// Started and stopped without a change it needs no other.
	one.starts(t, c.ID)
	one.rests(t, c.ID)
	waitFor(t, func() bool { return len(world.Saves()) == 1 }) // the one before goes after the record
	if again := one.computer(t, c.ID).Saved; !again.Clean {
		t.Fatalf("%+v after %+v", again, second)
	}
}

func TestAStoppedComputerIsUsedElsewhere(t *testing.T) {
	one, two, world := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "kept")
	one.rests(t, c.ID)
	one.falls(t, two)
	if now, err := two.Computers.Save(t.Context(), two.caller, c.ID); err != nil || now.Node != c.Node {
		t.Fatalf("it is saved whole, and asked for a save: %+v, %v", now, err)
	}
	two.takes(t, c.ID)
	two.reads(t, c.ID, "f", "kept") // the first look has it restored
	now := two.computer(t, c.ID)
	if now.DataNode != two.node.Self() || !now.Restored.Clean || now.Phase != state.Stopped || !now.Saved.Clean {
		t.Fatalf("%+v", now)
	}
	two.writes(t, c.ID, "f", "changed")
	if two.computer(t, c.ID).Saved.Clean {
		t.Fatal("it was written to, and its save is as good as its disk")
	}
	two.starts(t, c.ID)
	g, release, err := two.local.hold(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if release(); g.lost != "" {
		t.Fatalf("nothing was lost, and it says %q", g.lost)
	}
	// The node that was away keeps what it had.
	if err := one.node.Return(); err != nil {
		t.Fatal(err)
	}
	if err := one.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one.holds(t, runtime.ID(c.ID)) {
		t.Fatal("the disk that was left is there as a computer")
	}
	two.reads(t, c.ID, "f", "changed")
	if v := world.Violations(); len(v) > 0 {
		t.Fatal(v)
	}
}

// TestARunGoesOnFromTheLastSave: and the user is told how old it is.
func TestARunGoesOnFromTheLastSave(t *testing.T) {
	one, two, _ := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "saved")
	if _, err := one.Computers.Save(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	one.writes(t, c.ID, "f", "lost")
	began := filepath.Join(t.TempDir(), "began")
	s, err := one.Threads.Start(t.Context(), one.caller, NewRun{Create: &NewThread{Environment: c.Environment},
		Content: "```bash retry\nif [ -e " + began + " ]; then cat f; else touch " + began + "; sleep 600; fi\n```\n"})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return exists(began) })
	one.falls(t, two)
	two.takes(t, c.ID)
	events := follow(t, two, s)
	told, output := "", ""
	for _, e := range events {
		if strings.Contains(e.Text, "last save off the node") {
			told = e.Text
		}
		if e.Type == state.ItemToolResult {
			output += e.Tool.Output
		}
	}
	if end := last(events); end.Status != string(state.RunSuccess) || told == "" || !strings.Contains(output, "saved") {
		t.Fatalf("%s %s; told %q; the tool saw %q", end.Status, end.Error, told, output)
	}
}

func TestALastSaveIsTakenWhenItsUserAsks(t *testing.T) {
	one, two, _ := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "saved")
	if _, err := one.Computers.Recover(t.Context(), one.caller, c.ID); !fault.Is(err, fault.Conflict) {
		t.Fatalf("its node is there: %v", err)
	}
	if _, err := two.Computers.Save(t.Context(), two.caller, "none"); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if _, err := one.Computers.Save(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	one.writes(t, c.ID, "f", "lost")
	one.falls(t, two)
	after, err := two.Computers.Recover(t.Context(), two.caller, c.ID)
	if err != nil || after.Node != two.node.Self() {
		t.Fatalf("%+v, %v", after, err)
	}
	waitFor(t, func() bool { return two.computer(t, c.ID).Phase == state.Running })
	two.reads(t, c.ID, "f", "saved")
	if r := two.computer(t, c.ID).Restored; r.Clean || r.MadeAt.IsZero() {
		t.Fatalf("%+v", r)
	}
}

// TestAnOlderDiskGivesWayToASave: the node that has it was away while another
// wrote and saved.
func TestAnOlderDiskGivesWayToASave(t *testing.T) {
	one, two, world := stored(t)
	c := one.running(t)
	one.writes(t, c.ID, "f", "old")
	one.rests(t, c.ID)
	one.falls(t, two)
	two.takes(t, c.ID)
	two.starts(t, c.ID)
	two.writes(t, c.ID, "f", "new")
	two.rests(t, c.ID)
	if err := one.node.Return(); err != nil {
		t.Fatal(err)
	}
	two.falls(t, one)
	one.takes(t, c.ID)
	one.reads(t, c.ID, "f", "new")
	one.starts(t, c.ID)
	one.reads(t, c.ID, "f", "new")
	list, err := applied(one.node, func(v *state.View) (state.List[state.Snapshot], error) {
		return v.AskedSnapshots(c.ID, state.Page{Limit: 9})
	})
	if err != nil || list.Total != 1 || !list.Items[0].Kept || list.Items[0].Node != one.node.Self() {
		t.Fatalf("the older disk is kept as %+v, %v", list.Items, err)
	}
	if v := world.Violations(); len(v) > 0 {
		t.Fatal(v)
	}
}

func TestAStoreThatIsAwayHoldsUpNothing(t *testing.T) {
	one, _, _ := stored(t)
	c := one.running(t)
	hold := make(chan struct{})
	one.driver.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Hold: hold, Times: 1, Err: runtime.ErrNoStore})
	one.writes(t, c.ID, "f", "one")
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(one.shop.savings.turns) == 1 })
	one.starts(t, c.ID) // the save goes on
	if exit, err := one.Computers.Exec(t.Context(), one.caller, c.ID, Command{Argv: []string{"true"}}); err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	close(hold)
	waitFor(t, func() bool { return one.computer(t, c.ID).SaveError != "" })
	if _, err := one.Computers.Save(t.Context(), one.caller, c.ID); err != nil { // it is back
		t.Fatal(err)
	}
	if now := one.computer(t, c.ID); now.SaveError != "" || now.Saved.Name == "" || now.Saved.Clean {
		t.Fatalf("%+v, %q", now.Saved, now.SaveError)
	}
}

// TestASaveThatWasOvertakenIsNotClean: somebody writes while it is made.
func TestASaveThatWasOvertakenIsNotClean(t *testing.T) {
	one, _, _ := stored(t)
	c := one.running(t)
	hold := make(chan struct{})
	one.driver.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Hold: hold, Times: 1})
	one.writes(t, c.ID, "f", "one")
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { // what is saved is there, and two is not in it
		list, err := one.driver.Snapshots(t.Context(), runtime.ID(c.ID))
		return err == nil && len(list) == 1
	})
	one.writes(t, c.ID, "f", "two")
	close(hold)
	var first state.Save // another may follow by itself
	waitFor(t, func() bool { first = one.computer(t, c.ID).Saved; return first.Name != "" })
	if first.Clean {
		t.Fatal("it was written to since")
	}
	if now, err := one.Computers.Save(t.Context(), one.caller, c.ID); err != nil || !now.Saved.Clean || now.Saved.Name == first.Name {
		t.Fatalf("%+v, %v", now.Saved, err)
	}
}

func TestSnapshotsBecomeDurable(t *testing.T) {
	one, two, world := stored(t)
	for _, h := range []*house{one, two} {
		if err := h.Reconcile(t.Context()); err != nil { // tells which store it reaches
			t.Fatal(err)
		}
	}
	c := one.running(t)
	one.writes(t, c.ID, "f", "then")
	asked, err := one.Snapshots.Create(t.Context(), one.caller, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	find := func() (s state.Snapshot) {
		t.Helper()
		s, err := applied(one.node, func(v *state.View) (state.Snapshot, error) { return v.Snapshot(c.Account, asked.Snapshot.ID) })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	waitFor(t, func() bool { return find().Durable == state.DurableReady })
	one.writes(t, c.ID, "f", "now")
	one.rests(t, c.ID)                                         // which sweeps
	waitFor(t, func() bool { return len(world.Saves()) == 2 }) // the computer's and the snapshot's
	one.falls(t, two)
	again, err := two.Computers.Create(t.Context(), two.caller, state.Computer{Source: asked.Snapshot.ID, MemoryBytes: 1 << 30, DiskBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return two.computer(t, again.Computer.ID).Phase == state.Running })
	two.reads(t, again.Computer.ID, "f", "then")
	// The snapshot outlives its computer, and goes alone.
	of := func() (names []string) {
		for _, s := range world.Saves() {
			if s.Computer == runtime.ID(c.ID) {
				names = append(names, s.Name)
			}
		}
		return names
	}
	if err := one.node.Return(); err != nil {
		t.Fatal(err)
	}
	if err := one.Environments.Delete(t.Context(), one.caller, c.Environment, true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return slices.Equal(of(), []string{string(asked.Snapshot.ID)}) })
	if _, err := one.Snapshots.Delete(t.Context(), one.caller, asked.Snapshot.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(of()) == 0 })
}

// TestSnapshotsOfSavesDoNotStay: a process ended between making one and dropping it.
func TestSnapshotsOfSavesDoNotStay(t *testing.T) {
	one, _, _ := stored(t)
	c := one.running(t)
	hold := make(chan struct{})
	one.driver.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Hold: hold, Times: 1})
	if _, err := one.driver.Snapshot(t.Context(), runtime.Epoch(c.Epoch), runtime.ID(c.ID), saveNames+"_before"); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	held := func() int {
		t.Helper()
		list, err := one.driver.Snapshots(t.Context(), runtime.ID(c.ID))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	waitFor(t, func() bool { return held() == 2 })
	if err := one.Reconcile(t.Context()); err != nil || held() != 1 {
		t.Fatalf("%v; %d snapshots, and one is being saved", err, held())
	}
	close(hold)
	waitFor(t, func() bool { return one.computer(t, c.ID).Saved.Clean && held() == 0 })
}

// TestTheStoreForgetsWhatWasDeleted: at once, or by whoever leads; and it keeps
// what no record knows.
func TestTheStoreForgetsWhatWasDeleted(t *testing.T) {
	one, _, world := stored(t)
	gone, kept, stays := one.running(t), one.running(t), one.running(t)
	for _, c := range []state.Computer{gone, kept, stays} {
		one.writes(t, c.ID, "f", "x")
		one.rests(t, c.ID)
	}
	one.driver.Script().Add(fake.Rule{Op: fake.ForgetSaves, ID: runtime.ID(kept.ID), Times: 1, Err: runtime.ErrNoStore})
	of := func(id state.ComputerID) (n int) {
		for _, s := range world.Saves() {
			if s.Computer == runtime.ID(id) {
				n++
			}
		}
		return n
	}
	for _, c := range []state.Computer{gone, kept} {
		if err := one.Environments.Delete(t.Context(), one.caller, c.Environment, true); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return of(gone.ID) == 0 && !one.holds(t, runtime.ID(kept.ID)) })
	waitFor(t, func() bool {
		return slices.ContainsFunc(world.Of(runtime.ID(kept.ID)), func(c fake.Call) bool { return c.Op == fake.ForgetSaves })
	})
	if err := one.driver.Create(t.Context(), 1, runtime.Spec{ID: "foreign", Image: "host"}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.driver.Snapshot(t.Context(), 1, "foreign", "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := one.driver.SaveSnapshot(t.Context(), runtime.Source{Computer: "foreign", Name: "s"}, ""); err != nil {
		t.Fatal(err)
	}
	if of(kept.ID) == 0 {
		t.Fatal("the store was away, and it was forgotten")
	}
	if err := one.forgetting.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if of(kept.ID) != 0 || of(stays.ID) != 1 || of("foreign") != 1 {
		t.Fatalf("%+v", world.Saves())
	}
}

func TestWithoutAStoreASaveSaysSo(t *testing.T) {
	h := open(t)
	c := h.running(t)
	_, err := h.Computers.Save(t.Context(), h.caller, c.ID)
	isFault(t, err, fault.Unsupported, CodeNoStore, "")
}

// TestASaveThatALeaseEndsIsToBeAskedForAgain: it was cut short, by no mistake.
func TestASaveThatALeaseEndsIsToBeAskedForAgain(t *testing.T) {
	one, two, _ := stored(t)
	c := one.running(t)
	one.driver.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Hold: make(chan struct{}), Times: 1}) // until its context ends
	one.writes(t, c.ID, "f", "one")
	ended := make(chan error, 1)
	go func() { ended <- one.Computers.local.Save(t.Context(), c.ID) }()
	waitFor(t, func() bool {
		list, err := one.driver.Snapshots(t.Context(), runtime.ID(c.ID))
		return err == nil && len(list) == 1
	})
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	is(t, <-ended, fault.Unavailable, "no longer act")
}
