package actors

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/actors/timetable"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Schedules say tasks to agents at their times. Every method works on any node.
type Schedules struct {
	cluster Cluster
	threads *Threads
	now     func() time.Time
}

// Create stores a schedule. Its environment is the account's default if it
// names none. With in set, that thread is made too, and every tick speaks in it;
// else each tick makes a thread of its own.
func (s *Schedules) Create(ctx context.Context, c Caller, schedule state.Schedule, in *NewThread) (state.Schedule, error) {
	if again, ok, err := s.answered(ctx, c); err != nil || ok {
		return again, err
	}
	schedule.ID, schedule.Account, schedule.User = newID[state.ScheduleID]("sched"), c.Account, c.User
	schedule.LastTick = time.Time{}
	if err := s.begin(&schedule); err != nil {
		return schedule, err
	}
	n := NewThread{Environment: schedule.Environment, Agent: schedule.Agent}
	if in != nil {
		n = *in
	}
	thread, err := s.threads.prepare(ctx, c, n)
	if err != nil {
		return schedule, err
	}
	schedule.Environment, schedule.Agent = thread.Environment, thread.Agent
	if err := s.name(ctx, &schedule); err != nil {
		return schedule, err
	}
	cmd := state.CreateSchedule{Schedule: schedule, Idempotency: c.Idempotency}
	if in != nil {
		cmd.Thread = &thread
	}
	made, err := propose[state.Made](ctx, s.cluster, cmd)
	if err != nil {
		return schedule, err
	}
	return s.get(c.Account, state.ScheduleID(made.Resource.ID))
}

// answered finds the schedule that an Idempotency-Key made before: a request sent
// again after its time has passed does not make it wrong.
func (s *Schedules) answered(ctx context.Context, c Caller) (found state.Schedule, ok bool, err error) {
	if c.Idempotency == nil {
		return found, false, nil
	}
	_, err = view(ctx, s.cluster, func(v *state.View) (none struct{}, err error) {
		before, known, err := v.Answered(c.Account, *c.Idempotency)
		if err != nil || !known || before.Resource.Kind != "schedule" {
			return none, err
		}
		found, err = v.Schedule(c.Account, state.ScheduleID(before.Resource.ID))
		ok = err == nil
		return none, err
	})
	return found, ok, err
}

// name fills in the names that the caller did not give.
func (s *Schedules) name(ctx context.Context, schedule *state.Schedule) error {
	_, err := view(ctx, s.cluster, func(v *state.View) (none struct{}, err error) {
		env, err := v.Environment(schedule.Account, schedule.Environment)
		if err != nil {
			return none, err
		}
		if schedule.EnvironmentName == "" {
			schedule.EnvironmentName = env.Name
		}
		if schedule.Agent == "" || schedule.AgentName != "" {
			return none, nil
		}
		agent, err := v.Agent(schedule.Account, schedule.Agent)
		schedule.AgentName = agent.Name
		return none, err
	})
	return err
}

// begin works out when a schedule is due first.
func (s *Schedules) begin(schedule *state.Schedule) error {
	table, err := timetableOf(*schedule)
	if err != nil {
		return err
	}
	schedule.NextRunAt = time.Time{}
	now := s.now()
	if schedule.LastTick.After(now) {
		now = schedule.LastTick // a clock that was set back takes no tick twice
	}
	first, err := table.Begin(now)
	switch {
	case err != nil:
		return err
	case !schedule.Enabled:
		return nil
	case !first.After(schedule.LastTick):
		return fault.New(fault.Invalid, "scheduledTime %s is over; give another", first.Format(time.RFC3339)).WithField("scheduledTime")
	}
	schedule.NextRunAt = first
	return nil
}

func timetableOf(s state.Schedule) (timetable.Timetable, error) {
	if s.Cron == "" {
		return timetable.Once(s.At, s.Zone)
	}
	return timetable.Recurring(s.Cron, s.Zone)
}

// Update applies change to the schedule as it is now and stores it, again if
// somebody else changed it or it fired meanwhile. A change of its times or its
// being enabled begins them anew from now.
func (s *Schedules) Update(ctx context.Context, c Caller, id state.ScheduleID, change func(*state.Schedule) error) (state.Schedule, error) {
	for range maxSwaps {
		before, err := view(ctx, s.cluster, func(v *state.View) (state.Schedule, error) { return v.Schedule(c.Account, id) })
		if err != nil {
			return before, err
		}
		after := before
		if err := change(&after); err != nil {
			return after, err
		}
		if err := s.retime(before, &after); err != nil {
			return after, err
		}
		_, err = s.cluster.Apply(ctx, state.UpdateSchedule{Schedule: after, Seen: before.Version})
		if isChanged(err) {
			continue
		}
		if err != nil {
			return after, err
		}
		return s.get(c.Account, id)
	}
	return state.Schedule{}, fault.New(fault.Conflict, "schedule %s is changed by others all the time; try again", id)
}

func (s *Schedules) retime(before state.Schedule, after *state.Schedule) error {
	same := after.Cron == before.Cron && after.At.Equal(before.At) && after.Zone == before.Zone
	switch {
	case same && after.Enabled == before.Enabled:
		return nil
	case same && !after.Enabled:
		after.NextRunAt = time.Time{}
		return nil
	}
	return s.begin(after)
}

// Delete removes a schedule; a run that it began goes on.
func (s *Schedules) Delete(ctx context.Context, c Caller, id state.ScheduleID) error {
	_, err := s.cluster.Apply(ctx, state.DeleteSchedule{Account: c.Account, ID: id})
	return err
}

// Trigger runs a schedule's task now, whether it is enabled or not. Its times
// stay. It is refused as Threads.Start is.
func (s *Schedules) Trigger(ctx context.Context, c Caller, id state.ScheduleID) (Started, error) {
	if again, ok, err := s.threads.answered(ctx, c); err != nil || ok {
		return again, err
	}
	schedule, err := view(ctx, s.cluster, func(v *state.View) (state.Schedule, error) { return v.Schedule(c.Account, id) })
	if err != nil {
		return Started{}, err
	}
	start, err := s.threads.scheduled(ctx, schedule)
	if err != nil {
		return Started{}, err
	}
	made, err := propose[state.Made](ctx, s.cluster, state.TriggerSchedule{Account: c.Account, Schedule: id, Start: start, Idempotency: c.Idempotency})
	if err != nil {
		return Started{}, err
	}
	return s.threads.begun(ctx, c, made)
}

func (s *Schedules) get(account state.AccountID, id state.ScheduleID) (state.Schedule, error) {
	return applied(s.cluster, func(v *state.View) (state.Schedule, error) { return v.Schedule(account, id) })
}
