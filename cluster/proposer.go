package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxQueued bounds the commands of this node that wait to be sent or to be
	// applied; more are refused.
	maxQueued = 16384
	// proposalBytes is what a proposal adds to its command's bytes in an entry,
	// and causeBytes what its cause does.
	proposalBytes, causeBytes = 256, 320
	// resendEvery is how often commands are looked over whose entry this
	// replica has applied, and which have no result all the same: it came with
	// a snapshot. Sent again they find what they did.
	resendEvery = 200 * time.Millisecond
	// minBackoff and maxBackoff are how long a failed batch waits.
	minBackoff = 5 * time.Millisecond
	maxBackoff = 200 * time.Millisecond
)

// proposer gives this node's commands to the leader, many in one batch while
// the one before is on its way, and sends them again with the same id until
// this replica has applied them.
type proposer struct {
	node     state.NodeID
	send     func(ctx context.Context, batch []state.Proposal) (index uint64, err error)
	applied  func() uint64
	patience time.Duration
	wake     chan struct{}

	mu     sync.Mutex
	life   life
	closed bool
	last   uint64                       // newest counter of this life
	queue  []*pending                   // not sent, or to be sent again
	open   map[state.CommandID]*pending // have an id and no result
	alone  time.Time                    // since when no leader answers; zero when one does
}

// life is an incarnation and whether commands may go out under it.
type life struct {
	incarnation uint64
	begun       chan struct{} // closed when incarnation is set
}

// pending is a command on its way.
type pending struct {
	proposal state.Proposal
	result   chan outcome // has room for one
	over     bool         // has its result, or nobody waits for it
	index    uint64       // of the entry that holds it, once the leader said so
	sent     bool
}

// outcome is a command's end: a result of the records, or why there is none.
type outcome struct {
	state.Result
	err error
}

func newProposer(node state.NodeID, patience time.Duration, applied func() uint64,
	send func(context.Context, []state.Proposal) (uint64, error)) *proposer {
	return &proposer{
		node: node, send: send, applied: applied, patience: patience, wake: make(chan struct{}, 1),
		life: life{begun: make(chan struct{})}, open: map[state.CommandID]*pending{},
	}
}

// begin lets commands go out under an incarnation. Those that were sent under
// an older one keep their ids: the records say what became of them.
func (p *proposer) begin(incarnation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.life.incarnation == 0
	p.life.incarnation, p.last, p.alone = incarnation, 0, time.Time{}
	if first {
		close(p.life.begun)
	}
	poke(p.wake)
}

// incarnation is the present one; 0 before the first.
func (p *proposer) incarnation() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.incarnation
}

// do runs one command to its result.
func (p *proposer) do(ctx context.Context, proposal state.Proposal) (state.Result, error) {
	c := &pending{proposal: proposal, result: make(chan outcome, 1)}
	if err := p.enqueue(c); err != nil {
		return state.Result{}, err
	}
	select {
	case o := <-c.result:
		return o.Result, o.err
	case <-ctx.Done():
		return state.Result{}, p.withdraw(ctx, c)
	}
}

func (p *proposer) enqueue(c *pending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if len(p.queue)+len(p.open) >= maxQueued {
		return fault.New(fault.Unavailable, "the node is busy: %d changes are waiting", maxQueued).WithRetry(retryAfter)
	}
	p.queue = append(p.queue, c)
	poke(p.wake)
	return nil
}

