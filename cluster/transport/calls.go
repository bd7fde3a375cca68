package transport

import (
	"context"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// DefaultCallTimeout bounds a call whose context has no deadline.
const DefaultCallTimeout = 10 * time.Second

// laneName is which of a peer's two connections for calls is used.
type laneName string

const (
	laneNormal laneName = "normal"
	laneUrgent laneName = "urgent"
)

// Call has a node run a method and returns its answer. A failure of the method
// comes back as the *fault.Error it was there; a call that did not get through
// as a *Nack, whose MayHaveArrived says if the method may have run; the end of
// ctx as ctx's error, after which it may have run as well.
func (t *Transport) Call(ctx context.Context, node state.NodeID, method string, body []byte) ([]byte, error) {
	return t.call(ctx, laneNormal, node, method, body)
}

// CallUrgent is Call over a connection of its own, so that it never waits
// behind ordinary calls: for lease renewals and little else.
func (t *Transport) CallUrgent(ctx context.Context, node state.NodeID, method string, body []byte) ([]byte, error) {
	return t.call(ctx, laneUrgent, node, method, body)
}

func (t *Transport) call(ctx context.Context, lane laneName, node state.NodeID, method string, body []byte) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultCallTimeout)
		defer cancel()
	}
	begun := time.Now()
	answer, err := t.tryCall(ctx, lane, node, method, body)
	outcome := callOutcome(err)
	t.metrics.calls.WithLabelValues(string(lane), outcome).Inc()
	if outcome == callDone || outcome == callFault {
		t.metrics.callSeconds.WithLabelValues(string(lane)).Observe(time.Since(begun).Seconds())
	}
	var n *Nack
	if errors.As(err, &n) {
		t.metrics.nacked(n)
	}
	return answer, err
}

func (t *Transport) tryCall(ctx context.Context, lane laneName, node state.NodeID, method string, body []byte) ([]byte, error) {
	if len(body) > MaxBodyBytes || len(method) > maxMethodBytes {
		return nil, nack(node, TooLarge, nil)
	}
	if node == t.self {
		return t.methods.run(ctx, t, t.self, method, body)
	}
	p, err := t.peer(node)
	if err != nil {
		return nil, err
	}
	l, err := p.lane(lane).line(ctx)
	if err != nil {
		return nil, err
	}
	return l.call(ctx, t.cause(ctx), method, body)
}

func callOutcome(err error) string {
	var n *Nack
	var f *fault.Error
	switch {
	case err == nil:
		return callDone
	case errors.As(err, &n):
		return callNack
	case errors.As(err, &f):
		return callFault
	default:
		return callTimeout
	}
}
