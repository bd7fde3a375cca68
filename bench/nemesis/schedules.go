package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	schedulePace = 5 * time.Second
	// scheduleLead is how far ahead each is due.
	scheduleLead = 6 * time.Second
	// tooLate is how long after its time a tick does not run any more.
	tooLate = time.Hour
	dueText = "say hello" // needs no computer
)

// schedules are due once each, wherever the leader is then.
type schedules struct {
	p      *game
	at     home
	made   []due
	missed int
}

// due is a schedule, when it was asked for and when its time is.
type due struct {
	id        string
	asked, at time.Time
}

func newSchedules(p *game, at home) *schedules { return &schedules{p: p, at: at} }

func (w *schedules) work(ctx context.Context) {
	for n := 0; sleep(ctx, schedulePace) == nil; n++ {
		call, cancel := context.WithTimeout(context.Background(), patience)
		one := due{asked: time.Now(), at: time.Now().Add(scheduleLead)}
		made, err := w.p.through(n).Schedules().Create(call, wire.WriteSchedule{Name: wire.Some(fmt.Sprintf("due %d", n)), Task: wire.Some(dueText),
			EnvironmentID: wire.Some(w.at.environment), ScheduledTime: wire.Some(one.at.UTC().Format(time.RFC3339Nano))})
		if err == nil {
			one.id = made.ID
			w.made = append(w.made, one)
		}
		cancel()
	}
}

func (w *schedules) judge(ctx context.Context) (string, error) {
	var wrong []error
	for _, d := range w.made {
		s, err := w.one(ctx, d.id)
		if err != nil {
			return "", err
		}
		missed := int64(0)
		if s.MissedCount == 1 && w.mayMiss(d) {
			missed = 1
			w.missed++
		}
		if runs := 1 - missed; s.RunCount != runs || s.SuccessCount+s.FailureCount != runs || s.MissedCount != missed {
			wrong = append(wrong, fmt.Errorf("schedule %s: %d runs, %d succeeded, %d failed, %d missed", d.id, s.RunCount, s.SuccessCount, s.FailureCount, s.MissedCount))
		}
	}
	if len(w.made) == w.missed {
		wrong = append(wrong, errors.New("none was made"))
	}
	return fmt.Sprintf("%d, each ran once, but for %d that a wrong clock was late for", len(w.made), w.missed), errors.Join(wrong...)
}

// mayMiss says whether a clock was so far ahead while the tick waited that it
// seemed too late for it.
func (w *schedules) mayMiss(d due) bool {
	return slices.ContainsFunc(w.p.leaps, func(l leap) bool {
		return l.ahead > tooLate-patience && l.to.After(d.asked) && l.from.Before(d.at.Add(patience))
	})
}

// one waits for the end of a schedule's run.
func (w *schedules) one(ctx context.Context, id string) (wire.Schedule, error) {
	c := w.p.through(0)
	for {
		s, err := c.Schedules().Get(ctx, id)
		if err != nil || s.SuccessCount+s.FailureCount > 0 || s.MissedCount > 0 {
			return s, err
		}
		if sleep(ctx, time.Second) != nil {
			return s, fmt.Errorf("schedule %s has not ended its run: %d begun, next %v", id, s.RunCount, s.NextRunAt)
		}
	}
}
