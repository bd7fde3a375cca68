package container

import (
	"context"
	"fmt"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// locks serialise what is done to one computer. A lock exists while somebody
// holds it or waits for it.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token chan struct{} // full while held
	users int
}

// take waits for the lock of a name and returns what lets go of it.
func (l *locks) take(ctx context.Context, name string) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("wait for %s: %w", name, err)
	}
	l.mu.Lock()
	k := l.held[name]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		l.held[name] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case k.token <- struct{}{}:
		return func() { <-k.token; l.leave(name, k) }, nil
	case <-ctx.Done():
		l.leave(name, k)
		return nil, fmt.Errorf("wait for %s: %w", name, ctx.Err())
	}
}

func (l *locks) leave(name string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, name)
	}
}

// admit takes the computer's lock, reads its record, and checks the caller's
// epoch against it. A newer epoch is kept before anything is done in it.
func (d *Driver) admit(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (record, func(), error) {
	if err := checkID(id); err != nil {
		return record{}, nil, err
	}
	release, err := d.locks.take(ctx, string(id))
	if err != nil {
		return record{}, nil, err
	}
	r, err := d.load(id)
	if err == nil {
		err = d.raise(id, &r, epoch)
	}
	if err != nil {
		release()
		return record{}, nil, err
	}
	return r, release, nil
}

// raise moves a record to a newer epoch, and refuses an older one.
func (d *Driver) raise(id runtime.ID, r *record, epoch runtime.Epoch) error {
	if epoch < r.Epoch {
		return fmt.Errorf("%s: epoch %d after %d: %w", id, epoch, r.Epoch, runtime.ErrStaleEpoch)
	}
	if epoch == r.Epoch {
		return nil
	}
	r.Epoch = epoch
	return d.save(id, *r)
}