// withdraw stops waiting for a command's result.
func (p *proposer) withdraw(ctx context.Context, c *pending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c.proposal.ID)
	c.over = true
	if c.sent {
		return unclear(context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// run sends batches, one at a time, until ctx ends. Then every command that
// waits is told so.
func (p *proposer) run(ctx context.Context) {
	tick := time.NewTicker(resendEvery)
	defer tick.Stop()
	for backoff := minBackoff; ; {
		batch := p.take()
		if len(batch) == 0 {
			select {
			case <-p.wake:
			case <-tick.C:
				p.recheck()
			case <-ctx.Done():
				p.close()
				return
			}
			continue
		}
		index, err := p.send(ctx, proposals(batch))
		p.sentTo(batch, index, err)
		if err == nil {
			backoff = minBackoff
			continue
		}
		select {
		case <-time.After(backoff):
			backoff = min(2*backoff, maxBackoff)
		case <-ctx.Done():
		}
	}
}

// take seals as many waiting commands as one batch may hold.
func (p *proposer) take() []*pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.incarnation == 0 {
		p.impatient(time.Now())
		return nil
	}
	var batch []*pending
	size := 0
	for len(p.queue) > 0 {
		c := p.queue[0]
		if c.over {
			p.queue = p.queue[1:]
			continue
		}
		size += sizeOf(c.proposal)
		if size > state.MaxEntryBytes && len(batch) > 0 {
			break
		}
		p.queue = p.queue[1:]
		if c.proposal.ID.Counter == 0 {
			p.last++
			c.proposal.ID = state.CommandID{Node: p.node, Incarnation: p.life.incarnation, Counter: p.last}
			p.open[c.proposal.ID] = c
		}
		c.sent = true
		batch = append(batch, c)
	}
	low := p.lowMark()
	for _, c := range batch {
		if c.proposal.ID.Incarnation == p.life.incarnation {
			c.proposal.Acked = low
		}
	}
	return batch
}

// sizeOf is the most that a proposal takes of an entry.
func sizeOf(p state.Proposal) int {
	if p.Cause != nil {
		return len(p.Body) + proposalBytes + causeBytes
	}
	return len(p.Body) + proposalBytes
}

// lowMark is the counter up to which no command of this life is open.
func (p *proposer) lowMark() uint64 {
	low := p.last
	for id := range p.open {
		if id.Incarnation == p.life.incarnation {
			low = min(low, id.Counter-1)
		}
	}
	return low
}

func proposals(batch []*pending) []state.Proposal {
	out := make([]state.Proposal, len(batch))
	for i, c := range batch {
		out[i] = c.proposal
	}
	return out
}

// sentTo notes how sending a batch ended.
func (p *proposer) sentTo(batch []*pending, index uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.alone = time.Time{}
		for _, c := range batch {
			c.index = index
		}
		return
	}
	again := make([]*pending, 0, len(batch)+len(p.queue))
	for _, c := range batch {
		if p.open[c.proposal.ID] == c {
			again = append(again, c)
		}
	}
	p.queue = append(again, p.queue...)
	p.impatient(time.Now())
}

// impatient ends the waiting commands when no leader has answered for too long.
func (p *proposer) impatient(now time.Time) {
	if p.alone.IsZero() {
		p.alone = now
	}
	if now.Sub(p.alone) < p.patience {
		return
	}
	for _, c := range p.queue {
		p.end(c, ErrNoLeader)
	}
	p.queue = nil
}

// end gives a command up; p.mu is held.
func (p *proposer) end(c *pending, why error) {
	if c.over {
		return
	}
	if c.sent {
		why = unclear(why)
	}
	delete(p.open, c.proposal.ID)
	c.over = true
	c.result <- outcome{err: why}
}

// settle hands results of entries that this replica applied to their commands.
func (p *proposer) settle(results []state.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range results {
		c := p.open[r.ID]
		if c == nil {
			continue
		}
		delete(p.open, r.ID)
		c.over = true
		c.result <- outcome{Result: r}
	}
}

// recheck sends again what was applied unseen.
func (p *proposer) recheck() {
	at := p.applied()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		if c.index != 0 && c.index <= at {
			c.index = 0
			p.queue = append(p.queue, c)
		}
	}
	if len(p.queue) > 0 {
		poke(p.wake)
	} else if p.life.incarnation != 0 {
		p.alone = time.Time{}
	}
}

func (p *proposer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.queue {
		p.end(c, ErrClosed)
	}
	for _, c := range p.open {
		p.end(c, ErrClosed)
	}
	p.queue = nil
}
