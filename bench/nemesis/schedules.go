package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	schedulePace = 5 * time.Second
	// scheduleLead is how far ahead each is due.
	scheduleLead = 6 * time.Second
	dueText      = "say hello" // needs no computer
)

// schedules are due once each, wherever the leader is then.
type schedules struct {
	p    *game
	at   home
	made []string
}

func newSchedules(p *game, at home) *schedules { return &schedules{p: p, at: at} }

func (w *schedules) work(ctx context.Context) {
	for n := 0; sleep(ctx, schedulePace) == nil; n++ {
		call, cancel := context.WithTimeout(context.Background(), patience)
		made, err := w.p.through(n).Schedules().Create(call, wire.WriteSchedule{Name: wire.Some(fmt.Sprintf("due %d", n)), Task: wire.Some(dueText),
			EnvironmentID: wire.Some(w.at.environment), ScheduledTime: wire.Some(time.Now().Add(scheduleLead).UTC().Format(time.RFC3339Nano))})
		if err == nil {
			w.made = append(w.made, made.ID)
		}
		cancel()
	}
}

func (w *schedules) judge(ctx context.Context) (string, error) {
	var wrong []error
	for _, id := range w.made {
		s, err := w.one(ctx, id)
		if err != nil {
			return "", err
		}
		if s.RunCount != 1 || s.SuccessCount+s.FailureCount != 1 || s.MissedCount != 0 {
			wrong = append(wrong, fmt.Errorf("schedule %s: %d runs, %d succeeded, %d failed, %d missed", id, s.RunCount, s.SuccessCount, s.FailureCount, s.MissedCount))
		}
	}
	if len(w.made) == 0 {
		wrong = append(wrong, errors.New("none was made"))
	}
	return fmt.Sprintf("%d, each ran once", len(w.made)), errors.Join(wrong...)
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
