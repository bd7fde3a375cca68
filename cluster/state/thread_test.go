package state

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestRunsAreRefused(t *testing.T) {
	f := newFixture(t)
	f.startRun("thread_1", "run_1", 10)
	with := func(change func(*StartRun)) StartRun {
		cmd := startRun("thread_x", "run_x", 0)
		change(&cmd)
		return cmd
	}
	tests := map[string]struct {
		cmd  Command
		kind fault.Kind
		code string
	}{
		"a busy thread":            {with(func(c *StartRun) { c.Create, c.Thread = nil, "thread_1" }), fault.Conflict, CodeBusy},
		"no such thread":           {with(func(c *StartRun) { c.Create, c.Thread = nil, "none" }), fault.NotFound, ""},
		"another account's thread": {with(func(c *StartRun) { c.Create, c.Thread, c.Account = nil, "thread_1", other }), fault.NotFound, ""},
		"no such environment":      {with(func(c *StartRun) { c.Create.Environment = "none" }), fault.NotFound, ""},
		"another's environment":    {with(func(c *StartRun) { c.Create.Account, c.Account = other, other }), fault.NotFound, ""},
		"a thread that exists":     {with(func(c *StartRun) { c.Create.ID = "thread_1" }), fault.Conflict, CodeExists},
		"a run that exists":        {with(func(c *StartRun) { c.Run.ID = "run_1" }), fault.Conflict, CodeExists},
		"a message that exists":    {with(func(c *StartRun) { c.Message.ID = "msg_run_1" }), fault.Conflict, CodeExists},
		"a reservation that is open": {with(func(c *StartRun) { c.Reserve.ID, c.Reserve.Amount = "resv_run_1", 5 }),
			fault.Conflict, CodeExists},
		"a run without an id": {with(func(c *StartRun) { c.Run.ID = "" }), fault.Invalid, ""},
		"a very long message": {with(func(c *StartRun) { c.Message.Content = strings.Repeat("x", MaxMessageBytes+1) }), fault.TooLarge, ""},
		"a zero byte in an id": {with(func(c *StartRun) { c.Create.ID = "thread\x00" }),
			fault.Invalid, ""},
		"cancelling nothing":        {CancelRun{Account: acct, Thread: "none"}, fault.NotFound, ""},
		"a status nobody has":       {PatchThread{Account: acct, Thread: "thread_1", Status: ptr(ThreadStatus("odd"))}, fault.Conflict, ""},
		"patching another's thread": {PatchThread{Account: other, Thread: "thread_1"}, fault.NotFound, ""},
		"deleting another's":        {DeleteThread{Account: other, Thread: "thread_1"}, fault.NotFound, ""},
		"copying another's":         {CopyThread{Account: other, From: "thread_1", To: "t"}, fault.NotFound, ""},
		"copying onto another":      {CopyThread{Account: acct, From: "thread_1", To: "thread_1"}, fault.Conflict, CodeExists},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { f.tb = t; f.refused(n1, tt.cmd, tt.kind, tt.code) })
	}
	f.check()
}

func TestAppendsAreRefused(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 10)
	f.startRun("thread_2", "run_2", 10)
	next := func(change func(*Append)) Append {
		cmd := Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1}
		change(&cmd)
		return cmd
	}
	tests := map[string]struct {
		cmd  Append
		kind fault.Kind
	}{
		"no such run":             {next(func(c *Append) { c.Run = "none" }), fault.NotFound},
		"a run of another thread": {next(func(c *Append) { c.Run = "run_2" }), fault.NotFound},
		"a gap":                   {next(func(c *Append) { c.FirstSeq = 2 }), fault.Moved},
		"a batch sent before":     {next(func(c *Append) { c.FirstSeq = 0 }), fault.Moved},
		"too many events":         {next(func(c *Append) { c.Events = make([]Event, MaxBatchEvents+1) }), fault.TooLarge},
		"a very long event":       {next(func(c *Append) { c.Events = []Event{{Text: strings.Repeat("x", MaxEventBytes+5000)}} }), fault.TooLarge},
		"an end that is none":     {next(func(c *Append) { c.Finish = &Finish{Status: RunRunning} }), fault.Invalid},
		"a reserve without money": {next(func(c *Append) { c.Reserve = &Reservation{ID: "v", Amount: start} }), fault.Payment},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f.tb = t
			code := ""
			if tt.kind == fault.Payment {
				code = CodeBudget
			}
			f.refused(n1, tt.cmd, tt.kind, code)
		})
	}
	f.tb = t
	f.ok(n1, next(func(c *Append) { c.Finish = &Finish{Status: RunSuccess} }))
	f.refused(n1, next(func(*Append) {}), fault.Moved, "") // the run has ended
	f.check()
}

func TestStatusPatches(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, CreateThread{Thread: Thread{ID: "t", Account: acct, Environment: env}})
	for s, legal := range map[ThreadStatus]bool{ThreadActive: true, ThreadCompleted: true, ThreadFailed: true,
		ThreadCancelled: true, ThreadRunning: false, "odd": false, "": false} {
		cmd := PatchThread{Account: acct, Thread: "t", Status: &s}
		if !legal {
			f.refused(n1, cmd, fault.Invalid, "")
			continue
		}
		f.ok(n1, cmd)
		list, err := f.view().Threads(acct, ThreadFilter{Status: s}, Page{Limit: 5})
		if err != nil || list.Total != 1 || list.Items[0].Status != s {
			t.Fatalf("%s: %+v, %v", s, list, err)
		}
	}
	f.check()
}

