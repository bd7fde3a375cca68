package actors

import (
	"context"

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
		events, err := applied(f.cluster, func(v *state.View) (found []state.Event, err error) {
			err = v.Events(f.thread, f.last, func(e state.Event) bool {
				found = append(found, e)
				return len(found) < maxFollowed
			})
			return found, err
		})
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			f.last = events[len(events)-1].Seq
			return events, nil
		}
		if err := f.bell.wait(ctx, f.ear); err != nil {
			return nil, err
		}
	}
}

// Close gives the follower's place back.
func (f *Follower) Close() { f.bell.drop(f.ear) }
