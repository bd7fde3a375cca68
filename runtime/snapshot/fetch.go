package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
)

// fetcher brings pieces of a computer, some of which it holds for whoever asks
// next.
type fetcher struct {
	s     *Saver
	of    runtime.ID
	slots chan struct{}

	mu   sync.Mutex
	held map[sum]*fetched
	old  []sum // of held, in the order in which they came
}

type fetched struct {
	done chan struct{} // closed once the others are set
	data []byte
	err  error
}

func newFetcher(s *Saver, of runtime.ID) *fetcher {
	return &fetcher{s: s, of: of, slots: make(chan struct{}, downloads), held: map[sum]*fetched{}}
}

// get reads a piece and checks that it is what its name says. Nobody writes to
// what it returns.
func (f *fetcher) get(ctx context.Context, p *piece) ([]byte, error) {
	for {
		got, mine := f.claim(p.sum)
		if mine {
			got.data, got.err = f.fetch(ctx, p)
			if got.err != nil {
				f.drop(p.sum)
			}
			close(got.done)
			return got.data, got.err
		}
		select {
		case <-got.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if got.err == nil {
			return got.data, nil
		}
	}
}

// claim finds a piece, or has the caller bring it.
func (f *fetcher) claim(name sum) (got *fetched, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if got = f.held[name]; got != nil {
		return got, false
	}
	got = &fetched{done: make(chan struct{})}
	f.held[name] = got
	if f.old = append(f.old, name); len(f.old) > cachedPieces {
		delete(f.held, f.old[0]) // who waits for it has it
		f.old = f.old[1:]
	}
	return got, true
}

func (f *fetcher) drop(name sum) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, name)
	f.old = slices.DeleteFunc(f.old, func(s sum) bool { return s == name })
}

func (f *fetcher) fetch(ctx context.Context, p *piece) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	key := pieceKey(f.of, p.ref)
	data, err := f.s.store.Get(ctx, key, maxStoredBytes)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("%w: its piece %s is gone", runtime.ErrNoSave, key)
	}
	if err != nil {
		return nil, err
	}
	plain, err := f.s.line.unpacks.DecodeAll(data, nil)
	if err == nil && (len(plain) != int(p.size) || sha256.Sum256(plain) != p.sum) {
		err = errors.New("it holds something else than its name says")
	}
	if err != nil {
		return nil, fmt.Errorf("the piece %s is spoilt: %w", key, err)
	}
	return plain, nil
}
