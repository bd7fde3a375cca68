package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// enqueueTimeout bounds how long an entry waits to be taken by raft, and
// enthroneTimeout how long the first entries of a term may take.
const (
	enqueueTimeout  = 5 * time.Second
	enthroneTimeout = 10 * time.Second
)

// reign is one term in which this node leads. It takes office once its first
// entry is applied here: then this replica holds everything that any earlier
// leader committed, and the commit index counts only this term's entries on top.
type reign struct {
	c      *Cluster
	ctx    context.Context // ends when the node no longer leads
	end    context.CancelFunc
	office chan struct{} // closed when in office; term and opening are set
	term   uint64
	// opening is the index of the term's first command. Every entry after it
	// is a command or a configuration, which every replica's records count;
	// raft's own no-ops and barriers, which they do not, all come before.
	opening uint64

	mu      sync.Mutex // orders stamps as the log orders entries
	stamp   int64
	stamped time.Duration         // when that was, by Boottime
	leaving map[state.NodeID]bool // members that asked to go

	entries *entries
	verify  rounds[uint64]
	claims  *claims
	duties  sync.WaitGroup
}

// reignNow begins and ends reigns as raft tells, until ctx ends.
func (c *Cluster) reignNow(ctx context.Context) {
	var r *reign
	stop := func() {
		if r != nil {
			c.reign.Store(nil)
			r.end()
			r.duties.Wait()
			r = nil
		}
	}
	defer stop()
	for {
		select {
		case leads := <-c.leads:
			stop()
			if leads {
				r = c.newReign(ctx)
				c.reign.Store(r)
				r.duties.Go(r.run)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *Cluster) newReign(ctx context.Context) *reign {
	ctx, end := context.WithCancel(ctx)
	r := &reign{c: c, ctx: ctx, end: end, office: make(chan struct{}), leaving: map[state.NodeID]bool{}}
	r.entries = newEntries(r)
	r.verify.ask = r.confirm
	r.claims = newClaims(c.clock)
	return r
}

// run takes office and does the leader's duties until the reign ends.
func (r *reign) run() {
	if err := r.enthrone(); err != nil {
		if r.ctx.Err() == nil {
			r.c.log.Warn("taking office as the leader failed; another node is asked to lead", "err", err)
			r.abdicate()
		}
		return
	}
	close(r.office)
	r.c.log.Info("this node leads", "term", r.term)
	r.duties.Go(r.entries.run)
	for _, duty := range []func(){r.tendVoters, r.tendLeases, r.tendMoves, r.tendBuilds, r.tendRecords, r.tendSecrets} {
		r.duties.Go(duty)
	}
}

// enthrone waits until this replica has applied all that was committed before,
// then commits the term's first entry, with a stamp after all others.
func (r *reign) enthrone() error {
	if err := r.c.raft.Barrier(enthroneTimeout).Error(); err != nil {
		return fmt.Errorf("wait for the log: %w", err)
	}
	reader, done, err := r.c.store.View()
	if err != nil {
		return err
	}
	defer done()
	if r.stamp, err = state.LastStamp(reader); err != nil {
		return err
	}
	r.stamped = r.c.clock.Boottime()
	first, err := r.commit(nil)
	if err != nil {
		return fmt.Errorf("commit the first entry: %w", err)
	}
	r.term, r.opening = first.Term, first.Index
	return nil
}

// abdicate gives the leadership to a node that can do it.
func (r *reign) abdicate() {
	if err := r.c.raft.LeadershipTransfer().Error(); err != nil {
		r.c.log.Warn("giving up the leadership failed", "err", err)
	}
}

// inOffice waits until the reign has taken office.
func (r *reign) inOffice(ctx context.Context) error {
	select {
	case <-r.office:
		return nil
	case <-r.ctx.Done():
		return errNotLeader
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commit puts proposals into one entry and returns what it did once it is
// applied here. An entry whose fate is unclear fails with errNotLeader.
func (r *reign) commit(proposals []state.Proposal) (applied, error) {
	begun := time.Now()
	f, err := r.propose(proposals)
	if err != nil {
		return applied{}, err
	}
	if err := f.Error(); err != nil {
		return applied{}, raftFailure(err)
	}
	done, ok := f.Response().(applied)
	if !ok {
		return applied{}, fault.New(fault.Internal, "entry %d was applied to nothing", f.Index())
	}
	r.c.metrics.commit.Observe(time.Since(begun).Seconds())
	return done, nil
}

// slowed is how many times slower than time passes stamps go on while the clock is
// behind them.
const slowed = 2

// nextStamp is the time of the next entry: the clock's, but stamps never go back,
// however the clock is set, and never stand: a limit's window would not end, and a
// build not begin, until the clock is where a wrong one was. r.mu is held.
func (r *reign) nextStamp() int64 {
	now, counted := r.c.clock.Now().UnixNano(), r.c.clock.Boottime()
	stamp := max(now, r.stamp+int64(counted-r.stamped)/slowed)
	r.stamp, r.stamped = stamp, counted
	return stamp
}

// propose stamps an entry and hands it to raft.
func (r *reign) propose(proposals []state.Proposal) (raft.ApplyFuture, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, err := state.Encode(state.Entry{Stamp: r.nextStamp(), Proposals: proposals})
	if err != nil {
		return nil, fmt.Errorf("encode an entry: %w", err)
	}
	return r.c.raft.Apply(entry, enqueueTimeout), nil
}

// raftFailure turns raft's failures of leaders into one that makes the caller
// ask again: whether the entry is committed is then not known.
func raftFailure(err error) error {
	for _, lost := range []error{raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrLeadershipTransferInProgress,
		raft.ErrRaftShutdown, raft.ErrEnqueueTimeout, raft.ErrAbortedByRestore} {
		if errors.Is(err, lost) {
			return errNotLeader
		}
	}
	return fmt.Errorf("propose an entry: %w", err)
}

// decree commits one command of the leader's own, which is harmless when it is
// applied twice, and returns its result.
func (r *reign) decree(cmd state.Command) (answered, error) {
	return r.decreeFor(context.Background(), cmd)
}

// decreeFor is decree for a request, which ctx knows.
func (r *reign) decreeFor(ctx context.Context, cmd state.Command) (answered, error) {
	p, err := r.c.seal(ctx, state.CommandID{Node: r.c.self}, cmd)
	if err != nil {
		return answered{}, err
	}
	done, err := r.commit([]state.Proposal{p})
	if err != nil {
		return answered{}, err
	}
	return answered{Index: done.Index, Result: done.Results[0]}, nil
}
