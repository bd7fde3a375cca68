package cluster

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Elsewhere is the node that a computer's owner may hand it over to, as the
// leader chooses it: one that reaches the computer's save, where it has a disk and
// its owner a blob store. Nothing is claimed. Without one it is Unavailable with CodeNoRoom.
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
	need, err := r.needElsewhere(v, comp)
	if err != nil {
		return "", err
	}
	to, why, ok := r.claims.choose(r.c.places(nil), need)
	if !ok {
		return "", noRoom(comp.ID, why)
	}
	return to, nil
}

// needElsewhere says what a computer asks of the node that it is handed over to.
func (r *reign) needElsewhere(v *state.View, comp state.Computer) (placement.Need, error) {
	owner, _, err := v.FindNode(comp.Node)
	if err != nil {
		return placement.Need{}, err
	}
	free := comp
	free.Node, free.Sent = "", state.Sent{} // as if it had no owner
	switch {
	case comp.DataNode != comp.Node:
	case owner.Store != "":
		free.Saved.Clean = comp.Saved.Name != "" // who will have saved the rest by then
	default: // it is sent there; what is sent takes room until the disk is made of it
		free.DataNode, free.Source, free.Saved = "", "", state.Save{}
		free.DiskBytes = max(comp.DiskBytes, 2*comp.StoredBytes)
	}
	need, _, err := r.need(v, free)
	need.From = comp.Node
	return need, err
}

func noRoom(id state.ComputerID, why string) error {
	return fault.New(fault.Unavailable, "no node can take computer %s: %s", id, why).WithCode(CodeNoRoom).WithRetry(retryAfter)
}
