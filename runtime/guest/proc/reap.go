package proc

import (
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (t *Table) reapLoop() {
	for {
		select {
		case <-t.quit:
			return
		case <-t.chld:
			t.reap()
		}
	}
}

// reap takes the status of every child that has ended. Forking holds the
// same lock, so the table always knows a child before it can be waited for,
// and a failed fork is waited for by the one who forked.
func (t *Table) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reach == EveryOrphan {
		for {
			pid, status, err := waitFor(-1)
			if err != nil || pid <= 0 {
				return
			}
			t.settle(t.live[pid], status)
		}
	}
	for pid, p := range t.live {
		if p.exited {
			continue
		}
		if got, status, err := waitFor(pid); err == nil && got == pid {
			t.settle(p, status)
		}
	}
}

func waitFor(pid int) (int, syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, unix.WNOHANG, nil)
		if err != syscall.EINTR {
			return got, status, err
		}
	}
}

// settle notes that a child has ended; p is nil for an orphan.
func (t *Table) settle(p *Process, status syscall.WaitStatus) {
	if p != nil && !p.exited {
		p.exited = true
		p.reaped <- status
	}
	select {
	case t.reaped <- struct{}{}:
	default:
	}
}

// Close asks everything to end, kills what is left after grace, and returns
// when the table's goroutines have ended. With EveryOrphan "everything" is
// every process in the computer.
func (t *Table) Close(grace time.Duration) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	t.mu.Unlock()
	t.signalAll(syscall.SIGTERM)
	t.signalAll(syscall.SIGCONT) // a stopped process cannot end
	if !t.awaitChildless(grace) {
		t.signalAll(syscall.SIGKILL)
		t.awaitChildless(killPatience)
	}
	signal.Stop(t.chld)
	close(t.quit)
	t.hangUp()
	t.wg.Wait()
}

// Closed reports whether Close has begun.
func (t *Table) Closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// killPatience bounds the wait for processes that SIGKILL has not ended, such
// as those in an uninterruptible system call.
const killPatience = 2 * time.Second

// signalAll sends sig to every group that is tracked, or to all but pid 1.
func (t *Table) signalAll(sig syscall.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reach == EveryOrphan {
		if err := unix.Kill(-1, sig); err != nil && err != unix.ESRCH {
			t.log.Warn("signal every process", "signal", sig.String(), "err", err)
		}
		return
	}
	for _, p := range t.live {
		if err := p.signalLocked(sig); err != nil && err != ErrExited {
			t.log.Warn("signal a process group", "pid", p.pid, "err", err)
		}
	}
}

// awaitChildless waits until no child is left.
func (t *Table) awaitChildless(limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		t.reap()
		if t.childless() {
			return true
		}
		select {
		case <-t.reaped:
		case <-deadline.C:
			return t.childless()
		}
	}
}

func (t *Table) childless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reach == EveryOrphan {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		return err == unix.ECHILD
	}
	for _, p := range t.live {
		if !p.exited {
			return false
		}
	}
	return true
}

// hangUp closes the pipes that processes outside any group still hold, so
// that nobody reads them for ever.
func (t *Table) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pipe := range t.pipes {
		pipe.Close()
	}
}
