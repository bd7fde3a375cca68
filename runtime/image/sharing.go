package image

import (
	"context"
	"fmt"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// sharing has those who want the same thing at once share the work. The work
// goes on as long as one of them waits.
type sharing struct {
	life  context.Context
	end   context.CancelFunc
	aside sync.WaitGroup

	mu     sync.Mutex
	all    map[string]*shared
	closed bool
}

// shared is one piece of work.
type shared struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed at the end; err is then fixed
	err     error
	waiting int // guarded by the sharing's lock
}

func newSharing() *sharing {
	s := &sharing{all: map[string]*shared{}}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// close ends all work and waits for its end.
func (s *sharing) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.aside.Wait()
}

// do does the work of a key, or waits for whoever does.
func (s *sharing) do(ctx context.Context, key string, work func(context.Context) error) error {
	f, err := s.join(key, work)
	if err != nil {
		return err
	}
	defer s.leave(key, f)
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sharing) join(key string, work func(context.Context) error) (*shared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("%w: the node is stopping", runtime.ErrUnready)
	}
	if f := s.all[key]; f != nil {
		f.waiting++
		return f, nil
	}
	f := &shared{done: make(chan struct{}), waiting: 1}
	ctx, cancel := context.WithCancel(s.life)
	f.cancel, s.all[key] = cancel, f
	s.aside.Go(func() {
		defer cancel()
		f.err = work(ctx)
		s.forget(key, f)
		close(f.done)
	})
	return f, nil
}

func (s *sharing) leave(key string, f *shared) {
	s.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && s.all[key] == f {
		delete(s.all, key) // whoever comes now begins anew
	}
	s.mu.Unlock()
	if last {
		f.cancel()
	}
}

func (s *sharing) forget(key string, f *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[key] == f {
		delete(s.all, key)
	}
}
