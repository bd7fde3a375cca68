package cluster

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Rebalance lists at most so many moves that would even out what the nodes have,
// as the leader sees them. Nothing is done.
func (c *Cluster) Rebalance(ctx context.Context, most int) ([]placement.Move, error) {
	return insist[[]placement.Move](ctx, c, c.transport.Call, callRebalance, most)
}

func (c *Cluster) serveRebalance(_ context.Context, r *reign, _ state.NodeID, most int) ([]placement.Move, error) {
	v, err := c.Stale()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	stores := map[state.NodeID]string{}
	for _, n := range c.roster.all() {
		if n.Leased() {
			stores[n.ID] = n.Store
		}
	}
	var residents []placement.Resident
	err = v.EveryComputer(func(comp state.Computer) bool {
		if store, leased := stores[comp.Node]; leased {
			if resident, ok := residentOf(comp, store); ok {
				residents = append(residents, resident)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return placement.Rebalance(c.places(nil), residents, most), nil
}

// residentOf is a computer that its owner, which reaches a store or none, can give
// away; false for one that is on its way somewhere.
func residentOf(c state.Computer, store string) (placement.Resident, bool) {
	r := placement.Resident{Node: c.Node, Up: c.Phase == state.Running,
		Need: placement.Need{Computer: c.ID, MemoryBytes: c.MemoryBytes, DiskBytes: c.DiskBytes}}
	switch {
	case c.Live > 0:
		r.Trouble = 2
	case r.Up:
		r.Trouble = 1
	}
	switch c.Phase {
	case state.Running, state.Stopped, state.Provisioning:
	default:
		return r, false
	}
	if c.DataNode == c.Node {
		r.Store = store
	}
	// One without a disk may begin as what only its node can read.
	still := c.Wish == state.WishDeleted || c.DataNode == "" && c.Source != "" || c.DataNode != "" && c.DataNode != c.Node
	return r, !still
}
