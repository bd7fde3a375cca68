package snapshot

import (
	"context"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// enter waits until one more may go on, and returns what lets the next in.
func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// busy has one at a time act on a computer's saves.
type busy struct {
	mu   sync.Mutex
	held map[runtime.ID]*turn
}

type turn struct {
	taken chan struct{} // full while somebody acts
	users int
}

// take waits for a computer's turn, and returns what ends it.
func (b *busy) take(ctx context.Context, id runtime.ID) (end func(), err error) {
	b.mu.Lock()
	t := b.held[id]
	if t == nil {
		t = &turn{taken: make(chan struct{}, 1)}
		b.held[id] = t
	}
	t.users++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(b.held, id)
		}
	}
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
