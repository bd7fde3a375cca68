package actors

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// firedAtOnce bounds the schedules that are read as due in one round, and
	// firedTogether those whose runs are made at the same time.
	firedAtOnce   = 512
	firedTogether = 64
	// refire is when what could not be fired for a passing reason is tried again.
	refire = time.Second
	// clockMaySlip is how long a time of day is waited for at most before the
	// clock is read again: it may have been set, or the machine have slept.
	clockMaySlip = 30 * time.Second
	// fireTime bounds the making of one run.
	fireTime = 30 * time.Second
)

// timekeeper fires schedules as their times come, on the node that leads.
// Leading only saves the others the work: that a tick fires once is the
// records' doing.
type timekeeper struct {
	cluster Cluster
	threads *Threads
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time
	wake    chan struct{} // has a value when a schedule may be due earlier than was thought
}

// keep fires schedules until ctx ends.
func (k *timekeeper) keep(ctx context.Context) {
	whileLeading(ctx, k.cluster, k.wake, k.fire, func(err error) { k.log.Warn("fire schedules", "err", err) })
}

// fire fires what is due and says after how long to look again.
func (k *timekeeper) fire(ctx context.Context) (time.Duration, error) {
	for {
		now := k.now()
		var next time.Time
		due, err := view(ctx, k.cluster, func(v *state.View) (list []state.Schedule, err error) {
			if list, err = v.DueSchedules(now, firedAtOnce); err != nil || len(list) > 0 {
				return list, err
			}
			next, _, err = v.NextDue()
			return nil, err
		})
		if err != nil {
			return refire, err
		}
		if len(due) == 0 {
			return k.until(now, next), nil
		}
		if err := k.fireAll(ctx, due, now); err != nil {
			return refire, err
		}
	}
}

func (k *timekeeper) until(now, next time.Time) time.Duration {
	if next.IsZero() {
		return clockMaySlip
	}
	return min(max(0, next.Sub(now)), clockMaySlip)
}

// fireAll fires several schedules, some at the same time.
func (k *timekeeper) fireAll(ctx context.Context, due []state.Schedule, now time.Time) error {
	var group sync.WaitGroup
	failures := make([]error, len(due))
	room := make(chan struct{}, firedTogether)
	for i, s := range due {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(ctx, fireTime)
			defer cancel()
			failures[i] = k.fireOne(ctx, s, now)
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// fireOne takes one schedule's tick. Somebody else who took it first is no failure.
func (k *timekeeper) fireOne(ctx context.Context, s state.Schedule, now time.Time) error {
	cmd := state.Fire{Schedule: s.ID, Seen: s.Version, Tick: s.NextRunAt}
	table, err := timetableOf(s)
	if err != nil {
		cmd.Refused = faultText(err) // a zone that is no more; it has no next time
	} else {
		look := table.Look(s.NextRunAt, now)
		cmd.Missed, cmd.Next = look.Missed, look.Next
		if look.Fire {
			if err := k.load(ctx, s, &cmd); err != nil {
				return err
			}
		}
	}
	fired, err := propose[state.Fired](ctx, k.cluster, cmd)
	if fault.Is(err, fault.Moved) || fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	k.fired(ctx, s, cmd, fired)
	return nil
}

// load makes the tick's run, or notes why there can be none. Only what passes
// by itself is a failure.
func (k *timekeeper) load(ctx context.Context, s state.Schedule, cmd *state.Fire) error {
	start, err := k.threads.scheduled(ctx, s)
	switch {
	case err == nil:
		cmd.Start = &start
	case ctx.Err() != nil || fault.Is(err, fault.Unavailable) && !hasCode(err, catalog.NotConfiguredCode):
		return err
	default:
		if fault.Of(err) == fault.Internal {
			k.log.Error("a schedule's run could not be made", "schedule", string(s.ID), "err", err)
		}
		cmd.Refused = faultText(err)
	}
	return nil
}

// fired has somebody begin the run that a tick made.
func (k *timekeeper) fired(ctx context.Context, s state.Schedule, cmd state.Fire, fired state.Fired) {
	k.metrics.ticked(fired.Run != "", fired.Refused != "", cmd.Missed, k.now().Sub(cmd.Tick))
	log := k.log.With("schedule", string(s.ID), "tick", cmd.Tick, "missed", cmd.Missed)
	if fired.Run == "" {
		log.Info("a schedule's tick passed without a run", "refused", fired.Refused)
		return
	}
	log.Info("a schedule fired", "run", string(fired.Run))
	started, err := k.threads.started(s.Account, fired.Run)
	if err == nil {
		err = k.threads.place(ctx, started)
	}
	if err != nil {
		log.Warn("a scheduled run has no owner yet", "run", string(fired.Run), "err", err) // the leader places what waits
	}
}
