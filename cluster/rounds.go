package cluster

import (
	"context"
	"sync"
)

// rounds lets many callers share one question. A caller gets the answer of a
// round that began after it came, never of one already under way.
type rounds[T any] struct {
	// ask puts the question. Its context ends when nobody waits any more.
	ask func(ctx context.Context) (T, error)

	mu      sync.Mutex
	next    *round[T] // takes callers; begins when the one under way has ended
	running bool
}

// round is one question and its answer.
type round[T any] struct {
	done    chan struct{}
	answer  T
	err     error
	ctx     context.Context
	cancel  context.CancelFunc
	waiting int
}

// join waits for the answer of the next round.
func (rs *rounds[T]) join(ctx context.Context) (T, error) {
	r := rs.enter()
	select {
	case <-r.done:
		return r.answer, r.err
	case <-ctx.Done():
	}
	rs.leave(r)
	var none T
	return none, context.Cause(ctx)
}

func (rs *rounds[T]) enter() *round[T] {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.next == nil {
		rs.next = &round[T]{done: make(chan struct{})}
		rs.next.ctx, rs.next.cancel = context.WithCancel(context.Background())
	}
	r := rs.next
	r.waiting++
	if !rs.running {
		rs.running = true
		go rs.run()
	}
	return r
}

func (rs *rounds[T]) leave(r *round[T]) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.waiting--; r.waiting == 0 {
		r.cancel()
	}
}

// run holds rounds as long as somebody waits for one.
func (rs *rounds[T]) run() {
	for {
		rs.mu.Lock()
		r := rs.next
		rs.next = nil
		if r == nil {
			rs.running = false
			rs.mu.Unlock()
			return
		}
		rs.mu.Unlock()
		r.answer, r.err = rs.ask(r.ctx)
		r.cancel()
		close(r.done)
	}
}
