package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Reason is why something was not delivered.
type Reason string

const (
	UnknownNode  Reason = "unknown_node"  // no address is known for the node
	Unreachable  Reason = "unreachable"   // dialling it failed, now or within the last backoff
	Refused      Reason = "refused"       // it answers, but not as that node, or not to this one
	QueueFull    Reason = "queue_full"    // too much is waiting for it
	Expired      Reason = "expired"       // the deadline passed before it was sent
	Lost         Reason = "lost"          // the connection broke after it was sent
	Closed       Reason = "closed"        // this transport is closed, or the peer was severed
	TooLarge     Reason = "too_large"     // over the bound for one message
	UnknownKind  Reason = "unknown_kind"  // the receiver does not know messages of this kind
	UnknownActor Reason = "unknown_actor" // the receiver has no such actor
	NoEnvelope   Reason = "no_envelope"   // a message that is not an *Envelope cannot leave the node
	Rejected     Reason = "rejected"      // the receiver's admission refused it
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{UnknownNode, Unreachable, Refused, QueueFull, Expired, Lost, Closed,
		TooLarge, UnknownKind, UnknownActor, NoEnvelope, Rejected}
}

// retryHint is what a caller is told to wait after a nack.
const retryHint = time.Second

// Nack says that a message or call did not do its work at the other node. It
// is also a *fault.Error, of kind Unavailable unless the reason says better.
type Nack struct {
	Node   state.NodeID
	Reason Reason
	cause  error
}

func nack(node state.NodeID, reason Reason, cause error) *Nack {
	return &Nack{Node: node, Reason: reason, cause: cause}
}

// MayHaveArrived reports whether the other node may have acted on it. Only
// then can sending it again do it twice.
func (n *Nack) MayHaveArrived() bool { return n.Reason == Lost }

func (n *Nack) Error() string {
	if n.cause == nil {
		return fmt.Sprintf("node %s: %s", n.Node, n.Reason)
	}
	return fmt.Sprintf("node %s: %s: %v", n.Node, n.Reason, n.cause)
}

// Unwrap gives the nack as a fault, and its cause.
func (n *Nack) Unwrap() []error {
	kind := fault.Unavailable
	switch n.Reason {
	case TooLarge:
		kind = fault.TooLarge
	case UnknownKind:
		kind = fault.Unsupported
	case UnknownActor:
		kind = fault.NotFound
	case NoEnvelope:
		kind = fault.Internal
	}
	var told *fault.Error
	if n.Reason == Rejected && errors.As(n.cause, &told) {
		return []error{told} // the receiver said why
	}
	f := fault.New(kind, "%s", n.Error()).WithCode(string(n.Reason))
	if kind == fault.Unavailable {
		f = f.WithRetry(retryHint)
	}
	if n.cause == nil {
		return []error{f}
	}
	return []error{f, n.cause}
}
