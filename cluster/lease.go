package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Warden freezes this node's computers when its lease is not renewed, even if
// this process is dead or stopped.
type Warden interface {
	// Deadline sets when to freeze, by CLOCK_BOOTTIME. A later one replaces it.
	Deadline(boottime time.Duration) error
	// NoDeadline lets the computers run on: there is no other node.
	NoDeadline() error
}

// noWarden is for a node that runs no computers.
type noWarden struct{}

func (noWarden) Deadline(time.Duration) error { return nil }
func (noWarden) NoDeadline() error            { return nil }

// lease is this node's right to act, counted by its own clock from before it
// sent the renewal that was acknowledged.
//
//	sent ───────────────── 8 s ──── 9 s ───── 10 s ──── 11 s
//	      acts              stops    frozen    over      the leader may give
//	                        acting                       its computers away
//
// The leader counts from when it applied the renewal, which is later than sent.
type lease struct {
	clock  Clock
	timing Timing
	warden Warden
	log    *slog.Logger
	alone  func() bool // this is the only member: nobody could take over

	mu         sync.Mutex
	actUntil   time.Duration // by Boottime
	reconciled bool          // after an expiry: what is still its own is known
	term       context.Context
	end        context.CancelCauseFunc // of term; ends when acting must stop
	timer      *time.Timer
}

func newLease(clock Clock, timing Timing, warden Warden, log *slog.Logger, alone func() bool) *lease {
	l := &lease{clock: clock, timing: timing, warden: warden, log: log, alone: alone, reconciled: true}
	l.term, l.end = context.WithCancelCause(context.Background())
	l.end(ErrLeaseLost)
	l.timer = time.AfterFunc(time.Hour, l.check)
	return l
}

// renewed extends the lease from when the acknowledged renewal was sent. The
// warden is told first: the computers must never outlive their fence.
func (l *lease) renewed(sent time.Duration) error {
	var err error
	if l.alone() {
		err = l.warden.NoDeadline()
	} else {
		err = l.warden.Deadline(sent + l.timing.Freeze)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.actUntil = max(l.actUntil, sent+l.timing.Act)
	left := l.actUntil - l.clock.Boottime()
	if left <= 0 {
		return nil
	}
	if l.term.Err() != nil {
		l.term, l.end = context.WithCancelCause(context.Background())
	}
	l.timer.Reset(left)
	return nil
}

// check stops acting when the time has come.
func (l *lease) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.actUntil - l.clock.Boottime()
	if l.alone() {
		left = max(left, l.timing.Renew)
	}
	if left > 0 {
		l.timer.Reset(left)
		return
	}
	if l.term.Err() == nil {
		l.log.Warn("this node's lease was not renewed in time: it stops acting", "late", -left)
	}
	l.end(ErrLeaseLost)
}

// expired marks that another may have taken over: the node acts again only
// after reconcile.
func (l *lease) expired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.actUntil, l.reconciled = 0, false
	l.end(ErrLeaseLost)
}

func (l *lease) reconcile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reconciled = true
}

func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reconciled && (l.clock.Boottime() < l.actUntil || l.actUntil != 0 && l.alone())
}

// margin is the time until acting must stop; negative when it has.
func (l *lease) margin() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.actUntil - l.clock.Boottime()
}

// context returns a context that ends with parent or when acting must stop.
func (l *lease) context(parent context.Context) (context.Context, context.CancelFunc) {
	l.mu.Lock()
	term := l.term
	if l.clock.Boottime() >= l.actUntil && !(l.actUntil != 0 && l.alone()) {
		l.end(ErrLeaseLost)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(term, func() { cancel(context.Cause(term)) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}

func (l *lease) close() {
	l.timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(ErrClosed)
}

// LeaseHeld reports whether this node may act for what it owns, at this moment.
func (c *Cluster) LeaseHeld() bool { return c.lease.held() }

// LeaseContext returns a context that ends with parent, and with the cause
// ErrLeaseLost when this node must stop acting. Call the function when done.
func (c *Cluster) LeaseContext(parent context.Context) (context.Context, context.CancelFunc) {
	return c.lease.context(parent)
}
