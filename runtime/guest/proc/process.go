package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is what to start.
type Spec struct {
	Path  string   // absolute path of the executable
	Argv  []string // Argv[0] included
	Env   []string
	Dir   string
	User  *syscall.Credential // nil is the guest's own
	Stdin bool                // keep stdin open for Write; else it reads as empty
	Size  *Size               // a terminal of this size; nil is pipes
	Tag   string
	// Timeout kills the whole process group after it. 0 means none.
	Timeout time.Duration
	// Origin is the caller's own description, given back by Origin().
	Origin any
}

// Size is a terminal's size in characters.
type Size struct{ Cols, Rows uint16 }

// Process is a process that was started.
type Process struct {
	table *Table
	spec  Spec
	pid   int

	// Guarded by table.mu.
	exited   bool
	timedOut bool
	endedAt  time.Time

	reaped chan syscall.WaitStatus // one value, when exited
	killer *time.Timer             // nil without Timeout

	input   *os.File      // stdin or the terminal; nil when none
	tty     *os.File      // the terminal; nil when none
	inLock  chan struct{} // holds one token; who has it may write
	inEnded atomic.Bool   // no more input is taken

	subMu  sync.Mutex
	subs   []*Subscription
	recent recent // of a terminal
	end    *End
	over   bool          // finish was called
	done   chan struct{} // closed with the end
}

// PID is the process's number inside the computer, and that of its group.
func (p *Process) PID() int { return p.pid }

// Tag is the name that the caller gave it, or "".
func (p *Process) Tag() string { return p.spec.Tag }

// Origin is Spec.Origin.
func (p *Process) Origin() any { return p.spec.Origin }

// HasPTY tells whether the process has a terminal.
func (p *Process) HasPTY() bool { return p.tty != nil }

// Done is closed when the process has ended and its output was delivered.
func (p *Process) Done() <-chan struct{} { return p.done }

// Subscribe listens from now on. After the end only the end comes.
func (p *Process) Subscribe() (*Subscription, error) {
	p.subMu.Lock()
	defer p.subMu.Unlock()
	return p.subscribe()
}

// Recall listens like Subscribe, and returns what the process's terminal showed
// last before that, at most RecallBytes; of one that has ended, nothing.
func (p *Process) Recall() (*Subscription, []byte, error) {
	p.subMu.Lock()
	defer p.subMu.Unlock()
	s, err := p.subscribe()
	return s, p.recent.bytes(), err
}

// subscribe is called with subMu held.
func (p *Process) subscribe() (*Subscription, error) {
	s := newSubscription(p.table.quit, p.table.stall)
	if p.over {
		if p.end != nil {
			s.c <- Event{End: p.end}
		}
		close(s.c)
		return s, nil
	}
	p.subs = slices.DeleteFunc(p.subs, dead)
	if len(p.subs) >= MaxListeners {
		return nil, fmt.Errorf("%w: at most %d may listen to one", ErrFull, MaxListeners)
	}
	p.subs = append(p.subs, s)
	return s, nil
}

func dead(s *Subscription) bool {
	select {
	case <-s.gone:
		return true
	case <-s.cut:
		return true
	default:
		return false
	}
}

// publish gives output to every listener. After the end it drops it.
func (p *Process) publish(ev Event) {
	p.subMu.Lock()
	if ev.Stream == Terminal {
		p.recent.add(ev.Data)
	}
	subs := slices.Clone(p.subs)
	p.subMu.Unlock()
	for _, s := range subs {
		s.offer(ev, p.oneListens)
	}
}

func (p *Process) oneListens() bool {
	p.subMu.Lock()
	defer p.subMu.Unlock()
	p.subs = slices.DeleteFunc(p.subs, dead)
	return len(p.subs) <= 1
}

// finish publishes the end, if it is known, and closes every subscription.
// No output may be published after it.
func (p *Process) finish(end End, known bool) {
	p.subMu.Lock()
	if known {
		p.end = &end
	}
	p.over = true
	subs := p.subs
	p.subs, p.recent = nil, recent{}
	p.subMu.Unlock()
	close(p.done)
	for _, s := range subs {
		if known {
			s.offer(Event{End: &end}, func() bool { return len(subs) == 1 })
		}
		close(s.c)
	}
}

// Write feeds stdin, or the terminal if there is one. It waits while the
// process does not read, until ctx is done.
func (p *Process) Write(ctx context.Context, data []byte) error {
	unlock, err := p.lockInput(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if p.input == nil || p.inEnded.Load() {
		return ErrNoStdin
	}
	stop := context.AfterFunc(ctx, func() { p.input.SetWriteDeadline(past) })
	_, err = p.input.Write(data)
	if !stop() {
		p.input.SetWriteDeadline(time.Time{})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return fmt.Errorf("the process does not read its input: %w", context.Cause(ctx))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EIO):
		return ErrNoStdin
	default:
		return fmt.Errorf("write input: %w", err)
	}
}

// past is a deadline that interrupts a write at once.
var past = time.Unix(1, 0)

func (p *Process) lockInput(ctx context.Context) (unlock func(), err error) {
	select {
	case p.inLock <- struct{}{}:
		return func() { <-p.inLock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("another writer waits for the process to read: %w", context.Cause(ctx))
	}
}

// CloseStdin lets the process see the end of its input, after what is being
// written now. Twice is success.
func (p *Process) CloseStdin(ctx context.Context) error {
	if p.HasPTY() {
		return ErrPTY
	}
	if p.input == nil {
		return nil // it was empty from the start
	}
	unlock, err := p.lockInput(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p.inEnded.Store(true)
	p.input.Close() // a pipe has nothing to flush, so nothing to report
	return nil
}

// endInput stops writers when the process is gone, also one that waits on a
// pipe which a child of the process still holds.
func (p *Process) endInput() {
	if p.input == nil {
		return
	}
	p.inEnded.Store(true)
	p.input.SetWriteDeadline(past)
	p.inLock <- struct{}{}
	if p.tty == nil {
		p.input.Close()
	}
	<-p.inLock
}

// Resize tells the terminal its new size.
func (p *Process) Resize(size Size) error {
	if p.tty == nil {
		return ErrNoPTY
	}
	return setSize(p.tty, size)
}

// Signal sends a signal to the whole process group.
func (p *Process) Signal(sig syscall.Signal) error {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.signalLocked(sig)
}

func (p *Process) signalLocked(sig syscall.Signal) error {
	if p.exited {
		return ErrExited
	}
	if err := unix.Kill(-p.pid, sig); err != nil {
		return fmt.Errorf("signal %d to the group of process %d: %w", sig, p.pid, err)
	}
	return nil
}

// expire is what Spec.Timeout does.
func (p *Process) expire() {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.signalLocked(syscall.SIGKILL) == nil {
		p.timedOut = true
	}
}
