package container

import (
	"context"
	"fmt"

	"github.com/bothy-computer/bothy/runtime"
)

// Thaw implements runtime.Thawer. It lets a computer go on whoever froze it, so
// the caller leaves out those that should stay paused. Past the warden's
// deadline it is refused with warden.ErrFenced.
func (d *Driver) Thaw(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.turn(ctx, epoch, id, d.Warden.Thaw)
}

// Pause implements runtime.Pauser.
func (d *Driver) Pause(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.turn(ctx, epoch, id, d.Warden.Freeze)
}

// Resume implements runtime.Pauser.
func (d *Driver) Resume(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.turn(ctx, epoch, id, d.Warden.Thaw)
}

func (d *Driver) turn(ctx context.Context, epoch runtime.Epoch, id runtime.ID, how func(context.Context, string) error) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	f, err := d.look(id, r)
	if err != nil {
		return err
	}
	if f.pid == 0 || !r.Started {
		return fmt.Errorf("freeze or thaw %s: %w", id, runtime.ErrNotRunning)
	}
	if err := d.told(id, how(ctx, r.Container)); err != nil {
		return fmt.Errorf("freeze or thaw %s: %w", id, err)
	}
	return nil
}
