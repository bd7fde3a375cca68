package actors

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// bell wakes those who wait for a record of this node's replica to change. It
// is rung by the apply loop, never blocks it, and says only "look again".
type bell struct {
	mu      sync.Mutex
	crowds  map[state.Noun]map[string]*crowd
	drained chan struct{}
}

// crowd is all who wait for one record.
type crowd struct {
	rings atomic.Uint64 // so far, counted before anybody is told
	ears  map[*ear]struct{}
}

func (c *crowd) ring() {
	c.rings.Add(1)
	for e := range c.ears {
		signal(e.rung)
	}
}

// ear is one who waits. A ring while it is busy is kept as one.
type ear struct {
	noun  state.Noun
	id    string
	crowd *crowd
	rung  chan struct{}
}

func newBell() *bell {
	return &bell{crowds: map[state.Noun]map[string]*crowd{}, drained: make(chan struct{})}
}

// listen waits for one record's changes until the ear is dropped.
func (b *bell) listen(noun state.Noun, id string) *ear {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crowds[noun] == nil {
		b.crowds[noun] = map[string]*crowd{}
	}
	c := b.crowds[noun][id]
	if c == nil {
		c = &crowd{ears: map[*ear]struct{}{}}
		b.crowds[noun][id] = c
	}
	e := &ear{noun: noun, id: id, crowd: c, rung: make(chan struct{}, 1)}
	c.ears[e] = struct{}{}
	return e
}

func (b *bell) drop(e *ear) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(e.crowd.ears, e)
	if len(e.crowd.ears) == 0 && b.crowds[e.noun][e.id] == e.crowd {
		delete(b.crowds[e.noun], e.id)
	}
}

// ring wakes whoever waits for the record.
func (b *bell) ring(c state.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if crowd := b.crowds[c.Noun][c.ID]; crowd != nil {
		crowd.ring()
	}
}

// ringAll wakes everybody: something changed and nobody knows what.
func (b *bell) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ids := range b.crowds {
		for _, crowd := range ids {
			crowd.ring()
		}
	}
}

// drain ends every wait: streams close and their clients go elsewhere.
func (b *bell) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.drained:
	default:
		close(b.drained)
	}
}

// CodeDraining marks the Unavailable of a wait that ended because its node stops.
const CodeDraining = "DRAINING"

// wait returns when the ear was rung, ctx ends, or the node drains.
func (b *bell) wait(ctx context.Context, e *ear) error {
	select {
	case <-e.rung:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.drained:
		return fault.New(fault.Unavailable, "the node is stopping; reconnect to another").WithCode(CodeDraining).WithRetry(retryMailbox)
	}
}

// until waits until ready says so of this node's replica.
func (b *bell) until(ctx context.Context, noun state.Noun, id string, ready func() (bool, error)) error {
	e := b.listen(noun, id)
	defer b.drop(e)
	for {
		ok, err := ready()
		if ok || err != nil {
			return err
		}
		if err := b.wait(ctx, e); err != nil {
			return err
		}
	}
}

// while returns a context that ends when a record of this node's replica, which
// is looked at now and after each change, is no longer as still says. One that
// cannot be read is taken for one that is not.
func (b *bell) while(ctx context.Context, noun state.Noun, id string, still func() (bool, error)) (context.Context, context.CancelFunc) {
	watched, cancel := context.WithCancel(ctx)
	e := b.listen(noun, id)
	go func() {
		defer b.drop(e)
		defer cancel()
		for {
			if ok, err := still(); err != nil || !ok {
				return
			}
			select {
			case <-e.rung:
			case <-watched.Done():
				return
			}
		}
	}()
	return watched, cancel
}
