package cluster

import (
	"container/heap"
	"context"
	"sync"
)

// turnstile lets those through who wait until this replica has applied an index.
type turnstile struct {
	mu      sync.Mutex
	at      uint64
	waiting gates
}

// gate is one waiter. Its channel is closed when it may pass.
type gate struct {
	index uint64
	open  chan struct{}
	slot  int // in the heap; -1 outside
}

// position is the applied index.
func (t *turnstile) position() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// advance lets everybody through who waits for an index up to this one.
func (t *turnstile) advance(index uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = max(t.at, index)
	for len(t.waiting) > 0 && t.waiting[0].index <= t.at {
		close(heap.Pop(&t.waiting).(*gate).open)
	}
}

// wait returns when index is applied, or with the context's error.
func (t *turnstile) wait(ctx context.Context, index uint64) error {
	t.mu.Lock()
	if index <= t.at {
		t.mu.Unlock()
		return nil
	}
	g := &gate{index: index, open: make(chan struct{})}
	heap.Push(&t.waiting, g)
	t.mu.Unlock()
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.slot >= 0 {
		heap.Remove(&t.waiting, g.slot)
	}
	return context.Cause(ctx)
}

// gates is a heap of waiters, the lowest index first.
type gates []*gate

func (g gates) Len() int           { return len(g) }
func (g gates) Less(i, j int) bool { return g[i].index < g[j].index }

func (g gates) Swap(i, j int) {
	g[i], g[j] = g[j], g[i]
	g[i].slot, g[j].slot = i, j
}

// Push is heap.Interface's.
func (g *gates) Push(x any) {
	w := x.(*gate)
	w.slot = len(*g)
	*g = append(*g, w)
}

// Pop is heap.Interface's.
func (g *gates) Pop() any {
	last := len(*g) - 1
	w := (*g)[last]
	w.slot = -1
	(*g)[last] = nil
	*g = (*g)[:last]
	return w
}
