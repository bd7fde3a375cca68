package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// Remove implements runtime.Driver.
func (d *Driver) Remove(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	if err := checkID(id); err != nil {
		return err
	}
	release, err := d.locks.take(ctx, string(id))
	if err != nil {
		return err
	}
	defer release()
	r, err := d.load(id)
	if errors.Is(err, runtime.ErrNotFound) {
		return d.clear(ctx, id)
	}
	if err != nil {
		return err
	}
	if epoch < r.Epoch {
		return fmt.Errorf("remove %s: epoch %d after %d: %w", id, epoch, r.Epoch, runtime.ErrStaleEpoch)
	}
	return d.discard(ctx, id, r)
}

// discard deletes all that a computer has. The record goes last but one, so
// that a removal cut short is found and finished.
func (d *Driver) discard(ctx context.Context, id runtime.ID, r record) error {
	if err := d.dismantle(ctx, id, r); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	if err := d.Pool.Remove(ctx, string(id)); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	if err := idmap.Release(d.RangeDir, d.rangeName(r.Container)); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	d.book.Forget(string(id))
	if err := errors.Join(d.dropIndex(id), d.removeDir(id)); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	return nil
}

// removeDir deletes a computer's directory entry by entry. It never descends
// into a mount point: one that is still busy makes it fail, where a recursive
// removal would reach into an image.
func (d *Driver) removeDir(id runtime.ID) error {
	lower, err := os.ReadDir(d.path(id, "lower"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range lower {
		if err := os.Remove(d.path(id, "lower", e.Name())); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(d.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == recordFile {
			continue
		}
		if err := os.Remove(d.path(id, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(d.path(id, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Remove(d.path(id))
}
