package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const sched = ScheduleID("sched_a")

// schedule makes a schedule of acct in env that is due in an hour.
func (f *fixture) schedule(change ...func(*Schedule)) Schedule {
	f.tb.Helper()
	s := Schedule{ID: sched, Account: acct, Name: "daily", Task: "sweep the floor", Environment: env, Cron: "0 * * * *", Zone: "UTC",
		Enabled: true, NextRunAt: f.now.Add(time.Hour)}
	for _, c := range change {
		c(&s)
	}
	f.do(CreateSchedule{Schedule: s})
	return f.scheduled(s.ID)
}

func (f *fixture) scheduled(id ScheduleID) Schedule {
	f.tb.Helper()
	return got(f, func(v *View) (Schedule, error) { return schedules.get(v.r, string(id)) })
}

// tick is the Fire of a schedule's next tick, with a run in a new thread.
func tick(s Schedule, n int) Fire {
	return Fire{Schedule: s.ID, Seen: s.Version, Tick: s.NextRunAt, Next: s.NextRunAt.Add(time.Hour), Start: begin(s, n)}
}

func begin(s Schedule, n int) *StartRun {
	start := &StartRun{Thread: s.Thread, Run: Run{ID: RunID(fmt.Sprintf("run_%d", n))}, Message: &Message{ID: MessageID(fmt.Sprintf("msg_%d", n))}}
	if s.Thread == "" {
		start.Create = &Thread{ID: ThreadID(fmt.Sprintf("thread_%d", n)), Account: s.Account, Environment: s.Environment}
	}
	return start
}

func TestATickFiresOnceWhoeverAndHoweverOften(t *testing.T) {
	f := newFixture(t)
	s := f.schedule()
	fire := tick(s, 1)
	f.refused(n1, fire, fault.Moved, "") // its time has not come
	f.now = s.NextRunAt
	var fired Fired
	f.reply(f.ok(n1, fire), &fired)
	if fired != (Fired{Run: "run_1"}) {
		t.Fatalf("%+v", fired)
	}
	f.refused(n2, tick(s, 2), fault.Moved, "") // another node that led before, or will
	after := f.scheduled(sched)
	if after.Runs != 1 || !after.NextRunAt.Equal(fire.Next) || !after.LastTick.Equal(fire.Tick) || after.LastRun != "run_1" || !after.Enabled {
		t.Fatalf("%+v", after)
	}
	if m := got(f, func(v *View) (List[Message], error) { return v.Messages(acct, "thread_1", Page{Limit: 5}, false) }); len(m.Items) != 1 || m.Items[0].Content != "sweep the floor" {
		t.Fatalf("%+v", m.Items)
	}
	if r := f.run("run_1"); r.Schedule != sched || r.Status != RunPending {
		t.Fatalf("%+v", r)
	}
	f.check()
}

func TestACommandOlderThanAChangeDoesNotFire(t *testing.T) {
	f := newFixture(t)
	s := f.schedule()
	f.now = s.NextRunAt
	fire := tick(s, 1)
	s.Task = "water the plants"
	f.do(UpdateSchedule{Schedule: s, Seen: s.Version})
	f.refused(n1, fire, fault.Moved, "")
	s = f.scheduled(sched)
	fire = tick(s, 1)
	s.Enabled, s.NextRunAt = false, time.Time{}
	f.do(UpdateSchedule{Schedule: s, Seen: s.Version})
	f.refused(n1, fire, fault.Moved, "")
	f.refused(n1, UpdateSchedule{Schedule: s, Seen: s.Version}, fault.Conflict, CodeChanged)
	f.do(DeleteSchedule{Account: acct, ID: sched})
	f.refused(n1, fire, fault.NotFound, "")
	f.check()
}

