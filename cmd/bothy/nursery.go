package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	goruntime "runtime"
	"syscall"
)

// nursery starts processes that end when this one does. The kernel ties such a
// child to the thread that started it, so one thread starts them all and stays.
type nursery struct {
	jobs chan func()
	done chan struct{}
}

func newNursery() *nursery {
	n := &nursery{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(n.done)
		goruntime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for job := range n.jobs {
			job()
		}
	}()
	return n
}

// close lets go of the thread; what still runs is told to end by the kernel.
func (n *nursery) close() {
	close(n.jobs)
	<-n.done
}

// run runs a program, tells it to end when ctx does, and waits until it has.
// Its own process group keeps a terminal's Ctrl-C from reaching it twice.
func (n *nursery) run(ctx context.Context, argv, env []string, out io.Writer) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	n.jobs <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	stop := context.AfterFunc(ctx, func() {
		// A process that has just ended needs no signal.
		_ = cmd.Process.Signal(syscall.SIGTERM)
	})
	defer stop()
	return cmd.Wait()
}
