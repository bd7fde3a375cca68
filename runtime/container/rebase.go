package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bothy-computer/bothy/runtime"
)

// Rebase implements runtime.Rebaser. The record comes first: a node that dies
// in between finds in it that the layer is of no use.
func (d *Driver) Rebase(ctx context.Context, epoch runtime.Epoch, id runtime.ID, image string) error {
	digest, letGo, err := d.useImage(ctx, image)
	if err != nil {
		return fmt.Errorf("rebase %s: %w", id, err)
	}
	defer letGo()
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	if err := d.rest(ctx, id, &r); err != nil {
		return fmt.Errorf("rebase %s: %w", id, err)
	}
	r.Spec.Image = image
	if r.Image != digest {
		r.Image, r.Prepared, r.Named, r.Bare = digest, false, "", true
	}
	if err := d.save(id, r); err != nil {
		return fmt.Errorf("rebase %s: %w", id, err)
	}
	if err := d.bare(ctx, id, &r); err != nil {
		return fmt.Errorf("rebase %s: %w", id, err)
	}
	return nil
}

// bare empties the layer of a computer that stands on another image since. The
// record, which a power cut spares, says so only once that is on the disk.
func (d *Driver) bare(ctx context.Context, id runtime.ID, r *record) error {
	if !r.Bare {
		return nil
	}
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return fmt.Errorf("its volume is gone: %w", runtime.ErrNotFound)
	}
	for _, part := range []string{"root", "usr"} {
		if err := os.RemoveAll(filepath.Join(volume, part)); err != nil {
			return err
		}
	}
	if err := layOut(volume, r.Range); err != nil {
		return err
	}
	if err := d.Pool.Settle(ctx, string(id)); err != nil {
		return err
	}
	r.Bare = false
	return d.save(id, *r)
}
