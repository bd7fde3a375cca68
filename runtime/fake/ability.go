package fake

import (
	"context"
	"fmt"

	"github.com/bothy-computer/bothy/runtime"
)

// Thaw implements runtime.Thawer. A computer that does not stand still is
// success, unless it does not run at all.
func (d *Driver) Thaw(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.change(ctx, Call{Op: Thaw, ID: id, Epoch: epoch}, d.wake)
}

// Pause implements runtime.Pauser.
func (d *Driver) Pause(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.change(ctx, Call{Op: Pause, ID: id, Epoch: epoch}, func(c *computer) error {
		if err := c.mustRun(); err != nil {
			return err
		}
		d.turn(c, runtime.Frozen)
		return nil
	})
}

// Resume implements runtime.Pauser.
func (d *Driver) Resume(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	return d.change(ctx, Call{Op: Resume, ID: id, Epoch: epoch}, d.wake)
}

func (d *Driver) wake(c *computer) error {
	if err := c.mustRun(); err != nil {
		return err
	}
	d.turn(c, runtime.Running)
	return nil
}

func (c *computer) mustRun() error {
	if c.phase != runtime.Running && c.phase != runtime.Frozen {
		return fmt.Errorf("%w: it is %s", runtime.ErrNotRunning, c.phase)
	}
	return nil
}

// SetEgress implements runtime.Networker.
func (d *Driver) SetEgress(ctx context.Context, epoch runtime.Epoch, id runtime.ID, e runtime.Egress) error {
	return d.change(ctx, Call{Op: SetEgress, ID: id, Epoch: epoch}, func(c *computer) (err error) {
		if e, err = runtime.ParseEgress(e.Allowed, e.Allow, e.Deny); err != nil {
			return err
		}
		c.spec.Egress = e
		return nil
	})
}

// Rebase implements runtime.Rebaser.
func (d *Driver) Rebase(ctx context.Context, epoch runtime.Epoch, id runtime.ID, image string) error {
	return d.change(ctx, Call{Op: Rebase, ID: id, Epoch: epoch}, func(c *computer) error {
		if c.phase == runtime.Running || c.phase == runtime.Frozen {
			return fmt.Errorf("%w: it is %s", runtime.ErrInvalid, c.phase)
		}
		if !d.has(image) {
			return fmt.Errorf("%w: %s", runtime.ErrNoImage, image)
		}
		c.spec.Image = image
		c.written++
		return nil
	})
}

// Resize implements runtime.Resizer. Zero sizes stay as they are.
func (d *Driver) Resize(ctx context.Context, epoch runtime.Epoch, id runtime.ID, r runtime.Resources) error {
	return d.change(ctx, Call{Op: Resize, ID: id, Epoch: epoch}, func(c *computer) error {
		if r.MemoryBytes > 0 && c.mustRun() == nil {
			if err := d.reserve(id, r.MemoryBytes); err != nil {
				return err
			}
		}
		have := &c.spec.Resources
		for _, size := range []struct {
			to   *int64
			want int64
		}{
			{&have.MemoryBytes, r.MemoryBytes}, {&have.MilliCPU, r.MilliCPU},
			{&have.StorageBytes, r.StorageBytes}, {&have.PIDs, r.PIDs},
		} {
			if size.want > 0 {
				*size.to = size.want
			}
		}
		return nil
	})
}
