package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func hook(id WebhookID, url string, events ...WebhookEvent) CreateWebhook {
	return CreateWebhook{Webhook: Webhook{ID: id, Account: acct, URL: url, Events: events}}
}

// toldOf are the events that wait for a webhook.
func (f *fixture) toldOf(id WebhookID) (events []WebhookEvent) {
	f.tb.Helper()
	waiting := got(f, func(*View) ([]Delivery, error) { return all(f.store, &deliveries) })
	for _, d := range waiting {
		if d.Webhook == id {
			events = append(events, d.Event)
		}
	}
	return events
}

func TestWebhooksAreToldOfComputersAndBuilds(t *testing.T) {
	f := newFixture(t)
	f.do(hook("hook_all", "https://a.example/", WebhookEvents()...))
	epoch := f.aloneWithData()
	told := func(want ...WebhookEvent) {
		t.Helper()
		if got := f.toldOf("hook_all"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("told %v, not %v", got, want)
		}
	}
	before := f.toldOf("hook_all")
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Starting})
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running})
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running}) // nothing new
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Failed, Error: "no"})
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishDeleted})
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Deleted})
	told(append(before, ComputerRunning, ComputerFailed, ComputerDeleted)...)
	before = f.toldOf("hook_all")
	f.becomes(recipe(1, "one"))
	f.pass(BuildDelay)
	f.made(n1, "build_1", "sha256:one")
	f.becomes(recipe(2, "two"))
	f.pass(BuildDelay)
	f.made(n1, "build_2", "")
	told(append(before, BuildStarted, BuildCompleted, BuildStarted, BuildDidFail)...)
	f.check()
}

func TestWebhooksAreToldWhatTasksDo(t *testing.T) {
	f := newFixture(t)
	f.do(hook("hook_all", "https://a.example/", WebhookEvents()...))
	f.do(hook("hook_end", "https://b.example/", TaskCompleted, TaskFailed, TaskCanceled))
	f.do(startTask("task_1", "run_1"))
	epoch := f.claim(alone, n1)
	f.do(prompt("task_1", "run_2"))
	f.finish(epoch, "task_1", "run_1", RunFailed)
	f.finish(epoch, "task_1", "run_2", RunSuccess)
	f.startRun("thread_1", "run_t", 0) // no task
	for id, want := range map[WebhookID][]WebhookEvent{
		"hook_all": {TaskCreated, TaskRunning, RunBegan, RunDidFail, TaskRunning, RunBegan, RunCompleted, TaskCompleted, RunBegan},
		"hook_end": {TaskCompleted}, // what waited kept the task going
	} {
		if told := f.toldOf(id); fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("%s is told %v, not %v", id, told, want)
		}
	}
	f.do(DeleteWebhook{Account: acct, Webhook: "hook_all"})
	if told := f.toldOf("hook_all"); len(told) != 0 {
		t.Errorf("a deleted webhook is told %v", told)
	}
	f.check()
}

func TestWebhooksAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range MaxWebhooks {
		f.do(hook(WebhookID(fmt.Sprintf("hook_%d", i)), fmt.Sprintf("https://%d.example/", i), TaskCreated))
	}
	f.refused("", hook("hook_over", "https://over.example/", TaskCreated), fault.Conflict, CodeLimit)
	var made Made
	f.reply(f.do(hook("hook_again", "https://1.example/", TaskFailed)), &made)
	if made.Resource.ID != "hook_1" {
		t.Errorf("the same address again is %+v", made)
	}
	f.refused("", DeleteWebhook{Account: other, Webhook: "hook_1"}, fault.NotFound, "")
	f.check()
}

func TestDeliveriesAreTriedAndGivenUp(t *testing.T) {
	f := newFixture(t)
	f.do(hook("hook_1", "https://a.example/", TaskCreated))
	try := func(number uint64, try int, arrived bool) RecordDelivery {
		return RecordDelivery{Webhook: "hook_1", Number: number, Try: try, Arrived: arrived, Wait: time.Minute}
	}
	for i := range MaxWebhookFailures + 1 {
		cmd := startTask(ThreadID(fmt.Sprintf("task_%d", i)), RunID(fmt.Sprintf("run_%d", i)))
		if i > 0 {
			cmd.Computer = nil
		}
		f.do(cmd)
	}
	f.do(try(1, 1, false))
	f.refused("", try(1, 1, true), fault.Moved, "") // who leads no more
	f.do(try(1, 2, true))
	f.refused("", try(1, 3, true), fault.Moved, "")
	for n := range MaxWebhookFailures {
		for i := range MaxDeliveryTries {
			f.do(try(uint64(n+2), i+1, false))
		}
		f.check()
	}
	w := got(f, func(v *View) (Webhook, error) { return v.Webhook(acct, "hook_1") })
	if !w.Disabled || w.Failures != MaxWebhookFailures || len(f.toldOf("hook_1")) != 0 {
		t.Fatalf("%+v, told %v", w, f.toldOf("hook_1"))
	}
}

// A dead address with much to tell waits by itself.
func TestWebhooksWaitEachInItsOwnTurn(t *testing.T) {
	f := newFixture(t)
	f.do(hook("hook_dead", "https://a.example/", TaskCreated, TaskRunning))
	f.do(hook("hook_live", "https://b.example/", TaskRunning))
	f.do(startTask("task_1", "run_1"))
	order := func(want ...WebhookID) {
		t.Helper()
		var ids []WebhookID
		for _, w := range got(f, func(v *View) ([]Webhook, error) { return v.WaitingWebhooks(10) }) {
			ids = append(ids, w.ID)
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			t.Fatalf("%v are due, not %v", ids, want)
		}
		f.check()
	}
	order("hook_dead", "hook_live")
	f.pass(time.Second)
	f.do(RecordDelivery{Webhook: "hook_dead", Number: 1, Try: 1, Wait: time.Minute})
	order("hook_live", "hook_dead")
	f.do(RecordDelivery{Webhook: "hook_live", Number: 1, Try: 1, Arrived: true})
	order("hook_dead")
	if d, ok, err := f.view().NextDelivery("hook_dead"); err != nil || !ok || d.Number != 1 || d.Tries != 1 {
		t.Fatalf("%+v, %v, %v", d, ok, err)
	}
}

func TestWhatWaitsForAWebhookIsBounded(t *testing.T) {
	f := newFixture(t)
	f.do(hook("hook_1", "https://a.example/", TaskRunning))
	f.do(startTask("task_1", "run_1"))
	epoch := f.claim(alone, n1)
	for i := 1; i <= MaxDeliveries+2; i++ {
		f.finish(epoch, "task_1", RunID(fmt.Sprintf("run_%d", i)), RunSuccess)
		f.do(prompt("task_1", RunID(fmt.Sprintf("run_%d", i+1))))
	}
	w := got(f, func(v *View) (Webhook, error) { return v.Webhook(acct, "hook_1") })
	if n := len(f.toldOf("hook_1")); n != MaxDeliveries || w.Dropped != 3 {
		t.Fatalf("%d wait, %d were dropped", n, w.Dropped)
	}
}
