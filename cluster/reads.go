package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// confirmTimeout bounds one question to the voters whether the term is still
// theirs.
const confirmTimeout = time.Second

// Read returns the records as they are now, or newer: everything that was
// acknowledged anywhere before the call is in them. Close the view. Without a
// leader for Timing.NoLeader it fails with ErrNoLeader; Stale then still reads.
func (c *Cluster) Read(ctx context.Context) (*state.View, error) {
	if c.leader.missing() > c.timing.NoLeader {
		return nil, ErrNoLeader // waited for already
	}
	wait, cancel := context.WithTimeoutCause(ctx, c.timing.NoLeader, ErrNoLeader)
	defer cancel()
	index, err := c.readIndex.join(wait)
	if err == nil {
		err = c.fsm.applied.wait(wait, index)
	}
	switch {
	case err == nil:
		return c.Stale()
	case ctx.Err() == nil && (errors.Is(err, ErrNoLeader) || again(err)):
		return nil, ErrNoLeader
	default:
		return nil, fmt.Errorf("read the records: %w", err)
	}
}

// Stale returns the records as this node has them. Close the view.
func (c *Cluster) Stale() (*state.View, error) {
	r, done, err := c.store.View()
	if err != nil {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	return state.NewView(r, done), nil
}

// askIndex asks the leader up to which index this replica must have applied.
func (c *Cluster) askIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timing.NoLeader, ErrNoLeader)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return insist[uint64](ctx, c, c.transport.Call, callReadIndex, struct{}{})
}

// serveReadIndex answers another node's readers.
func (c *Cluster) serveReadIndex(ctx context.Context, r *reign, _ state.NodeID, _ struct{}) (uint64, error) {
	return r.verify.join(ctx)
}

// confirm returns an index that holds everything acknowledged before it was
// asked. The commit index is that if no other leader has been elected by then,
// and none has if a majority of voters is still in this term afterwards. (Not
// raft's VerifyLeader: it counts the answers of non-voters as well, and answers
// to heartbeats that were sent before the question.)
func (r *reign) confirm(ctx context.Context) (uint64, error) {
	if r.c.raft.State() != raft.Leader || r.c.raft.CurrentTerm() != r.term {
		return 0, errNotLeader
	}
	index := max(r.opening, r.c.raft.CommitIndex())
	voters, err := r.c.voterIDs()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	answers := make(chan bool, len(voters))
	for _, v := range voters {
		go func() { answers <- r.c.inTerm(ctx, v, r.term) }()
	}
	yes, no := 0, 0
	for range voters {
		if <-answers {
			yes++
		} else {
			no++
		}
		if yes > len(voters)/2 {
			return index, nil
		}
		if no >= (len(voters)+1)/2 {
			break
		}
	}
	return 0, errNotLeader
}

// inTerm asks a node whether it is still in a term.
func (c *Cluster) inTerm(ctx context.Context, node state.NodeID, term uint64) bool {
	if node == c.self {
		return c.raft.CurrentTerm() == term
	}
	body, err := state.Encode(term)
	if err != nil {
		return false
	}
	b, err := c.transport.Call(ctx, node, callConfirm, body)
	var same bool
	return err == nil && state.Decode(b, &same) == nil && same
}

// serveConfirm answers whether this node has not heard of a later term. It
// enters a later one before it gives anybody its vote for it.
func (c *Cluster) serveConfirm(_ context.Context, _ state.NodeID, term uint64) (bool, error) {
	return c.raft.CurrentTerm() == term, nil
}

// voters is how many there are; 0 when raft does not say.
func (c *Cluster) voters() int {
	ids, err := c.voterIDs()
	if err != nil {
		return 0
	}
	return len(ids)
}

// voterIDs lists the voters of raft's latest configuration here.
func (c *Cluster) voterIDs() ([]state.NodeID, error) {
	f := c.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, fault.New(fault.Unavailable, "read raft's configuration: %w", err)
	}
	var ids []state.NodeID
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			ids = append(ids, state.NodeID(s.ID))
		}
	}
	return ids, nil
}