// talk is a thread whose run said and did something and has ended.
func talk(f *fixture, pieces int) {
	f.tb.Helper()
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 0)
	events := []Event{{Kind: EventRunStarted}, {Kind: EventItemStarted, Item: "i"}}
	for range pieces {
		events = append(events, Event{Kind: EventText, Item: "i", Text: "wo"})
	}
	events = append(events, Event{Kind: EventItemCompleted, Item: "i", Text: "words"}, Event{Kind: EventRunCompleted})
	seq := uint64(1)
	for len(events) > 0 {
		n := min(len(events), MaxBatchEvents)
		cmd := Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: seq, Events: events[:n]}
		if events, seq = events[n:], seq+uint64(n); len(events) == 0 {
			cmd.Finish = &Finish{Status: RunSuccess, Message: "answer", Content: "words"}
		}
		f.ok(n1, cmd)
	}
}

func TestCopies(t *testing.T) {
	f := newFixture(t)
	talk(f, 3)
	f.ok(n1, CopyThread{Account: acct, From: "thread_1", To: "thread_2"})
	events := f.events("thread_2")
	if len(events) != 1 || events[0].Text != "words" || events[0].Seq != 6 {
		t.Fatalf("%+v", events)
	}
	list, err := f.view().Messages(acct, "thread_2", Page{Limit: 9}, false)
	if err != nil || list.Total != 2 || list.Items[0].Content != "hello" || list.Items[1].Content != "words" {
		t.Fatalf("%+v, %v", list, err)
	}
	f.ok(n1, StartRun{Account: acct, Thread: "thread_2", Run: Run{ID: "run_2"}})
	f.ok(n1, Append{Thread: "thread_2", Run: "run_2", Epoch: 1, FirstSeq: f.thread("thread_1").LastSeq + 1, Events: make([]Event, 2)})
	f.check()
}

func TestLongThreadsAreNotCopied(t *testing.T) {
	f := newFixture(t)
	talk(f, 1)
	content := strings.Repeat("x", MaxMessageBytes)
	for i := range MaxCopyBytes/MaxMessageBytes + 1 {
		m := Message{ID: MessageID("long_" + encodeText(uint64(i))), Thread: "thread_1", Content: content, Number: i + 3}
		if err := messages.put(f.store, m); err != nil {
			t.Fatal(err)
		}
	}
	f.refused(n1, CopyThread{Account: acct, From: "thread_1", To: "t"}, fault.TooLarge, "")
}

func TestSweepPrunesTextInParts(t *testing.T) {
	f := newFixture(t)
	talk(f, MaxPrune+10)
	if due, err := f.view().Due(f.now.Add(PruneAfter)); due || err != nil {
		t.Fatalf("due too early: %v, %v", due, err)
	}
	f.pass(PruneAfter + 1)
	whole := f.events("thread_1")
	for round, want := range []int{len(whole) - MaxPrune, 4, 4} {
		var n int
		f.reply(f.ok("", Sweep{}), &n)
		if n > MaxSweep || (round == 0) != (n == MaxSweep) {
			t.Fatalf("round %d: dealt with %d", round, n)
		}
		if got := f.events("thread_1"); len(got) != want {
			t.Fatalf("round %d: %d events; want %d", round, len(got), want)
		}
		f.check()
	}
	if due, err := f.view().Due(f.now); due || err != nil {
		t.Fatalf("still due: %v, %v", due, err)
	}
}

func TestSweepRemovesDeletedThreads(t *testing.T) {
	f := newFixture(t)
	talk(f, 3)
	f.startRun("thread_2", "run_2", 0)
	f.do(DeleteThread{Account: acct, Thread: "thread_1"})
	f.do(DeleteThread{Account: acct, Thread: "thread_2"})
	if _, err := f.view().Thread(acct, "thread_1"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("%v", err)
	}
	f.pass(PruneAfter + 1)
	f.do(Sweep{})
	if _, ok, _ := f.view().AnyThread("thread_2"); !ok || !f.run("run_2").Cancel {
		t.Fatal("a thread whose run is in progress was removed, or the run not asked to stop")
	}
	f.ok(n1, Append{Thread: "thread_2", Run: "run_2", Epoch: 1, FirstSeq: 1, Events: make([]Event, 2), Finish: &Finish{Status: RunCancelled}})
	f.pass(PruneAfter + 1)
	f.do(Sweep{})
	f.check()
	for _, prefix := range []string{"thread", "message", "run", "event"} {
		k := key(prefix)
		f.store.Scan(k, after(k), false, func(k, _ []byte) bool { t.Errorf("left: %q", k); return true })
	}
	if due, err := f.view().Due(f.now); due || err != nil {
		t.Fatalf("still due: %v, %v", due, err)
	}
}
