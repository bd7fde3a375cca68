package actors

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// clocked is a house whose time of day a test moves, at a round hour.
func clocked(t *testing.T) (*house, *actorstest.Clock) {
	t.Helper()
	clock := actorstest.NewClock()
	clock.Advance(clock.Now().Truncate(time.Hour).Add(time.Hour + time.Second).Sub(clock.Now()))
	return openHouseAt(t, clock.Now, actorstest.NewRecords(clock.Now), fake.NewWorld(), "n1", nil), clock
}

// every is a schedule of the house's caller, for each five minutes.
func (h *house) every(t *testing.T, change ...func(*state.Schedule)) state.Schedule {
	t.Helper()
	s := state.Schedule{Name: "often", Task: "```bash\necho tick\n```", Cron: "*/5 * * * *", Zone: "UTC", Enabled: true}
	for _, c := range change {
		c(&s)
	}
	made, err := h.Schedules.Create(t.Context(), h.caller, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (h *house) schedule(t *testing.T, id state.ScheduleID) state.Schedule {
	t.Helper()
	s, err := h.Schedules.get(h.caller.Account, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// later moves the clock and has the timekeeper look at it.
func (h *house) later(clock *actorstest.Clock, d time.Duration) {
	clock.Advance(d)
	signal(h.times.wake)
}

// ran waits until as many of a schedule's runs have succeeded.
func (h *house) ran(t *testing.T, id state.ScheduleID, runs int64) state.Schedule {
	t.Helper()
	waitFor(t, func() bool { return h.schedule(t, id).Succeeded == runs })
	return h.schedule(t, id)
}

func (h *house) runsOf(t *testing.T) int {
	t.Helper()
	list, err := applied(h.node, func(v *state.View) (state.List[state.Thread], error) {
		return v.Threads(h.caller.Account, state.ThreadFilter{}, state.Page{Limit: 100})
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.Total
}

func TestAScheduleRunsAtItsTimes(t *testing.T) {
	h, clock := clocked(t)
	s := h.every(t)
	first := s.NextRunAt
	h.later(clock, 4*time.Minute)
	h.later(clock, time.Minute)
	s = h.ran(t, s.ID, 1)
	if !s.LastTick.Equal(first) || !s.NextRunAt.Equal(first.Add(5*time.Minute)) || s.Missed != 0 {
		t.Fatalf("%+v", s)
	}
	h.later(clock, 5*time.Minute)
	if s = h.ran(t, s.ID, 2); s.Runs != 2 || h.runsOf(t) != 2 {
		t.Fatalf("%+v", s)
	}
	h.later(clock, -time.Hour) // a clock set back brings no tick again
	h.later(clock, 30*time.Minute)
	changed, err := h.Schedules.Update(t.Context(), h.caller, s.ID, func(s *state.Schedule) error { s.Cron = "* * * * *"; return nil })
	if err != nil || !changed.NextRunAt.After(s.LastTick) {
		t.Fatalf("%+v, %v", changed, err)
	}
}

func TestTicksThatNobodySawAreCounted(t *testing.T) {
	h, clock := clocked(t)
	s := h.every(t)
	h.later(clock, 32*time.Minute) // 5, 10, ... 25 are passed, 30 is new enough
	s = h.ran(t, s.ID, 1)
	if s.Missed != 5 || s.Runs != 1 {
		t.Fatalf("%+v", s)
	}
	daily := h.every(t, func(s *state.Schedule) {
		s.Cron = "0 " + clock.Now().UTC().Add(time.Hour).Format("15") + " * * *"
	})
	h.later(clock, 3*24*time.Hour)
	waitFor(t, func() bool { return h.schedule(t, daily.ID).Missed == 3 })
	if daily = h.schedule(t, daily.ID); daily.Runs != 0 || !daily.NextRunAt.After(clock.Now()) {
		t.Fatalf("%+v", daily)
	}
}

func TestAnotherLeaderGoesOnWithSchedules(t *testing.T) {
	clock := actorstest.NewClock()
	records, world := actorstest.NewRecords(clock.Now), fake.NewWorld()
	h := openHouseAt(t, clock.Now, records, world, "n1", nil)
	heir := openHouseAt(t, clock.Now, records, world, "n2", nil)
	s := h.every(t, func(s *state.Schedule) { s.Cron = "* * * * *" })
	h.later(clock, time.Minute)
	heir.later(clock, 0)
	h.ran(t, s.ID, 1)
	heir.node.Lead()
	for range 3 { // both look, as they would while each takes itself for the leader
		h.later(clock, time.Minute)
		runs := h.schedule(t, s.ID).Runs
		if _, err := h.times.fire(t.Context()); err != nil {
			t.Fatal(err)
		}
		heir.later(clock, 0)
		waitFor(t, func() bool {
			return h.schedule(t, s.ID).Succeeded == runs+1 || h.schedule(t, s.ID).Succeeded == runs && h.schedule(t, s.ID).Runs == runs
		})
	}
	waitFor(t, func() bool { s = h.schedule(t, s.ID); return s.Succeeded == s.Runs })
	if s.Runs+s.Missed != 4 || int64(h.runsOf(t)) != s.Runs {
		t.Fatalf("%d runs, %d missed, %d threads of 4 ticks", s.Runs, s.Missed, h.runsOf(t))
	}
}

func TestAScheduleWhoseAgentIsGoneRunsWithoutAndSaysSo(t *testing.T) {
	h, clock := clocked(t)
	agent, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "helper", Type: state.AgentLLM, Model: "script"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := h.every(t, func(s *state.Schedule) { s.Agent = agent.ID })
	if s.AgentName != "helper" || s.EnvironmentName != "default" {
		t.Fatalf("%+v", s)
	}
	if err := h.Agents.Delete(t.Context(), h.caller, agent.ID); err != nil {
		t.Fatal(err)
	}
	h.later(clock, 5*time.Minute)
	s = h.ran(t, s.ID, 1)
	run, err := applied(h.node, func(v *state.View) (state.Run, error) { return v.Run(h.caller.Account, s.LastRun) })
	if err != nil {
		t.Fatal(err)
	}
	said := false
	err = func() error {
		v := h.node.Stale()
		defer v.Close()
		return v.Events(run.Thread, 0, func(e state.Event) bool {
			said = said || e.Kind == state.EventNotice && strings.Contains(e.Text, string(agent.ID)+" was deleted")
			return true
		})
	}()
	if err != nil || !said || run.Config.Agent != "" {
		t.Fatalf("said %v of agent %q: %v", said, run.Config.Agent, err)
	}
}

func TestAModelThatIsNotConfiguredIsCountedAndTheNextTickComes(t *testing.T) {
	h, clock := clocked(t)
	agent, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "a", Type: state.AgentLLM, Model: "gpt-5"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := h.every(t, func(s *state.Schedule) { s.Agent = agent.ID })
	h.later(clock, 5*time.Minute)
	waitFor(t, func() bool { return h.schedule(t, s.ID).Failed == 1 })
	after := h.schedule(t, s.ID)
	if after.Runs != 1 || !strings.Contains(after.LastError, "OPENAI_API_KEY") || !after.NextRunAt.After(s.NextRunAt) || h.runsOf(t) != 0 {
		t.Fatalf("%+v", after)
	}
	_, err = h.Schedules.Trigger(t.Context(), h.caller, s.ID)
	if !hasCode(err, "MODEL_NOT_CONFIGURED") {
		t.Fatalf("%v", err)
	}
}

func TestAScheduleInAThreadAddsToIt(t *testing.T) {
	h, clock := clocked(t)
	s, err := h.Schedules.Create(t.Context(), h.caller, state.Schedule{Name: "n", Task: "```bash\necho tick\n```", Zone: "UTC",
		At: clock.Now().Add(time.Minute), Enabled: true}, &NewThread{Title: "standup"})
	if err != nil {
		t.Fatal(err)
	}
	if h.runsOf(t) != 1 { // the thread is there, and nothing ran
		t.Fatal("no thread")
	}
	h.later(clock, time.Minute)
	s = h.ran(t, s.ID, 1)
	if s.Enabled || !s.NextRunAt.IsZero() {
		t.Fatalf("%+v", s)
	}
	c := h.caller
	c.Idempotency = &state.Idempotency{Key: "again", Hash: "x"}
	one, err := h.Schedules.Trigger(t.Context(), c, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Schedules.Trigger(t.Context(), c, s.ID)
	if err != nil || two.Run.ID != one.Run.ID || !two.Replayed || one.Thread.ID != s.Thread {
		t.Fatalf("%+v, %v", two, err)
	}
	follow(t, h, one)
	list, err := applied(h.node, func(v *state.View) (state.List[state.Message], error) {
		return v.Messages(h.caller.Account, s.Thread, state.Page{Limit: 9}, false)
	})
	if err != nil || list.Total != 4 || h.runsOf(t) != 1 {
		t.Fatalf("%d messages, %v", list.Total, err)
	}
	_, err = h.Schedules.Update(t.Context(), h.caller, s.ID, func(s *state.Schedule) error { s.Enabled = true; return nil })
	var f *fault.Error
	if !errors.As(err, &f) || f.Field != "scheduledTime" {
		t.Fatalf("%v", err)
	}
}

func TestARequestForAScheduleIsSentAgainAfterItsTime(t *testing.T) {
	h, clock := clocked(t)
	c := h.caller
	c.Idempotency = &state.Idempotency{Key: "k", Hash: "h"}
	want := state.Schedule{Name: "n", Task: "say hello", Zone: "UTC", At: clock.Now().Add(time.Minute), Enabled: true}
	first, err := h.Schedules.Create(t.Context(), c, want, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.later(clock, time.Hour/2)
	h.ran(t, first.ID, 1)
	again, err := h.Schedules.Create(t.Context(), c, want, nil)
	if err != nil || again.ID != first.ID || again.Runs != 1 {
		t.Fatalf("%+v, %v", again, err)
	}
	c.Idempotency.Hash = "other"
	if _, err := h.Schedules.Create(t.Context(), c, want, nil); !hasCode(err, "IDEMPOTENCY_KEY_REUSED") {
		t.Fatalf("%v", err)
	}
}
