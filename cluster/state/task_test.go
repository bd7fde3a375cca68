package state

import (
	"fmt"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const alone = ComputerID("comp_alone")

func startTask(thread ThreadID, run RunID) StartTask {
	s := startRun(thread, run, 0)
	s.Reserve = nil
	s.Create = &Thread{ID: thread, Account: acct, User: "user_a", Title: "t", Computer: alone, Task: &Task{Visibility: TaskShared}}
	return StartTask{Start: s, Computer: &Computer{ID: alone, Account: acct, Name: "box", Origin: OriginRebyte}}
}

func prompt(thread ThreadID, run RunID) StartTask {
	cmd := startTask(thread, run)
	cmd.Start.Create, cmd.Start.Thread, cmd.Computer = nil, thread, nil
	return cmd
}

// taskFixture has a task whose first prompt is worked on by n1.
func taskFixture(t *testing.T) (*fixture, Epoch) {
	f := newFixture(t)
	f.do(startTask("task_1", "run_1"))
	return f, f.claim(alone, n1)
}

func (f *fixture) finish(e Epoch, thread ThreadID, run RunID, s RunStatus) {
	f.tb.Helper()
	th := f.thread(thread)
	f.ok(n1, Append{Thread: thread, Run: run, Epoch: e, FirstSeq: th.LastSeq + 1,
		Events: []Event{{Kind: EventRunCompleted, Status: string(s)}}, Finish: &Finish{Status: s, Message: MessageID("a_" + run), Content: "done"}})
}

func TestPromptsOfATaskWaitTheirTurn(t *testing.T) {
	f, epoch := taskFixture(t)
	f.pass(1)
	f.do(prompt("task_1", "run_2"))
	f.pass(1)
	f.do(prompt("task_1", "run_3"))
	if got := f.run("run_2"); got.Status != RunQueued || got.Waiting == nil {
		t.Fatalf("a prompt to a busy task is %+v", got)
	}
	f.check()
	for i, end := range []RunStatus{RunSuccess, RunFailed, RunCancelled} {
		f.finish(epoch, "task_1", RunID(fmt.Sprintf("run_%d", i+1)), end)
		f.check()
		if i == 2 {
			break
		}
		next := f.run(RunID(fmt.Sprintf("run_%d", i+2)))
		th := f.thread("task_1")
		if next.Status != RunPending || th.Run != next.ID || next.FirstSeq != th.LastSeq+1 || next.Waiting != nil {
			t.Fatalf("after run %d (%s) the next is %+v in %+v", i+1, end, next, th)
		}
	}
	said, err := f.view().Messages(acct, "task_1", Page{Limit: 10}, false)
	if err != nil || said.Total != 6 {
		t.Fatalf("messages %+v, %v; want each prompt after the answer to the one before", said, err)
	}
	for i, m := range said.Items {
		if want := []string{"user", "assistant"}[i%2]; m.Role != want || m.Run != RunID(fmt.Sprintf("run_%d", i/2+1)) {
			t.Fatalf("message %d is %s of %s", i, m.Role, m.Run)
		}
	}
}

func TestPromptsThatWaitAreBounded(t *testing.T) {
	f, _ := taskFixture(t)
	for i := range MaxQueuedRuns {
		f.do(prompt("task_1", RunID(fmt.Sprintf("run_q%d", i))))
	}
	f.refused("", prompt("task_1", "run_over"), fault.Conflict, CodeLimit)
	f.check()
}

func TestPromptsThatWaitEndWithTheirTask(t *testing.T) {
	ends := map[string]struct {
		cmd   Command
		first RunStatus // of the run that was worked on
	}{
		"cancelled":            {CancelRun{Account: acct, Thread: "task_1"}, RunPending},
		"deleted":              {DeleteThread{Account: acct, Thread: "task_1"}, RunPending},
		"its computer deleted": {SetWish{Account: acct, Computer: alone, Wish: WishDeleted}, RunPending},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			f, epoch := taskFixture(t)
			f.do(prompt("task_1", "run_2"))
			f.do(tt.cmd)
			if f.run("run_1").Status == RunPending {
				f.finish(epoch, "task_1", "run_1", RunCancelled)
			}
			if got := f.run("run_2"); got.Status != RunCancelled || got.Waiting == nil || got.EndedAt.IsZero() {
				t.Fatalf("what waited is %+v", got)
			}
			f.check()
		})
	}
}

// Nobody owns the computer, so nobody else ends what is under way there.
func TestWhatWaitsEndsWithAComputerThatNobodyOwns(t *testing.T) {
	f := newFixture(t)
	f.do(startTask("task_1", "run_1"))
	f.do(prompt("task_1", "run_2"))
	f.do(SetWish{Account: acct, Computer: alone, Wish: WishDeleted})
	f.check()
	for _, id := range []RunID{"run_1", "run_2"} {
		if got := f.run(id); got.Status != RunCancelled {
			t.Errorf("%s is %s", id, got.Status)
		}
	}
}

func TestTasksAreRefused(t *testing.T) {
	f, _ := taskFixture(t)
	f.startRun("thread_1", "run_t", 0)
	with := func(change func(*StartTask)) StartTask {
		cmd := startTask("task_x", "run_x")
		cmd.Computer = nil
		change(&cmd)
		return cmd
	}
	tests := map[string]struct {
		cmd  Command
		kind fault.Kind
	}{
		"no such computer":       {with(func(c *StartTask) { c.Start.Create.Computer = "none" }), fault.NotFound},
		"another's computer":     {with(func(c *StartTask) { c.Start.Create.Account, c.Start.Account = other, other }), fault.NotFound},
		"a prompt to a thread":   {prompt("thread_1", "run_x"), fault.NotFound},
		"a prompt to no task":    {prompt("none", "run_x"), fault.NotFound},
		"showing another's task": {ShowTask{Account: other, User: "user_b", Task: "task_1", Visibility: TaskPublic}, fault.NotFound},
		"showing a thread":       {ShowTask{Account: acct, User: "user_a", Task: "thread_1", Visibility: TaskPublic}, fault.NotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { f.tb = t; f.refused("", tt.cmd, tt.kind, "") })
	}
}

func TestWhoSeesATask(t *testing.T) {
	f, _ := taskFixture(t)
	f.do(CreateUser{User: User{ID: "user_2", Account: acct, Role: "member"}})
	for visibility, seen := range map[TaskVisibility][2]bool{ // by its maker, its account
		TaskPrivate: {true, false}, TaskShared: {true, true}, TaskPublic: {true, true}} {
		f.do(ShowTask{Account: acct, User: "user_a", Task: "task_1", Visibility: visibility})
		v := f.view()
		_, mine := v.Task(acct, "user_a", "task_1")
		_, theirs := v.Task(acct, "user_2", "task_1")
		_, others := v.Task(other, "user_b", "task_1")
		list, err := v.Tasks(acct, "user_2", alone, Page{Limit: 5})
		if got := [2]bool{mine == nil, theirs == nil}; got != seen || others == nil || err != nil || (list.Total == 1) != seen[1] {
			t.Errorf("%s: seen by %v, another account %v, listed %d; want %v", visibility, got, others == nil, list.Total, seen)
		}
	}
}
