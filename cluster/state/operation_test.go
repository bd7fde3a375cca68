package state

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const lone = ComputerID("comp_lone")

// makeLone makes a computer that stands alone and is to run.
func (f *fixture) makeLone(handle string) {
	f.tb.Helper()
	f.do(CreateComputer{Computer: Computer{ID: lone, Account: acct, Handle: handle, Wish: WishRunning, Origin: OriginAgentComputer,
		MemoryBytes: 2 << 30, MilliCPU: 1000, DiskBytes: 5 << 30}, Operation: &Operation{ID: "op_create", Kind: CreateOperation}})
}

func (f *fixture) operation(id OperationID) Operation {
	f.tb.Helper()
	return got(f, func(v *View) (Operation, error) { return v.Operation(acct, id) })
}

// ask wishes something of the lone computer and returns the operation begun.
func (f *fixture) ask(w Wish, id OperationID, kind OperationKind) OperationID {
	f.tb.Helper()
	var reply Wished
	r := f.do(SetWish{Account: acct, Computer: lone, Wish: w, Operation: &Operation{ID: id, Kind: kind}})
	if len(r.Reply) > 0 {
		f.reply(r, &reply)
	}
	return reply.Operation
}

func TestOperationsEndWithWhatTheyAskFor(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	if o := f.operation("op_create"); o.Status != OperationPending || o.Computer != lone || !o.Deadline.Equal(f.now.Add(CreateOperation.Limit())) {
		t.Fatalf("%+v", o)
	}
	epoch := f.claim(lone, n1)
	set := func(p Phase) SetPhase { return SetPhase{Computer: lone, Epoch: epoch, Phase: p, HasData: true} }
	if o := f.operation("op_create"); o.Status != OperationRunning || o.StartedAt.IsZero() {
		t.Fatalf("%+v", o)
	}
	f.ok(n1, set(Running))
	if o := f.operation("op_create"); o.Status != OperationSucceeded || o.EndedAt.IsZero() || f.computer(lone).Operations != 0 {
		t.Fatalf("%+v", o)
	}
	f.check()
	if id := f.ask(WishRunning, "op_none", StartOperation); id != "" {
		t.Fatalf("starting what runs began %s", id)
	}
	if id := f.ask(WishStopped, "op_stop", StopOperation); id != "op_stop" || f.computer(lone).Phase != Stopping {
		t.Fatalf("%q, %s", id, f.computer(lone).Phase)
	}
	f.ask(WishRunning, "op_start", StartOperation)
	if o := f.operation("op_stop"); o.Status != OperationFailed || o.Error != "the computer was asked to start" {
		t.Fatalf("%+v", o)
	}
	failed := set(Failed)
	failed.Error = "no such image"
	f.ok(n1, failed)
	if o := f.operation("op_start"); o.Status != OperationFailed || o.Error != "no such image" {
		t.Fatalf("%+v", o)
	}
	// A computer that failed is given another try.
	if f.ask(WishRunning, "op_again", StartOperation); f.computer(lone).Phase != Starting || f.operation("op_again").Status.Over() {
		t.Fatalf("%s, %+v", f.computer(lone).Phase, f.operation("op_again"))
	}
	f.ask(WishDeleted, "op_delete", DeleteOperation)
	if o := f.operation("op_again"); o.Status != OperationFailed || o.Error != "the computer was deleted" {
		t.Fatalf("%+v", o)
	}
	f.check()
	f.ok(n1, set(Deleted))
	if o := f.operation("op_delete"); o.Status != OperationSucceeded || f.computer(lone).DeletedAt.IsZero() {
		t.Fatalf("%+v", o)
	}
	f.pass(OperationLifetime + time.Second)
	f.do(Sweep{})
	if _, err := f.view().Operation(acct, "op_delete"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("kept for ever: %v", err)
	}
	f.check()
}

func TestOperationsEndAtTheirDeadline(t *testing.T) {
	f := newFixture(t)
	f.makeLone("")
	f.pass(CreateOperation.Limit())
	f.do(Sweep{})
	if o := f.operation("op_create"); o.Status.Over() {
		t.Fatalf("ended before its time: %+v", o)
	}
	f.pass(1)
	if due, err := f.view().Due(f.now); err != nil || !due {
		t.Fatalf("nothing is due: %v", err)
	}
	f.do(Sweep{})
	if o := f.operation("op_create"); o.Status != OperationFailed || o.Error != "it did not end within 10m0s" || f.computer(lone).Operations != 0 {
		t.Fatalf("%+v", o)
	}
	f.check()
}

