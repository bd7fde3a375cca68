package cluster

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// removedAfter is how long a node hears of no leader before it asks the others
	// whether it still is a member, and removedAsk how often it asks then.
	removedAfter = 5 * time.Second
	removedAsk   = 15 * time.Second
)

// watchRemoved tells the layer above when this node is no member any more. It was
// not told, if it was away: it hears no leader, and the others refuse it.
func (c *Cluster) watchRemoved(ctx context.Context) {
	for c.o.OnRemoved != nil && ctx.Err() == nil {
		pause(ctx, removedAfter)
		if c.leader.missing() < removedAfter || c.roster.young() {
			continue
		}
		if c.removed(ctx) {
			c.o.OnRemoved()
			return
		}
		pause(ctx, removedAsk-removedAfter)
	}
}

// removed reports whether most of the other members say that this node is none.
// One that lags may not know a new member yet.
func (c *Cluster) removed(ctx context.Context) bool {
	others, refused := c.roster.others(), 0
	for _, id := range others {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		err := c.transport.Renew(ctx, id) // who is a member gets a new certificate by its key alone
		cancel()
		if err == nil {
			return false
		}
		if fault.Is(err, fault.Forbidden) {
			refused++
		}
	}
	return 2*refused > len(others)
}
