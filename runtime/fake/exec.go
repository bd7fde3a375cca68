package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// maxExecPatience bounds the wait for pipes that children of a killed command
// still hold.
const maxExecPatience = time.Second

// Exec implements runtime.Execer. The script's Run plays the command; without
// it Local runs it, and else its arguments are printed.
func (d *Driver) Exec(ctx context.Context, epoch runtime.Epoch, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	exit := runtime.Exit{Code: -1}
	err := d.call(ctx, Call{Op: Exec, ID: id, Epoch: epoch, Argv: cmd.Argv}, func() error {
		life, err := d.beginExec(epoch, id, cmd)
		if err != nil {
			return err
		}
		begun := d.opts.Now()
		exit, err = d.play(ctx, life, id, cmd)
		exit.Duration = d.opts.Now().Sub(begun)
		return err
	})
	return exit, err
}

// beginExec checks that the computer runs in this epoch. The command itself
// holds no lock, so that Stop can end it.
func (d *Driver) beginExec(epoch runtime.Epoch, id runtime.ID, cmd runtime.Cmd) (context.Context, error) {
	if len(cmd.Argv) == 0 {
		return nil, fmt.Errorf("%w: argv is empty", runtime.ErrInvalid)
	}
	return d.inLife(epoch, id)
}

// inLife returns the present life of a computer that runs in this epoch.
func (d *Driver) inLife(epoch runtime.Epoch, id runtime.ID) (context.Context, error) {
	c, err := d.lock(id)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	if err := c.enter(epoch); err != nil {
		return nil, err
	}
	if c.phase != runtime.Running {
		return nil, fmt.Errorf("%w: it is %s", runtime.ErrNotRunning, c.phase)
	}
	d.opts.World.acted(d.opts.Node, id, epoch)
	c.written++
	return c.life, nil
}

// play runs a command until it ends, its time is over, ctx is done, or the
// computer stops.
func (d *Driver) play(ctx, life context.Context, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	run := d.opts.Script.player()
	switch {
	case run != nil:
	case d.opts.Local:
		run = d.local
	default:
		run = echo
	}
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(errStopped) })()
	if cmd.Timeout > 0 {
		timer := time.AfterFunc(cmd.Timeout, func() { cancel(errTimeout) })
		defer timer.Stop()
	}
	exit, err := run(bounded, id, cmd)
	killed := runtime.Exit{Code: -1, Signal: syscall.SIGKILL.String()}
	switch cause := context.Cause(bounded); {
	case cause == errTimeout:
		killed.TimedOut = true
		return killed, nil
	case cause == errStopped:
		return killed, nil
	case cause != nil:
		return killed, cause
	}
	return exit, err
}

var (
	errTimeout = errors.New("the command's time is over")
	errStopped = errors.New("the computer stopped")
)

func echo(_ context.Context, _ runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	if cmd.Stdout != nil {
		if _, err := io.WriteString(cmd.Stdout, strings.Join(cmd.Argv, " ")+"\n"); err != nil {
			return runtime.Exit{Code: -1}, fmt.Errorf("write output: %w", err)
		}
	}
	return runtime.Exit{}, nil
}

// local really runs a command, in a process group of its own.
func (d *Driver) local(ctx context.Context, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	if d.opts.Dir == "" {
		return runtime.Exit{Code: -1}, fmt.Errorf("%w: commands run only in a driver with a directory", runtime.ErrUnsupported)
	}
	run := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	run.Dir = d.inside(id, cmd.Dir)
	run.Env = append(os.Environ(), append([]string{"HOME=" + d.workspace(id), "USER=node", "LOGNAME=node"}, cmd.Env...)...)
	run.Stdin, run.Stdout, run.Stderr = cmd.Stdin, cmd.Stdout, cmd.Stderr
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.WaitDelay = maxExecPatience
	if err := run.Start(); err != nil {
		return runtime.Exit{Code: -1}, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	err := run.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) {
		return runtime.Exit{Code: -1}, fmt.Errorf("run %s: %w", cmd.Argv[0], err)
	}
	exit := runtime.Exit{Code: run.ProcessState.ExitCode()}
	if status := run.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		exit.Signal = status.Signal().String()
	}
	return exit, nil
}

// workspaceInside is what a computer calls its workspace.
const workspaceInside = "/workspace"

// inside finds the directory that a computer would know by this path.
func (d *Driver) inside(id runtime.ID, dir string) string {
	if !filepath.IsAbs(dir) {
		return filepath.Join(d.workspace(id), dir)
	}
	if rest, ok := strings.CutPrefix(dir, workspaceInside); ok && (rest == "" || rest[0] == '/') {
		return filepath.Join(d.workspace(id), rest)
	}
	return dir
}
