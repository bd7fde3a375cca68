package actorstest

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// maxTended bounds the builds that are given to nodes at once.
const maxTended = 256

// asksForBuild reports whether a build may wait for a node after a command,
// and so the leader would look.
func asksForBuild(cmd state.Command) bool {
	switch cmd.(type) {
	case state.RequestBuild, state.FinishBuild, state.CancelBuild, state.ExpireLease:
		return true
	}
	return false
}

// Tend gives the builds that wait now to the nodes with a lease, each to the
// one that makes the fewest, as the leader would. It is done by itself for
// builds that are asked for; those that follow a change wait until a test has
// moved the clock, and are then to be tended.
func (n *Node) Tend(ctx context.Context) error {
	waiting, err := func() ([]state.Build, error) {
		v := n.Stale()
		defer v.Close()
		return v.WaitingBuilds(n.records.now(), maxTended)
	}()
	for _, b := range waiting {
		to, found, err := n.idlest()
		if err != nil || !found {
			return err
		}
		_, err = n.Apply(ctx, state.ClaimBuild{Build: b.ID, Node: to, Seen: b.Epoch})
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return err
}

// idlest is the node with a lease that makes the fewest builds; the first that
// joined among equals.
func (n *Node) idlest() (best state.NodeID, found bool, err error) {
	v := n.Stale()
	defer v.Close()
	fewest := 0
	for _, id := range n.records.members() {
		record, known, err := v.FindNode(id)
		if err != nil {
			return "", false, err
		}
		if !known || !record.Leased() {
			continue
		}
		count := 0
		if err := v.BuildsOn(id, func(state.Build) bool { count++; return true }); err != nil {
			return "", false, err
		}
		if !found || count < fewest {
			best, fewest, found = id, count, true
		}
	}
	return best, found, nil
}

func (r *Records) members() []state.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []state.NodeID
	for _, n := range r.nodes {
		all = append(all, n.id)
	}
	return all
}
