package cluster

import (
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Codes that failures of this package carry, for those who must tell them apart.
const (
	CodeNoLeader  = "NO_LEADER"        // no majority can be reached
	CodeNotLeader = "NOT_LEADER"       // the node asked does not lead; ask again
	CodeUnclear   = fault.CodeUnclear  // the command may or may not have been applied
	CodeDataAway  = state.CodeDataAway // the computer's data is on a node that is away
	CodeNoRoom    = "NO_ROOM"          // no node has room for the computer
)

// retryAfter is what a caller is told to wait when no leader answers.
const retryAfter = time.Second

var (
	// ErrNoLeader means that a majority of voters could not be reached in time.
	// What is read without it may be stale; what is written is refused.
	ErrNoLeader = fault.New(fault.Unavailable, "the cluster has no leader: a majority of its voting nodes cannot be reached").
			WithCode(CodeNoLeader).WithRetry(retryAfter)
	// ErrUnclear means that a command was sent and its fate is not known: it
	// may have been applied, or may still be.
	ErrUnclear = fault.New(fault.Unavailable, "the change was sent and not confirmed in time; it may have happened").
			WithCode(CodeUnclear).WithRetry(retryAfter)
	// ErrFull means that this node's disk is too full to write records.
	ErrFull = fault.New(fault.Full, "the node's disk is full: nothing can be written until there is room")
	// ErrLeaseLost is the cause of contexts of LeaseContext when the lease ran out.
	ErrLeaseLost = fault.New(fault.Moved, "this node's lease ran out: it may not act until it is renewed")
	// ErrClosed means that the node is closing.
	ErrClosed = fault.New(fault.Unavailable, "the node is closing").WithRetry(retryAfter)
)

// errNotLeader is answered to a call that only the leader can serve.
var errNotLeader = fault.New(fault.Unavailable, "this node does not lead").WithCode(CodeNotLeader)

// unclear is ErrUnclear with what kept the answer away.
func unclear(why error) error {
	return fault.New(fault.Unavailable, "%w (%v)", ErrUnclear, why).WithCode(CodeUnclear).WithRetry(retryAfter)
}

// codeOf is the stable word of a failure, or "".
func codeOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}
