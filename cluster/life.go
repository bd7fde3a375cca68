package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// reconcilePause is how long a failed reconciliation waits to be tried again.
const reconcilePause = time.Second

// lifeRequest asks the leader for a node's next incarnation.
type lifeRequest struct {
	Nonce string          `cbor:"1,keyasint"`
	Addrs state.NodeAddrs `cbor:"2,keyasint"`
}

// renewRequest asks the leader to renew a node's lease.
type renewRequest struct {
	Incarnation uint64 `cbor:"1,keyasint"`
}

// live takes an incarnation and keeps its lease; when it expires, the next one.
func (c *Cluster) live(ctx context.Context) {
	for c.origin.Founder && c.roster.version() == 0 && ctx.Err() == nil {
		pause(ctx, retryPause) // the first records, this node's among them, are being made
	}
	for first := true; ctx.Err() == nil; first = false {
		incarnation, err := c.takeIncarnation(ctx)
		if codeOf(err) == CodeOldBuild && ctx.Err() == nil {
			c.o.Fatal(err) // versions never fall: it will be no other
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				c.log.Error("this node got no incarnation and cannot change records", "err", err)
				pause(ctx, retryAfter)
			}
			continue
		}
		c.proposer.begin(incarnation)
		over := c.keepLease(ctx, incarnation, first)
		if over != nil && ctx.Err() == nil {
			c.log.Warn("this node's lease expired: it begins a new life", "incarnation", incarnation, "err", over)
			c.lease.expired()
		}
	}
}

// takeIncarnation begins a life: commands of earlier ones are refused from
// then on. It returns when this replica knows of it.
func (c *Cluster) takeIncarnation(ctx context.Context) (uint64, error) {
	q := lifeRequest{Nonce: rand.Text(), Addrs: c.addrs}
	a, err := insist[answered](ctx, c, c.transport.CallUrgent, callLife, q)
	if err == nil {
		err = a.Result.Err()
	}
	if err != nil {
		return 0, err
	}
	var incarnation uint64
	if err := state.Decode(a.Result.Reply, &incarnation); err != nil {
		return 0, fmt.Errorf("read the incarnation: %w", err)
	}
	return incarnation, c.fsm.applied.wait(ctx, a.Index)
}

// serveLife begins a node's life.
func (c *Cluster) serveLife(_ context.Context, r *reign, from state.NodeID, q lifeRequest) (answered, error) {
	if err := r.c.upToDate(r.c.nameOf(from), q.Addrs.Commands); err != nil {
		return answered{}, err
	}
	return r.decree(state.TakeIncarnation{Node: from, Nonce: q.Nonce, Addrs: q.Addrs})
}

// keepLease renews the lease until the incarnation is over, and says why it is.
func (c *Cluster) keepLease(ctx context.Context, incarnation uint64, first bool) error {
	reconciling := false
	for ctx.Err() == nil {
		sent := c.clock.Boottime()
		err := c.renew(ctx, incarnation)
		switch {
		case err == nil:
			if err := c.lease.renewed(sent); err != nil {
				c.log.Error("the warden did not take the lease's end; the lease does not count", "err", err)
			} else if !first && !reconciling {
				reconciling = true
				c.work.Go(func() { c.reconcile(ctx, incarnation) })
			}
			pause(ctx, c.timing.Renew-(c.clock.Boottime()-sent))
		case fault.Is(err, fault.Moved):
			return err
		default:
			_, changed := c.leader.now()
			select {
			case <-changed:
			case <-time.After(retryPause):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// renew makes one attempt, over the lane that waits for nothing else.
func (c *Cluster) renew(ctx context.Context, incarnation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, c.timing.Renew)
	defer cancel()
	a, err := ask[answered](ctx, c, c.transport.CallUrgent, callRenew, renewRequest{incarnation})
	if err != nil {
		return err
	}
	return a.Result.Err()
}

// serveRenew renews a node's lease.
func (c *Cluster) serveRenew(_ context.Context, r *reign, from state.NodeID, q renewRequest) (answered, error) {
	return r.decree(state.RenewLease{Node: from, Incarnation: q.Incarnation})
}

// reconcile has the layer above find out what is still this node's own, after
// an expiry. Until it has, LeaseHeld is false.
func (c *Cluster) reconcile(ctx context.Context, incarnation uint64) {
	for c.onExpired != nil && ctx.Err() == nil && c.proposer.incarnation() == incarnation {
		lctx, done := c.lease.context(ctx)
		err := c.onExpired(lctx, incarnation)
		done()
		if err == nil {
			break
		}
		c.log.Error("finding out what is still this node's own failed; it is tried again", "err", err)
		pause(ctx, reconcilePause)
	}
	if c.proposer.incarnation() == incarnation {
		c.lease.reconcile()
	}
}

// pause waits, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
