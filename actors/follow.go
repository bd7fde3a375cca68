package actors

import (
	"context"
	"math"

	"github.com/bothy-computer/bothy/cluster/state"
)

// maxFollowed bounds the events that a follower is given at once.
const maxFollowed = 256

// Follower reads one thread's log from this node's replica, as it grows.
type Follower struct {
	cluster Cluster
	bell    *bell
	ear     *ear
	thread  state.ThreadID
	last    uint64
}

// Follow begins after an event's seq; 0 is the beginning of the log.
func (t *Threads) Follow(_ context.Context, thread state.ThreadID, after uint64) *Follower {
	return &Follower{cluster: t.cluster, bell: t.bell, thread: thread, last: after,
		ear: t.bell.listen(state.ChangedThread, string(thread))}
}

// Next returns the events that follow, in order, at least one. It waits for
// them; it ends with ctx's error, or with Unavailable (code DRAINING) when the
// node stops.
func (f *Follower) Next(ctx context.Context) ([]state.Event, error) {
	for {
		events, _, err := f.Read(f.last, math.MaxUint64)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			f.last = events[len(events)-1].Seq
			return events, nil
		}
		if err := f.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// Read returns the first events after a seq and up to another, at most
// maxFollowed, whatever Next has given, and whether there are more.
func (f *Follower) Read(after, upTo uint64) (events []state.Event, more bool, err error) {
	events, err = applied(f.cluster, func(v *state.View) (found []state.Event, err error) {
		err = v.Events(f.thread, after, func(e state.Event) bool {
			if e.Seq <= upTo {
				found = append(found, e)
			}
			return e.Seq < upTo && len(found) < maxFollowed
		})
		return found, err
	})
	return events, len(events) == maxFollowed && events[maxFollowed-1].Seq < upTo, err
}

// Wait returns when the log may have grown since it last did; it ends as Next does.
func (f *Follower) Wait(ctx context.Context) error { return f.bell.wait(ctx, f.ear) }

// Rings is how often the log may have grown since this thread was first followed
// here by anybody who still does. What is read after it was asked for holds all
// that it counts.
func (f *Follower) Rings() uint64 { return f.ear.crowd.rings.Load() }

// Close gives the follower's place back.
func (f *Follower) Close() { f.bell.drop(f.ear) }
