package house

import (
	"context"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Lose is the end of a node of a town with its machine: its process, its computers
// and its disk. What is in its place then is an empty one, for Replace or Succeed.
func (n *Node) Lose(ctx context.Context) error {
	err := n.Kill()
	if err == nil {
		err = n.clear(ctx)
	}
	if err == nil {
		err = n.lot.renew()
	}
	if err != nil {
		return fmt.Errorf("lose node %s: %w", n.Name, err)
	}
	return nil
}

// Replace does what an operator does about a node that was lost: it is taken out of
// the cluster, and a new one, of the same name and addresses, joins in its place.
// It returns once that one votes as it should.
func (h *House) Replace(ctx context.Context, n *Node) error {
	err := h.abandon(ctx, n.Name)
	if err == nil {
		err = h.join(ctx, n)
	}
	if err == nil {
		err = h.Settle(ctx)
	}
	if err != nil {
		return fmt.Errorf("replace node %s: %w", n.Name, err)
	}
	return nil
}

// Succeed is Replace with the new node joining first, while the name of the lost
// one is taken: it has another, at the same addresses.
func (h *House) Succeed(ctx context.Context, n *Node) error {
	lost := n.Name
	h.call(n, h.nextName())
	err := h.join(ctx, n)
	if err == nil {
		err = h.abandon(ctx, lost)
	}
	if err == nil {
		err = h.Settle(ctx)
	}
	if err != nil {
		return fmt.Errorf("have %s succeed node %s: %w", n.Name, lost, err)
	}
	return nil
}

// abandon takes out a node that is away. That is refused until its lease is over.
func (h *House) abandon(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		err := h.Alive().AbandonNode(ctx, name)
		if err == nil || fault.Is(err, fault.NotFound) { // it was done, and the answer lost
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("take node %s out of the cluster: %w", name, err)
		case <-time.After(settlePoll):
		}
	}
}
