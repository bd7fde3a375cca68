package actors

import (
	"context"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// blockOfRequests is how many requests a node takes out of a window at
	// once; the block shrinks to 1 as the window empties.
	blockOfRequests = 20
	// maxScopes bounds the windows a node remembers; beyond it the oldest go.
	maxScopes = 100_000
)

// Decision is what became of one request.
type Decision struct {
	Allowed bool
	Limit   int
	Left    int // for everybody, as last heard
	Resets  time.Time
}

// Limits admits requests, never more than a window's limit in the whole
// cluster: a node takes blocks of a window through the log and spends them here.
type Limits struct {
	cluster Cluster
	now     func() time.Time

	mu     sync.Mutex
	scopes map[string]*block
}

// block is what this node still holds of one scope's window.
type block struct {
	mu    sync.Mutex // held while asking for more, so that one asks for all
	held  int
	left  int
	start time.Time // by the records' time
	ends  time.Time // by this node's, so that both may be wrong
}

func newLimits(c Cluster, now func() time.Time) *Limits {
	return &Limits{cluster: c, now: now, scopes: map[string]*block{}}
}

// Take admits one request of a scope, or refuses it.
func (l *Limits) Take(ctx context.Context, scope string, limit int, span time.Duration) (Decision, error) {
	b := l.block(scope)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := l.now()
	current := now.Before(b.ends)
	if !current {
		b.held = 0
	}
	if b.held == 0 && !(current && b.left == 0) {
		if err := l.fill(ctx, scope, b, limit, span); err != nil {
			return Decision{}, err
		}
	}
	d := Decision{Limit: limit, Left: b.left + max(0, b.held-1), Resets: b.ends}
	if b.held > 0 {
		b.held--
		d.Allowed = true
	}
	return d, nil
}

// fill takes the next block: smaller the emptier the window was last seen.
func (l *Limits) fill(ctx context.Context, scope string, b *block, limit int, span time.Duration) error {
	want := blockOfRequests
	if l.now().Before(b.ends) {
		want = max(1, min(blockOfRequests, b.left/blockOfRequests))
	}
	want = max(1, min(want, limit/blockOfRequests))
	asked := l.now()
	grant, err := propose[state.Grant](ctx, l.cluster, state.TakeRequests{Scope: scope, Limit: limit, Span: span, Want: want})
	if err != nil {
		return err
	}
	gone, err := applied(l.cluster, func(v *state.View) (time.Duration, error) { return v.Since(grant.Start) })
	if err != nil {
		return err
	}
	b.held, b.left, b.start, b.ends = grant.Granted, grant.Left, grant.Start, asked.Add(grant.Ends.Sub(grant.Start)-gone)
	return nil
}

func (l *Limits) block(scope string) *block {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.scopes[scope]
	if b == nil {
		if len(l.scopes) >= maxScopes {
			l.forget()
		}
		b = &block{}
		l.scopes[scope] = b
	}
	return b
}

// forget drops windows that are over, and when that is not enough some that
// are not: what they held is lost to their callers until the window ends,
// which is on the safe side. l.mu is held.
func (l *Limits) forget() {
	now := l.now()
	for scope, b := range l.scopes {
		if b.mu.TryLock() {
			over := !now.Before(b.ends)
			b.mu.Unlock()
			if over || len(l.scopes) >= maxScopes {
				delete(l.scopes, scope)
			}
		}
	}
}

// Return gives back what this node holds of windows still open. It is called
// when the node drains.
func (l *Limits) Return(ctx context.Context) error {
	l.mu.Lock()
	scopes := l.scopes
	l.scopes = map[string]*block{}
	l.mu.Unlock()
	for scope, b := range scopes {
		b.mu.Lock()
		cmd := state.ReturnRequests{Scope: scope, Start: b.start, Count: b.held}
		open := b.held > 0 && l.now().Before(b.ends)
		b.held = 0
		b.mu.Unlock()
		if !open {
			continue
		}
		if _, err := l.cluster.Apply(ctx, cmd); err != nil {
			return err
		}
	}
	return nil
}
