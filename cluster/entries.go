package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxInFlight bounds the entries that are proposed and not yet applied.
	// While they are, batches gather for the next.
	maxInFlight = 4
	// maxBatches bounds the batches that wait at the leader.
	maxBatches = 1024
)

// entries gathers the nodes' batches into log entries.
type entries struct {
	r     *reign
	queue chan *batch
	slots chan struct{}
}

// batch is what one node sent at once.
type batch struct {
	proposals []state.Proposal
	bytes     int
	done      chan placed // has room for one
}

// placed says which entry a batch is in.
type placed struct {
	Index uint64 `cbor:"1,keyasint"`
	err   error
}

func newEntries(r *reign) *entries {
	return &entries{r: r, queue: make(chan *batch, maxBatches), slots: make(chan struct{}, maxInFlight)}
}

// decreed are the commands that only the leader proposes, on a call or of its
// own, after checking whom they are about.
var decreed = map[string]bool{
	state.KindOf(state.Bootstrap{}):       true,
	state.KindOf(state.TakeIncarnation{}): true,
	state.KindOf(state.RenewLease{}):      true,
	state.KindOf(state.ExpireLease{}):     true,
	state.KindOf(state.RemoveNode{}):      true,
	state.KindOf(state.RaiseVersion{}):    true,
	state.KindOf(state.ClaimBuild{}):      true,
	state.KindOf(state.Sweep{}):           true,
}

// noted has the leader's log name the request that a command is of.
func (c *Cluster) noted(ctx context.Context, from state.NodeID, p state.Proposal) {
	if p.Cause != nil && c.log.Enabled(ctx, slog.LevelDebug) {
		c.log.DebugContext(ctx, "command of a request", "command", p.Kind, "from", string(from), "request", p.Cause.Request)
	}
}

// servePropose is the call of a node that sends commands. A node speaks only
// for itself.
func (c *Cluster) servePropose(ctx context.Context, r *reign, from state.NodeID, ps []state.Proposal) (placed, error) {
	b := &batch{proposals: ps, done: make(chan placed, 1)}
	for _, p := range ps {
		if p.ID.Node != from || p.ID.Incarnation == 0 {
			return placed{}, fault.New(fault.Forbidden, "node %s sent a command of node %q, incarnation %d", from, p.ID.Node, p.ID.Incarnation)
		}
		if decreed[p.Kind] {
			return placed{}, fault.New(fault.Forbidden, "%s is the leader's to propose", p.Kind)
		}
		if err := c.readable(p.Kind, state.VersionOfKind(p.Kind)); err != nil {
			return placed{}, err // what nobody can read would end every replica
		}
		b.bytes += sizeOf(p)
		c.noted(ctx, from, p)
	}
	if len(ps) == 0 || len(ps) > 1 && b.bytes > state.MaxEntryBytes {
		return placed{}, fault.New(fault.TooLarge, "a batch of %d commands and %d bytes", len(ps), b.bytes)
	}
	select {
	case r.entries.queue <- b:
	case <-r.ctx.Done():
		return placed{}, errNotLeader
	default:
		return placed{}, errNotLeader // too many wait; the node tries again a little later
	}
	select {
	case p := <-b.done:
		return p, p.err
	case <-r.ctx.Done():
		return placed{}, errNotLeader
	case <-ctx.Done():
		return placed{}, context.Cause(ctx)
	}
}

// run makes entries until the reign ends.
func (e *entries) run() {
	var held *batch // did not fit into the entry before
	for {
		select {
		case e.slots <- struct{}{}:
		case <-e.r.ctx.Done():
			return
		}
		if held == nil {
			select {
			case held = <-e.queue:
			case <-e.r.ctx.Done():
				return
			}
		}
		var entry []*batch
		entry, held = e.gather(held)
		e.begin(entry)
	}
}

// gather takes what waits and fits into one entry with first.
func (e *entries) gather(first *batch) (entry []*batch, held *batch) {
	entry, bytes := []*batch{first}, first.bytes
	for {
		select {
		case b := <-e.queue:
			if bytes += b.bytes; bytes > state.MaxEntryBytes {
				return entry, b
			}
			entry = append(entry, b)
		default:
			return entry, nil
		}
	}
}

// begin proposes an entry and answers its batches, aside, when it is applied.
func (e *entries) begin(entry []*batch) {
	var all []state.Proposal
	for _, b := range entry {
		all = append(all, b.proposals...)
	}
	e.r.c.metrics.batch.Observe(float64(len(all)))
	begun := time.Now()
	f, err := e.r.propose(all)
	answer := func(p placed) {
		for _, b := range entry {
			b.done <- p
		}
		<-e.slots
	}
	if err != nil {
		answer(placed{err: err})
		return
	}
	e.r.duties.Go(func() {
		if err := f.Error(); err != nil {
			answer(placed{err: raftFailure(err)})
			return
		}
		e.r.c.metrics.commit.Observe(time.Since(begun).Seconds())
		answer(placed{Index: f.Index()})
	})
}
