package cluster

import (
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxNodeBuilds bounds the builds that one node makes at once.
	maxNodeBuilds = 2
	// maxWaitingBuilds bounds how many that wait are looked at in one round: one
	// whose environment is being built must not hide those behind it.
	maxWaitingBuilds = 256
	// buildMemory and buildDisk are what a node must have free to be given one.
	buildMemory = 1 << 30
	buildDisk   = 2 << 30
)

// tendBuilds gives builds that wait to the emptiest nodes.
func (r *reign) tendBuilds() {
	r.every(r.c.timing.Duty, func() error {
		waiting, full, err := r.waitingBuilds()
		if err != nil {
			return err
		}
		for _, b := range waiting {
			if r.ctx.Err() != nil {
				return nil
			}
			// Kept apart from the claims of computers only by its name, which is a
			// computer's too.
			need := placement.Need{Computer: b.Machine, MemoryBytes: buildMemory, DiskBytes: buildDisk}
			to, _, ok := r.claims.choose(r.c.places(busyWith(full)), need)
			if !ok {
				return nil // nor is there one for those behind it
			}
			a, err := r.decree(state.ClaimBuild{Build: b.ID, Node: to, Seen: b.Epoch})
			if err == nil {
				err = a.Result.Err()
			}
			if err != nil {
				r.claims.undo(to, b.Machine)
			}
			if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
				continue // its environment is being built, or it is gone
			}
			if err != nil {
				return err
			}
			full[to]++
			r.c.log.Info("a build has a node", "build", string(b.ID), "node", string(to), "try", b.Tries+1)
		}
		return nil
	})
}

// waitingBuilds lists the builds to place, and how many each node makes.
func (r *reign) waitingBuilds() ([]state.Build, map[state.NodeID]int, error) {
	v, err := r.c.Stale()
	if err != nil {
		return nil, nil, err
	}
	defer v.Close()
	waiting, err := v.WaitingBuilds(r.c.clock.Now(), maxWaitingBuilds)
	if err != nil || len(waiting) == 0 {
		return nil, nil, err
	}
	if waiting, err = mayBegin(v, waiting); err != nil {
		return nil, nil, err
	}
	count := map[state.NodeID]int{}
	for _, n := range r.c.roster.all() {
		err := v.BuildsOn(n.ID, func(state.Build) bool { count[n.ID]++; return true })
		if err != nil {
			return nil, nil, err
		}
	}
	return waiting, count, nil
}

// mayBegin leaves out the builds that wait for another one of their environment:
// to claim one would be refused, and said again at every look.
func mayBegin(v *state.View, waiting []state.Build) ([]state.Build, error) {
	var ready []state.Build
	for _, b := range waiting {
		e, err := v.Environment(b.Account, b.Environment)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if b.Test || err != nil || e.Build.Running == "" || e.Build.Running == b.ID {
			ready = append(ready, b)
		}
	}
	return ready, nil
}

// busyWith is the nodes that make as many builds as they may.
func busyWith(count map[state.NodeID]int) map[state.NodeID]bool {
	full := map[state.NodeID]bool{}
	for n, builds := range count {
		full[n] = builds >= maxNodeBuilds
	}
	return full
}
