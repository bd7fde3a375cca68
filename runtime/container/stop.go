package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

const (
	// killTime bounds the wait for processes that were killed.
	killTime = 10 * time.Second
	// lookEvery is how often a computer that was asked to end is looked at.
	lookEvery = 2 * time.Millisecond
)

// Stop implements runtime.Driver. A frozen computer is not asked: it ends
// without running another instruction.
func (d *Driver) Stop(ctx context.Context, epoch runtime.Epoch, id runtime.ID, grace time.Duration) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if err := d.ask(ctx, id, r, grace); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	if err := d.dismantle(context.WithoutCancel(ctx), id, r); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// ask tells the guest to end everything and waits until it has, at most grace.
func (d *Driver) ask(ctx context.Context, id runtime.ID, r record, grace time.Duration) error {
	f, err := d.look(id, r)
	if err != nil || f.pid == 0 || f.frozen || !r.Started || grace <= 0 {
		return err
	}
	pidfd, err := unix.PidfdOpen(f.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hold the first process: %w", err)
	}
	defer unix.Close(pidfd)
	// Looked at again with the process held: now the number cannot be another's.
	if again, err := d.look(id, r); err != nil || again.pid != f.pid {
		return err
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("ask the guest to end: %w", err)
	}
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	for {
		if f, err := d.look(id, r); err != nil || f.pid == 0 {
			return err
		}
		select {
		case <-deadline.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// dismantle ends whatever runs of a computer and takes its mounts, cgroup and
// link away. Its disk stays. Nothing there is success.
func (d *Driver) dismantle(ctx context.Context, id runtime.ID, r record) error {
	ctx, cancel := context.WithTimeout(ctx, killTime+runcTime)
	defer cancel()
	d.observe(id, r)
	if err := d.kill(ctx, id, r); err != nil {
		return err
	}
	d.guests.forget(id)
	err := errors.Join(
		d.cgroup(r).Remove(),
		d.net.Detach(ctx, linkOf(r)),
		d.unmountRoot(id),
		d.dropBeside(id),
	)
	for _, name := range []string{pidFile, socketFile, stillFile} {
		if e := os.Remove(d.path(id, name)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (d *Driver) kill(ctx context.Context, id runtime.ID, r record) error {
	limited, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	if err := d.cgroup(r).Kill(limited); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(d.runcRoot(), r.Container)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	res, err := d.Warden.Run(ctx, warden.Command{
		Argv: d.runcArgv(id, "delete", "--force", r.Container), Timeout: runcTime,
	})
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return fmt.Errorf("runc delete ended with %d: %s", res.Code, d.complaint(id))
	}
	return nil
}
