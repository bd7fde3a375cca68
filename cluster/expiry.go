package cluster

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// seen is the newest renewal of a node that the leader knows, and since when
// by its own clock: never earlier than when it was applied here.
type seen struct {
	renewal uint64
	at      time.Duration
}

// overdue says which leases have run out, and keeps count in known. Nodes seen
// for the first time in this term are counted from now.
func overdue(nodes []state.Node, known map[state.NodeID]seen, now, expire time.Duration) []state.ExpireLease {
	var out []state.ExpireLease
	present := map[state.NodeID]bool{}
	for _, n := range nodes {
		if !n.Leased() {
			continue
		}
		present[n.ID] = true
		s, ok := known[n.ID]
		if !ok || s.renewal != n.Renewal {
			known[n.ID] = seen{n.Renewal, now}
			continue
		}
		if now-s.at >= expire {
			out = append(out, state.ExpireLease{Node: n.ID, Renewal: n.Renewal})
		}
	}
	for id := range known {
		if !present[id] {
			delete(known, id)
		}
	}
	if len(nodes) == 1 {
		return nil // there is nobody to take over
	}
	return out
}

// tendLeases ends the leases that run out while this node leads.
func (r *reign) tendLeases() {
	known := map[state.NodeID]seen{}
	r.every(r.c.timing.Duty, func() error {
		v, err := r.c.Stale()
		if err != nil {
			return err
		}
		nodes, err := v.Nodes()
		v.Close()
		if err != nil {
			return err
		}
		for _, cmd := range overdue(nodes, known, r.c.clock.Boottime(), r.c.timing.Expire) {
			a, err := r.decree(cmd)
			if err == nil {
				err = a.Result.Err()
			}
			if err != nil && !fault.Is(err, fault.Conflict) { // renewed after all
				return err
			}
			if err == nil {
				r.c.metrics.expired.Inc()
				r.c.log.Warn("a node's lease ran out", "node", string(cmd.Node), "name", r.c.nameOf(cmd.Node))
			}
		}
		return nil
	})
}

// every does a duty at intervals until the reign ends.
func (r *reign) every(d time.Duration, duty func() error) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := duty(); err != nil && r.ctx.Err() == nil {
			r.c.log.Warn("a duty of the leader failed; it is tried again", "err", err)
		}
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// tendRecords removes records past their time, and lets newer commands be
// used once every member can read them.
func (r *reign) tendRecords() {
	r.every(r.c.timing.Sweep, func() error {
		v, err := r.c.Stale()
		if err != nil {
			return err
		}
		defer v.Close()
		due, err := v.Due(r.c.clock.Now())
		if err != nil {
			return err
		}
		if due {
			if _, err := r.decree(state.Sweep{}); err != nil {
				return err
			}
		}
		return r.raiseVersion()
	})
}
