package cluster

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Elsewhere is the node that a computer's owner may hand it over to, as the
// leader chooses it: one that reaches the computer's save, where it has a disk.
// Nothing is claimed. Without one it is Unavailable with CodeNoRoom.
func (c *Cluster) Elsewhere(ctx context.Context, computer state.ComputerID) (state.NodeID, error) {
	return insist[state.NodeID](ctx, c, c.transport.Call, callElsewhere, computer)
}

func (c *Cluster) serveElsewhere(_ context.Context, r *reign, _ state.NodeID, id state.ComputerID) (state.NodeID, error) {
	v, err := c.Stale()
	if err != nil {
		return "", err
	}
	defer v.Close()
	comp, ok, err := v.AnyComputer(id)
	if err != nil {
		return "", err
	}
	if !ok || comp.Phase == state.Deleted {
		return "", fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	free := comp
	free.Node = "" // as if it had no owner
	if comp.DataNode == comp.Node {
		free.Saved.Clean = comp.Saved.Name != "" // who will have saved the rest by then
	}
	need, _, err := r.need(v, free)
	if err != nil {
		return "", err
	}
	need.From = comp.Node
	to, why, ok := r.claims.choose(r.c.places(nil), need)
	if !ok {
		return "", noRoom(comp.ID, why)
	}
	return to, nil
}

func noRoom(id state.ComputerID, why string) error {
	return fault.New(fault.Unavailable, "no node can take computer %s: %s", id, why).WithCode(CodeNoRoom).WithRetry(retryAfter)
}