func TestWhatIsRefusedIsCountedAndTheScheduleGoesOn(t *testing.T) {
	tests := map[string]struct {
		before         func(f *fixture, fire *Fire)
		failed, missed int64
		why            string
	}{
		"no money": {func(f *fixture, fire *Fire) {
			fire.Start.Reserve = &Reservation{ID: "resv_1", Amount: start + 1}
		}, 1, 0, "Insufficient budget to execute"},
		"a daily limit that is met": {func(f *fixture, fire *Fire) {
			f.do(SetLimits{Account: acct, SetDaily: true, Daily: ptr(MicroUSD(0))})
		}, 1, 0, "Daily limit reached"},
		"an environment that is deleted": {func(f *fixture, fire *Fire) {
			e := got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) })
			e.Inactive = true
			f.do(UpdateEnvironment{Environment: e, Seen: e.Version})
		}, 1, 0, "Environment env_a is deleted; restore it with PATCH {\"isActive\": true}"},
		"no run could be made": {func(f *fixture, fire *Fire) {
			fire.Start, fire.Refused = nil, "no such model"
		}, 1, 0, "no such model"},
		"nothing but missed ticks": {func(f *fixture, fire *Fire) {
			fire.Start, fire.Missed = nil, 7
		}, 0, 7, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.schedule()
			f.now = s.NextRunAt
			fire := tick(s, 1)
			tt.before(f, &fire)
			var fired Fired
			f.reply(f.ok(n1, fire), &fired)
			after := f.scheduled(sched)
			if fired != (Fired{Refused: tt.why}) || after.Failed != tt.failed || after.Runs != tt.failed || after.Missed != tt.missed || after.LastError != tt.why {
				t.Fatalf("%+v, %+v", fired, after)
			}
			if !after.NextRunAt.Equal(fire.Next) || after.LastRun != "" {
				t.Fatalf("%+v", after)
			}
			if _, ok, _ := f.view().AnyThread("thread_1"); ok {
				t.Fatal("a thread was left of a run that was refused")
			}
			f.check()
		})
	}
}

func TestABusyThreadMissesItsTick(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.do(CreateSchedule{Schedule: Schedule{ID: sched, Account: acct, Task: "go on", Cron: "0 * * * *", Enabled: true, NextRunAt: f.now.Add(time.Hour)},
		Thread: &Thread{ID: "thread_s", Account: acct, Environment: env}})
	s := f.scheduled(sched)
	if s.Thread != "thread_s" || s.Environment != env {
		t.Fatalf("%+v", s)
	}
	f.now = s.NextRunAt
	f.ok(n1, tick(s, 1))
	s = f.scheduled(sched)
	f.now = s.NextRunAt
	f.ok(n1, tick(s, 2))
	s = f.scheduled(sched)
	if s.Runs != 1 || s.Missed != 1 || s.Failed != 0 {
		t.Fatalf("%+v", s)
	}
	f.ok(n1, Append{Thread: "thread_s", Run: "run_1", Epoch: epoch, FirstSeq: 1, Finish: &Finish{Status: RunSuccess, Message: "answer", Content: "done"}})
	f.now = s.NextRunAt
	f.ok(n1, tick(s, 3))
	if s = f.scheduled(sched); s.Runs != 2 || s.Succeeded != 1 || s.LastError != "" {
		t.Fatalf("%+v", s)
	}
	f.ok(n1, Append{Thread: "thread_s", Run: "run_3", Epoch: epoch, FirstSeq: 1, Finish: &Finish{Status: RunFailed, Error: "out of time"}})
	if s = f.scheduled(sched); s.Failed != 1 || s.LastError != "out of time" {
		t.Fatalf("%+v", s)
	}
	f.check()
}

func TestAOneTimeScheduleEnds(t *testing.T) {
	f := newFixture(t)
	s := f.schedule(func(s *Schedule) { s.Cron, s.At = "", s.NextRunAt })
	f.now = s.NextRunAt
	fire := tick(s, 1)
	fire.Next = time.Time{}
	f.ok(n1, fire)
	if s := f.scheduled(sched); s.Enabled || !s.NextRunAt.IsZero() {
		t.Fatalf("%+v", s)
	}
	if _, ok, err := f.view().NextDue(); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
}

