package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// Apply changes the records by one command and returns its reply, once this
// node's own replica has it: what the caller reads next, even Stale, holds the
// change. A refusal is the command's *fault.Error. Whatever happens to leaders
// and connections, the command is applied at most once; after ErrUnclear or
// the end of ctx it may have been, else a failure means that it was not.
func (c *Cluster) Apply(ctx context.Context, cmd state.Command) (reply cbor.RawMessage, err error) {
	begun := time.Now()
	ctx, span := trace.Start(ctx, "command", "bothy.command", state.KindOf(cmd))
	defer func() { span.End(err) }()
	if err := c.awaitVersion(ctx); err != nil {
		return nil, err
	}
	if c.full.Load() && !frees(cmd) {
		return nil, ErrFull
	}
	p, err := c.seal(ctx, state.CommandID{}, cmd)
	if err != nil {
		return nil, err
	}
	result, err := c.proposer.do(ctx, p)
	if err != nil {
		return nil, err
	}
	c.metrics.command.Observe(time.Since(begun).Seconds())
	return result.Reply, result.Err()
}

// countless are the commands that a request may have many of, and whose cause
// nobody asks for: it would only fill the log.
var countless = map[string]bool{
	state.KindOf(state.Append{}): true, state.KindOf(state.AppendBuildLog{}): true,
	state.KindOf(state.TakeRequests{}): true, state.KindOf(state.ReturnRequests{}): true,
	state.KindOf(state.RecordUsage{}): true, state.KindOf(state.SetPhase{}): true, state.KindOf(state.RecordDiff{}): true,
}

// seal makes a proposal of a command that every member can read, with what led
// to it.
func (c *Cluster) seal(ctx context.Context, id state.CommandID, cmd state.Command) (state.Proposal, error) {
	p, err := state.Propose(id, 0, cmd)
	if err == nil {
		err = c.readable(p.Kind, state.VersionOf(cmd))
	}
	if err == nil && c.roster.version() >= state.CauseVersion && !countless[p.Kind] {
		p = p.For(trace.Cause(ctx))
	}
	return p, err
}

// Apply is c.Apply with the reply read into a T.
func Apply[T any](ctx context.Context, c *Cluster, cmd state.Command) (T, error) {
	var reply T
	raw, err := c.Apply(ctx, cmd)
	if err != nil || raw == nil {
		return reply, err
	}
	if err := state.Decode(raw, &reply); err != nil {
		return reply, fmt.Errorf("read the reply of %s: %w", state.KindOf(cmd), err)
	}
	return reply, nil
}

// frees reports whether a command makes room, and so is let through on a full disk.
func frees(cmd state.Command) bool {
	kind := state.KindOf(cmd)
	return strings.HasPrefix(kind, "delete-") || kind == state.KindOf(state.SetPhase{}) || kind == state.KindOf(state.Append{})
}

// sendBatch gives a batch of commands to the leader and returns the index of
// the entry that holds it.
func (c *Cluster) sendBatch(ctx context.Context, batch []state.Proposal) (uint64, error) {
	p, err := ask[placed](ctx, c, c.transport.Call, callPropose, batch)
	return p.Index, err
}
