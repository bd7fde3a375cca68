package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/state"
)

// leaderPoll is how often raft is asked who leads, beside being told.
const leaderPoll = 250 * time.Millisecond

// leaderView is who leads as far as this node knows. It may be out of date;
// the node asked says so.
type leaderView struct {
	mu      sync.Mutex
	id      state.NodeID
	since   time.Time     // of the present answer
	changed chan struct{} // closed at the next change
}

func newLeaderView() *leaderView { return &leaderView{changed: make(chan struct{}), since: time.Now()} }

// now returns the leader, or "", and a channel that closes when that changes.
func (l *leaderView) now() (state.NodeID, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id, l.changed
}

// missing is how long there has been no leader; zero when there is one.
func (l *leaderView) missing() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id != "" {
		return 0
	}
	return time.Since(l.since)
}

func (l *leaderView) set(id state.NodeID) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == l.id {
		return false
	}
	l.id, l.since = id, time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// followLeader keeps the view up to date until ctx ends.
func (c *Cluster) followLeader(ctx context.Context) {
	told := make(chan raft.Observation, 16) // what overflows, the poll sees
	o := raft.NewObserver(told, false, func(o *raft.Observation) bool {
		_, leader := o.Data.(raft.LeaderObservation)
		_, state := o.Data.(raft.RaftState)
		return leader || state
	})
	c.raft.RegisterObserver(o)
	defer c.raft.DeregisterObserver(o)
	tick := time.NewTicker(leaderPoll)
	defer tick.Stop()
	for {
		id := state.NodeID("")
		if _, heard := c.raft.LeaderWithID(); heard != "" {
			id = state.NodeID(heard)
		} else {
			id = c.askAround(ctx)
		}
		if c.leader.set(id) && id != "" {
			c.metrics.leaderChanges.Inc()
			c.log.Info("the leader changed", "leader", string(id), "name", c.nameOf(id))
		}
		select {
		case <-told:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// askAround asks the members who leads. A node that comes back at another
// address hears nothing from a leader that does not know it yet.
func (c *Cluster) askAround(ctx context.Context) state.NodeID {
	ctx, cancel := context.WithTimeout(ctx, leaderPoll)
	defer cancel()
	peers := c.roster.others()
	answers := make(chan state.NodeID, len(peers))
	for _, id := range peers {
		go func() {
			if p, err := c.probeNode(ctx, id); err != nil || !p.Leads {
				id = ""
			}
			answers <- id
		}()
	}
	for range peers {
		if id := <-answers; id != "" {
			return id
		}
	}
	return ""
}

func (c *Cluster) nameOf(id state.NodeID) string {
	n, _ := c.roster.node(id)
	return n.Name
}

// Leader returns the node that leads as far as this one knows, or "".
func (c *Cluster) Leader() state.NodeID {
	id, _ := c.leader.now()
	return id
}

// Leads reports whether this node leads, as far as it knows, and gives a channel
// that closes when another leader is heard of.
func (c *Cluster) Leads() (bool, <-chan struct{}) {
	id, changed := c.leader.now()
	return id == c.self, changed
}