func TestATriggerRunsBesideTheTicks(t *testing.T) {
	f := newFixture(t)
	s := f.schedule(func(s *Schedule) { s.Enabled, s.NextRunAt = false, time.Time{} })
	cmd := TriggerSchedule{Account: acct, Schedule: sched, Start: *begin(s, 1), Idempotency: &Idempotency{Key: "k", Hash: "h"}}
	var made Made
	f.reply(f.ok(n1, cmd), &made)
	cmd.Start = *begin(s, 2)
	f.reply(f.ok(n2, cmd), &made)
	if made != (Made{Resource{"run", "run_1"}, true}) {
		t.Fatalf("%+v", made)
	}
	if s := f.scheduled(sched); s.Runs != 1 || s.Enabled {
		t.Fatalf("%+v", s)
	}
	f.refused(n1, TriggerSchedule{Account: other, Schedule: sched, Start: *begin(s, 3)}, fault.NotFound, "")
	expensive := TriggerSchedule{Account: acct, Schedule: sched, Start: *begin(s, 3)}
	expensive.Start.Reserve = &Reservation{ID: "resv_3", Amount: start + 1}
	f.refused(n1, expensive, fault.Payment, CodeBudget)
	f.check()
}

func TestSchedulesGoWithWhatTheySpeakIn(t *testing.T) {
	f := newFixture(t)
	f.makeEnvironment(acct, "env_2", "comp_2")
	f.schedule()
	f.schedule(func(s *Schedule) { s.ID, s.Environment = "sched_2", "env_2" })
	f.do(CreateSchedule{Schedule: Schedule{ID: "sched_3", Account: acct, Task: "x", Enabled: true, NextRunAt: f.now.Add(time.Hour)},
		Thread: &Thread{ID: "thread_3", Account: acct, Environment: "env_2"}})
	f.do(DeleteThread{Account: acct, Thread: "thread_3"})
	f.do(DeleteEnvironment{Account: acct, Environment: env})
	list := got(f, func(v *View) (List[Schedule], error) { return v.Schedules(acct, Page{Limit: 9}, nil) })
	if list.Total != 1 || list.Items[0].ID != "sched_2" {
		t.Fatalf("%+v", list)
	}
	f.check()
}

func TestScheduleRefusals(t *testing.T) {
	f := newFixture(t)
	s := f.schedule()
	f.now = s.NextRunAt
	at := func(change func(*Fire)) Command { fire := tick(s, 1); change(&fire); return fire }
	tests := map[string]struct {
		cmd  Command
		kind fault.Kind
		code string
	}{
		"an id that is taken":       {CreateSchedule{Schedule: s}, fault.Conflict, CodeExists},
		"another's environment":     {CreateSchedule{Schedule: Schedule{ID: "x", Account: other, Environment: env}}, fault.NotFound, ""},
		"a task too long":           {CreateSchedule{Schedule: Schedule{ID: "x", Account: acct, Environment: env, Task: string(make([]byte, MaxMessageBytes+1))}}, fault.TooLarge, ""},
		"another's update":          {UpdateSchedule{Schedule: Schedule{ID: sched, Account: other}, Seen: 1}, fault.NotFound, ""},
		"another's delete":          {DeleteSchedule{Account: other, ID: sched}, fault.NotFound, ""},
		"a next tick before":        {at(func(f *Fire) { f.Next = f.Tick }), fault.Invalid, ""},
		"fewer than no missed":      {at(func(f *Fire) { f.Missed = -1 }), fault.Invalid, ""},
		"another tick":              {at(func(f *Fire) { f.Tick = f.Tick.Add(-time.Second) }), fault.Moved, ""},
		"a tick of nothing":         {at(func(f *Fire) { f.Schedule = "none" }), fault.NotFound, ""},
		"an environment to move to": {UpdateSchedule{Schedule: func() Schedule { n := s; n.Environment = "none"; return n }(), Seen: s.Version}, fault.NotFound, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { f.tb = t; f.refused(n1, tt.cmd, tt.kind, tt.code) })
	}
}
