package cluster

import (
	"maps"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxMoves bounds the computers that are on their way to one node after
	// another's lease ran out.
	maxMoves = 20
	// moveTakes is when a computer that has not come up at its new owner no
	// longer counts against the bound.
	moveTakes = time.Minute
	// refusedPause is how long a computer that no node could take is left out, so
	// that many of them keep no other waiting.
	refusedPause = time.Second
	// retellEvery is how often it is told that such a computer still waits.
	retellEvery = time.Minute
)

// move is a computer on its way to a new owner.
type move struct {
	to    state.Placement
	since time.Time     // the log's time when it was claimed
	at    time.Duration // the same moment by this node's clock
}

// arrived reports whether the new owner has brought the computer up, or will not.
func (m move) arrived(c state.Computer) bool {
	return c.Epoch != m.to.Epoch || !c.Wanted() || c.Phase == state.Failed ||
		c.Phase == state.Deleting || c.Phase == state.Deleted || !c.StartedAt.Before(m.since)
}

// refusals are computers that no node could take, by this node's clock.
type refusals map[state.ComputerID]refusal

type refusal struct{ last, told time.Duration }

// note remembers a refusal, and says whether it is to be told.
func (f refusals) note(id state.ComputerID, now time.Duration) bool {
	old, again := f[id]
	if again && now-old.told < retellEvery {
		f[id] = refusal{last: now, told: old.told}
		return false
	}
	f[id] = refusal{last: now, told: now}
	return true
}

// pauses reports whether a computer was refused just now.
func (f refusals) pauses(id state.ComputerID, now time.Duration) bool {
	r, ok := f[id]
	return ok && now-r.last < refusedPause
}

// forget drops what nobody has tried for long: such a computer waits no more.
func (f refusals) forget(now time.Duration) {
	maps.DeleteFunc(f, func(_ state.ComputerID, r refusal) bool { return now-r.last >= retellEvery })
}

// tendMoves gives computers that a run or an operation waits for a new owner
// when theirs has lost its lease, or when none ever took them. Others move when
// somebody asks.
func (r *reign) tendMoves() {
	moving, refused := map[state.ComputerID]move{}, refusals{}
	r.every(r.c.timing.Duty, func() error {
		homeless, err := r.homeless(moving, refused)
		if err != nil {
			return err
		}
		for _, id := range homeless {
			if r.ctx.Err() != nil {
				return nil
			}
			p, err := r.place(id, busy(moving))
			if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
				if refused.note(id, r.c.clock.Boottime()) {
					r.c.log.Info("a computer that somebody waits for has no owner yet", "computer", string(id), "err", err)
				}
				continue
			}
			if err != nil {
				return err
			}
			delete(refused, id)
			moving[id] = move{p.Placement, r.lastStamp(), r.c.clock.Boottime()}
			r.c.metrics.moved.Inc()
			r.c.log.Info("a computer has a new owner", "computer", string(id),
				"node", string(p.Placement.Node), "epoch", uint64(p.Placement.Epoch))
		}
		return nil
	})
}

// busy is the nodes that have as many computers on the way as they may.
func busy(moving map[state.ComputerID]move) map[state.NodeID]bool {
	count, full := map[state.NodeID]int{}, map[state.NodeID]bool{}
	for _, m := range moving {
		count[m.to.Node]++
		full[m.to.Node] = count[m.to.Node] >= maxMoves
	}
	return full
}

// lastStamp is the log's time now.
func (r *reign) lastStamp() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Unix(0, r.stamp)
}

// homeless lists computers to move, without those that were refused just now, and
// takes those that have arrived out of moving.
func (r *reign) homeless(moving map[state.ComputerID]move, refused refusals) ([]state.ComputerID, error) {
	v, err := r.c.Stale()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	for id, m := range moving {
		c, ok, err := v.AnyComputer(id)
		if err != nil {
			return nil, err
		}
		if !ok || m.arrived(c) || r.c.clock.Boottime()-m.at > moveTakes {
			delete(moving, id)
		}
	}
	now := r.c.clock.Boottime()
	refused.forget(now)
	nodes := r.c.roster.all()
	most := maxMoves * (1 + len(nodes))
	var out []state.ComputerID
	from := []state.NodeID{""}
	for _, n := range nodes {
		if n.Expired {
			from = append(from, n.ID)
		}
	}
	for _, id := range from {
		err := v.WantedComputersOn(id, func(c state.Computer) bool {
			if len(out) < most && !refused.pauses(c.ID, now) {
				out = append(out, c.ID)
			}
			return len(out) < most
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