func TestOperationsAreBoundedButForStopAndDelete(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	for i := range MaxOperations {
		f.snap(SnapshotID("snap_" + encodeText(uint64(i))))
	}
	over := OperationID("op_over")
	f.refused("", CreateSnapshot{Account: acct, Computer: lone, ID: "snap_over", Operation: Operation{ID: over}}, fault.Conflict, "")
	f.refused("", ResizeComputer{Account: acct, Computer: lone, Size: Size{DiskBytes: 6 << 30}, Operation: Operation{ID: over}}, fault.Conflict, "")
	if id := f.ask(WishStopped, "op_stop", StopOperation); id != "op_stop" {
		t.Fatalf("stopping it began %q", id)
	}
	if id := f.ask(WishDeleted, "op_delete", DeleteOperation); id != "op_delete" {
		t.Fatalf("deleting it began %q", id)
	}
	f.check()
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Deleted})
	f.check()
}

func TestAWishAskedTwiceHasOneOperation(t *testing.T) {
	f := newFixture(t)
	epoch := f.aloneWithData()
	f.ask(WishStopped, "op_stop", StopOperation)
	if id := f.ask(WishStopped, "op_twice", StopOperation); id != "op_stop" || f.computer(lone).Operations != 1 {
		t.Fatalf("%q; %d are open", id, f.computer(lone).Operations)
	}
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Stopped})
	for _, id := range []OperationID{"op_start", "op_again"} {
		if got := f.ask(WishRunning, id, StartOperation); got != "op_start" || f.computer(lone).Operations != 1 {
			t.Fatalf("%q; %d are open", got, f.computer(lone).Operations)
		}
	}
	f.check()
}

// Every operation is judged to an end by some computer, but for the deletion of
// a snapshot, which outlives computers; none goes back.
func TestEveryOperationCanEnd(t *testing.T) {
	kinds := []OperationKind{CreateOperation, StartOperation, StopOperation, ResizeOperation, DeleteOperation, RestoreOperation,
		CreateSnapshotOperation, DeleteSnapshotOperation}
	for _, k := range kinds {
		over := 0
		for _, phase := range Phases() {
			for _, wish := range []Wish{WishRunning, WishStopped, WishDeleted} {
				for _, node := range []NodeID{"", n1} {
					status, reason := (Operation{Kind: k, Status: OperationRunning}).judge(Computer{Phase: phase, Wish: wish, Node: node})
					if status == OperationPending || (status == OperationFailed) != (reason != "") {
						t.Errorf("%s of a computer %s and wished %s: %s, %q", k, phase, wish, status, reason)
					}
					if status.Over() {
						over++
					}
				}
			}
		}
		if over == 0 && k != DeleteSnapshotOperation || k.Limit() <= 0 {
			t.Errorf("%s never ends", k)
		}
	}
}

func TestHandlesAndLabels(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	another := Computer{ID: "0190-0000-12345678", Account: acct, Handle: "box", Wish: WishStopped}
	f.refused("", CreateComputer{Computer: another}, fault.Conflict, CodeHandleTaken)
	another.Account = other
	f.do(CreateComputer{Computer: another})
	for label, want := range map[string]ComputerID{"box": lone, "box-12345678": another.ID} {
		if c, ok, err := f.view().ComputerLabelled(label); err != nil || !ok || c.ID != want {
			t.Errorf("%s leads to %s, %v", label, c.ID, err)
		}
	}
	if c, ok, err := f.view().ComputerNamed(other, "box"); err != nil || !ok || c.ID != another.ID {
		t.Fatalf("%+v, %v", c, err)
	}
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishDeleted})
	if _, ok, _ := f.view().ComputerNamed(acct, "box"); ok {
		t.Fatal("a deleted computer keeps its handle")
	}
	f.check()
}

