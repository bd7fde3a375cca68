package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/transport"
)

// The calls that nodes make to each other. All but confirm and probe are
// answered only by the leader.
const (
	callPropose   = "cluster/propose"    // []state.Proposal → placed
	callReadIndex = "cluster/read-index" // → index
	callRenew     = "cluster/renew"      // renewRequest → answered
	callLife      = "cluster/life"       // lifeRequest → answered
	callPlace     = "cluster/place"      // state.ComputerID → state.Placement
	callElsewhere = "cluster/elsewhere"  // state.ComputerID → state.NodeID
	callRebalance = "cluster/rebalance"  // how many at most → []placement.Move
	callLeave     = "cluster/leave"      // state.NodeID → nothing
	callAbandon   = "cluster/abandon"    // state.NodeID → nothing
	callConfirm   = "cluster/confirm"    // term → whether the node is still in it
	callProbe     = "cluster/probe"      // → probed
)

const (
	// attemptTimeout bounds one try of a call to the leader.
	attemptTimeout = 10 * time.Second
	// retryPause is how long a failed call waits before it is tried again,
	// unless the leader changes first.
	retryPause = 20 * time.Millisecond
)

// answered is the result of a command that the leader proposed for another
// node, and the entry it is in.
type answered struct {
	Index  uint64       `cbor:"1,keyasint"`
	Result state.Result `cbor:"2,keyasint"`
}

// caller is the part of the transport that makes calls.
type caller func(ctx context.Context, node state.NodeID, method string, body []byte) ([]byte, error)

// serve registers the calls that this node answers.
func (c *Cluster) serve() {
	c.transport.Handle(callPropose, leading(c, c.servePropose))
	c.transport.Handle(callReadIndex, leading(c, c.serveReadIndex))
	c.transport.Handle(callRenew, leading(c, c.serveRenew))
	c.transport.Handle(callLife, leading(c, c.serveLife))
	c.transport.Handle(callPlace, leading(c, c.servePlace))
	c.transport.Handle(callElsewhere, leading(c, c.serveElsewhere))
	c.transport.Handle(callRebalance, leading(c, c.serveRebalance))
	c.transport.Handle(callLeave, leading(c, c.serveLeave))
	c.transport.Handle(callAbandon, leading(c, c.serveAbandon))
	c.transport.Handle(callConfirm, typed(c.serveConfirm))
	c.transport.Handle(callProbe, typed(c.serveProbe))
}

// typed makes a method out of a function on values.
func typed[Q, A any](f func(ctx context.Context, from state.NodeID, q Q) (A, error)) transport.Method {
	return func(ctx context.Context, from state.NodeID, body []byte) ([]byte, error) {
		var q Q
		if err := state.Decode(body, &q); err != nil {
			return nil, fault.New(fault.Invalid, "the call cannot be read: %w", err)
		}
		a, err := f(ctx, from, q)
		if err != nil {
			return nil, err
		}
		return state.Encode(a)
	}
}

// leading makes a method that only a leader in office answers.
func leading[Q, A any](c *Cluster, f func(ctx context.Context, r *reign, from state.NodeID, q Q) (A, error)) transport.Method {
	return typed(func(ctx context.Context, from state.NodeID, q Q) (A, error) {
		var none A
		r := c.reign.Load()
		if r == nil {
			return none, errNotLeader
		}
		if err := r.inOffice(ctx); err != nil {
			return none, err
		}
		return f(ctx, r, from, q)
	})
}

// ask makes one call to the leader. It ends early when the leader changes.
func ask[A any](ctx context.Context, c *Cluster, by caller, method string, q any) (a A, err error) {
	leader, changed := c.leader.now()
	if leader == "" {
		return a, errNotLeader
	}
	body, err := state.Encode(q)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-changed:
			cancel()
		case <-done:
		}
	}()
	b, err := by(ctx, leader, method, body)
	if err != nil {
		return a, err
	}
	if err := state.Decode(b, &a); err != nil {
		return a, fmt.Errorf("read the answer to %s: %w", method, err)
	}
	return a, nil
}

// insist makes a call to the leader until one answers it or ctx ends. Only
// calls that may be made twice are made so.
func insist[A any](ctx context.Context, c *Cluster, by caller, method string, q any) (A, error) {
	for {
		a, err := ask[A](ctx, c, by, method, q)
		if err == nil || !again(err) {
			return a, err
		}
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
		_, changed := c.leader.now()
		select {
		case <-changed:
		case <-time.After(retryPause):
		case <-ctx.Done():
			return a, context.Cause(ctx)
		}
	}
}

// again reports whether a failed call may have another answer from the next
// leader, or from this one a moment later.
func again(err error) bool {
	var n *transport.Nack
	return errors.As(err, &n) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		codeOf(err) == CodeNotLeader || codeOf(err) == string(transport.UnknownKind)
}
