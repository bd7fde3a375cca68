package actors

import (
	"context"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Cluster is what actors and nouns need of what is agreed. *cluster.Cluster
// provides it.
type Cluster interface {
	// Self is this node.
	Self() state.NodeID
	// Apply has a command agreed on and applied here, and returns its reply.
	Apply(ctx context.Context, cmd state.Command) (cbor.RawMessage, error)
	// Read returns a view that shows everything acknowledged before the call.
	Read(ctx context.Context) (*state.View, error)
	// Stale returns a view of what this node has applied.
	Stale() *state.View
	// Place returns the computer with an owner that may act, claiming it for
	// a node if it has none.
	Place(ctx context.Context, id state.ComputerID) (state.Computer, error)
	// Elsewhere is the node that a computer's owner may hand it over to, as the
	// leader chooses it; Unavailable when there is none.
	Elsewhere(ctx context.Context, id state.ComputerID) (state.NodeID, error)
	// Rebalance lists at most so many moves that would even out the nodes.
	Rebalance(ctx context.Context, most int) ([]placement.Move, error)
	// Leads reports whether this node leads, as far as it knows, and gives a
	// channel that closes when another leader is heard of.
	Leads() (bool, <-chan struct{})
}

// propose applies a command and reads its reply.
func propose[T any](ctx context.Context, c Cluster, cmd state.Command) (reply T, err error) {
	b, err := c.Apply(ctx, cmd)
	if err != nil {
		return reply, err
	}
	if len(b) == 0 {
		return reply, nil
	}
	if err := state.Decode(b, &reply); err != nil {
		return reply, fmt.Errorf("read the reply of %s: %w", state.KindOf(cmd), err)
	}
	return reply, nil
}

// view runs read on a linearizable view.
func view[T any](ctx context.Context, c Cluster, read func(*state.View) (T, error)) (T, error) {
	v, err := c.Read(ctx)
	if err != nil {
		var none T
		return none, err
	}
	defer v.Close()
	return read(v)
}

// applied runs read on what this node has applied.
func applied[T any](c Cluster, read func(*state.View) (T, error)) (T, error) {
	v := c.Stale()
	defer v.Close()
	return read(v)
}
