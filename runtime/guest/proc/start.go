package proc

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// Start starts a process and listens to it from its first byte on. The error
// is ErrFull, ErrClosed, or wraps ErrStart.
func (t *Table) Start(spec Spec) (*Process, *Subscription, error) {
	wire, err := openWire(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	defer wire.closeChildEnds()
	p := &Process{
		table: t, spec: spec, input: wire.input, tty: wire.tty,
		inLock: make(chan struct{}, 1),
		reaped: make(chan syscall.WaitStatus, 1), done: make(chan struct{}),
	}
	first := newSubscription(t.quit, t.stall)
	p.subs = []*Subscription{first}
	if err := t.fork(p, wire); err != nil {
		wire.closeOwnEnds()
		return nil, nil, err
	}
	return p, first, nil
}

// fork makes the process and hands its goroutines to the table.
func (t *Table) fork(p *Process, wire *wire) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.held >= MaxLive {
		return fmt.Errorf("%w: %d are running", ErrFull, t.held)
	}
	pid, err := syscall.ForkExec(p.spec.Path, p.spec.Argv, &syscall.ProcAttr{
		Dir: p.spec.Dir, Env: p.spec.Env, Files: wire.childFDs(),
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: wire.tty != nil, Credential: p.spec.User},
	})
	runtime.KeepAlive(wire)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrStart, p.spec.Path, err)
	}
	t.sacrifice(pid)
	p.pid = pid
	t.live[pid] = p
	t.held++
	for _, out := range wire.outputs {
		t.pipes[out.file] = struct{}{}
	}
	if p.spec.Timeout > 0 {
		p.killer = time.AfterFunc(p.spec.Timeout, p.expire)
	}
	t.wg.Go(func() { p.follow(wire) })
	return nil
}

// sacrifice puts a process, and what it starts, before the guest when memory
// runs out. It is no failure when one that has ended by now, or a set-user-id
// program, keeps the guest's own place.
func (t *Table) sacrifice(pid int) {
	if t.reach == EveryOrphan {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(oomScore), 0)
	}
}
