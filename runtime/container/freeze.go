package container

import (
	"context"
	"fmt"

	"github.com/bothy-computer/bothy/runtime"
)

// Thaw implements runtime.Thawer. A computer that its user paused stays so.
func (d *Driver) Thaw(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if r.Paused {
		return nil
	}
	if err := d.Warden.Thaw(ctx, r.Container); err != nil {
		return fmt.Errorf("thaw %s: %w", id, err)
	}
	return nil
}

// Pause implements runtime.Pauser.
func (d *Driver) Pause(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.setPaused(ctx, epoch, id, true)
}

// Resume implements runtime.Pauser.
func (d *Driver) Resume(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.setPaused(ctx, epoch, id, false)
}

func (d *Driver) setPaused(ctx context.Context, epoch runtime.Epoch, id runtime.ID, paused bool) error {
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
		return fmt.Errorf("pause or resume %s: %w", id, runtime.ErrNotRunning)
	}
	turn := d.Warden.Thaw
	if paused {
		turn = d.Warden.Freeze
	}
	if err := turn(ctx, r.Container); err != nil {
		return fmt.Errorf("pause or resume %s: %w", id, err)
	}
	if r.Paused == paused {
		return nil
	}
	r.Paused = paused
	return d.save(id, r)
}