func TestResizing(t *testing.T) {
	f := newFixture(t)
	f.makeLone("")
	bigger := Size{MemoryBytes: 4 << 30, MilliCPU: 1000, DiskBytes: 10 << 30}
	f.do(ResizeComputer{Account: acct, Computer: lone, Size: bigger, Operation: Operation{ID: "op_0"}})
	if c := f.computer(lone); c.Size() != bigger || c.Resize != nil {
		t.Fatalf("a computer that nobody owns has its size at once: %+v", c)
	}
	f.refused("", ResizeComputer{Account: acct, Computer: lone, Size: Size{MemoryBytes: 4 << 30, DiskBytes: 5 << 30}}, fault.Invalid, "")
	epoch := f.claim(lone, n1)
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running})
	huge := bigger
	huge.MemoryBytes = 64 << 30
	for i, reason := range []string{"the kernel refuses", ""} {
		id := OperationID([]string{"op_1", "op_2"}[i])
		f.do(ResizeComputer{Account: acct, Computer: lone, Size: huge, Operation: Operation{ID: id}})
		f.refused("", ResizeComputer{Account: acct, Computer: lone, Size: huge, Operation: Operation{ID: "op_3"}}, fault.Conflict, "")
		if c := f.computer(lone); c.Phase != Updating || c.Size() != bigger {
			t.Fatalf("%+v", c)
		}
		f.refused(n2, Resized{Computer: lone, Epoch: epoch}, fault.Moved, "")
		f.ok(n1, Resized{Computer: lone, Epoch: epoch, Error: reason})
		want := map[string]Size{"": huge}[reason]
		if reason != "" {
			want = bigger
		}
		if c, o := f.computer(lone), f.operation(id); c.Size() != want || c.Phase != Running || o.Error != reason || !o.Status.Over() {
			t.Fatalf("%+v, %+v", c, o)
		}
		f.check()
	}
}

func TestTransfers(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	move := TransferComputer{Account: acct, Computer: lone, To: other}
	f.refused("", move, fault.Conflict, "") // its creation is open
	epoch := f.claim(lone, n1)
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running})
	f.ok(n1, RecordUsage{Ticks: []Tick{{Computer: lone, Epoch: epoch, Next: "resv_1", Amount: 500}}})
	f.refused("", TransferComputer{Account: acct, Computer: comp, To: other}, fault.Conflict, "") // an environment's
	f.refused("", TransferComputer{Account: acct, Computer: lone, To: "acct_none"}, fault.NotFound, "")
	f.refused("", TransferComputer{Account: other, Computer: lone, To: acct}, fault.NotFound, "")
	f.ok(n1, HandOver{Computer: lone, Epoch: epoch, To: n2})
	f.ok(n1, KeepDisk{ID: "snap_1", Computer: lone, Node: n1, Epoch: epoch})
	f.do(move)
	f.do(TransferComputer{Account: other, Computer: lone, To: other})
	if _, err := f.view().Computer(acct, lone); !fault.Is(err, fault.NotFound) {
		t.Fatalf("the old account sees it: %v", err)
	}
	list, err := f.view().Snapshots(lone, Page{Limit: 5})
	if err != nil || list.Items[0].Account != other || f.account(acct).Reserved != 0 {
		t.Fatalf("%+v, %d reserved", list.Items, f.account(acct).Reserved)
	}
	f.ok(n2, RecordUsage{Ticks: []Tick{{Computer: lone, Epoch: epoch + 1, Metered: Metered{Cost: 200}, Charge: "rec_1", Next: "resv_2", Amount: 500}}})
	if a := f.account(other); a.TotalSpent != 200 || a.Reserved != 500 || f.account(acct).TotalSpent != 0 {
		t.Fatalf("%+v", a)
	}
	f.check()
}

// TestComputersOfAnAccountAreBounded: it may not have one more, whichever way it
// comes. Only their count is as high here.
func TestComputersOfAnAccountAreBounded(t *testing.T) {
	f := newFixture(t)
	f.makeLone("")
	f.claim(lone, n1)
	f.ok(n1, SetPhase{Computer: lone, Epoch: f.computer(lone).Epoch, Phase: Running})
	full := func(n uint64) {
		t.Helper()
		if err := f.store.Set(computers.countKey("account", []string{string(other)}), encodeUint(n)); err != nil {
			t.Fatal(err)
		}
	}
	move := TransferComputer{Account: acct, Computer: lone, To: other}
	for _, cmd := range []Command{
		move,
		CreateComputer{Computer: Computer{ID: "comp_over", Account: other, Wish: WishStopped}},
		CreateEnvironment{Environment: Environment{ID: "env_over", Account: other, Name: "over"}, Computer: Computer{ID: "comp_env"}},
	} {
		full(MaxComputers)
		f.refused("", cmd, fault.Conflict, "")
		full(MaxComputers - 1)
		f.do(cmd)
	}
}
