package door

import (
	"context"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Follower gives a thread's events as they are committed. Next waits for at
// least one; it can be called again after its context ended.
type Follower interface {
	Next(context.Context) ([]state.Event, error)
	Close()
}

// ErrOver ends a stream that has nothing more to wait for.
var ErrOver = errors.New("there is nothing more to follow")

// Next waits for events; nil means that none came for a while.
func Next(parent context.Context, f Follower, wait time.Duration) ([]state.Event, error) {
	ctx, cancel := context.WithTimeout(parent, wait)
	defer cancel()
	events, err := f.Next(ctx)
	if err != nil && ctx.Err() != nil && parent.Err() == nil {
		return nil, nil
	}
	return events, err
}

// Over returns ErrOver when the thread was deleted or, with a run named, when
// that has ended and yet its last event did not come.
func (d *Door) Over(thread state.ThreadID, until state.RunID) error {
	v := d.Records.StaleView()
	defer v.Close()
	if until == "" {
		t, ok, err := v.AnyThread(thread)
		if err == nil && (!ok || t.Deleted) {
			err = ErrOver
		}
		return err
	}
	r, ok, err := v.AnyRun(until)
	if err != nil {
		return err
	}
	now, err := v.Now(d.Now())
	if err == nil && (!ok || r.Status.Over() && now.Sub(r.EndedAt) > d.Patience.Ping) {
		err = ErrOver
	}
	return err
}
