package container

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// spareBytes may be written at least by a computer made from a snapshot,
// however full that was: it must start, and be able to delete.
const spareBytes = 16 << 20

// makeFrom is make for a computer whose disk begins as a snapshot.
func (d *Driver) makeFrom(ctx context.Context, r *record) error {
	from := r.Spec.From
	n, err := d.note(from)
	if err != nil {
		return fmt.Errorf("create %s: %w", r.Spec.ID, err)
	}
	if r.Image == "" {
		digest, letGo, err := d.useImage(ctx, n.Image)
		if err != nil {
			return fmt.Errorf("create %s: %w", r.Spec.ID, err)
		}
		defer letGo()
		r.Image, r.Spec.Image = digest, n.Image
	}
	if r.Image != n.Image {
		return fmt.Errorf("create %s: %w: snapshot %s of %s stands on %s, and %s is %s now",
			r.Spec.ID, runtime.ErrOtherImage, from.Name, from.Computer, n.Image, r.Spec.Image, r.Image)
	}
	r.Prepared = n.Prepared
	if n.Hostname != r.Spec.Hostname && n.Prepared {
		r.Named = n.Hostname
	}
	return d.make(ctx, r, func(ctx context.Context, r *record) error {
		if err := d.restoreDisk(ctx, r, n); err != nil {
			return fmt.Errorf("create %s: %w", r.Spec.ID, err)
		}
		return nil
	})
}

// restoreDisk makes a volume out of a snapshot and gives it to the computer's
// own ids. Its quota comes last, so that changing owners never meets it.
func (d *Driver) restoreDisk(ctx context.Context, r *record, n note) error {
	id := string(r.Spec.ID)
	d.reach("ranged")
	volume, err := d.Pool.Restore(ctx, string(r.Spec.From.Computer), r.Spec.From.Name, id)
	if err != nil {
		return err
	}
	d.reach("restored")
	for _, part := range []string{"root", "usr"} {
		if err := freshWork(filepath.Join(volume, part, "work"), r.Range); err != nil {
			return err
		}
	}
	bytes, err := idmap.Shift(ctx, volume, n.Range, r.Range)
	if err != nil {
		return err
	}
	d.reach("shifted")
	if d.Pool.Quota() {
		if err := d.Pool.Settle(ctx, id); err != nil {
			return err
		}
		// Files in pieces of a block seem larger than they are.
		r.Inherited = min(bytes, n.Bytes)
		if r.Overhead, err = d.Pool.Usage(id); err != nil {
			return err
		}
	}
	if want := r.Spec.Resources.StorageBytes; want < r.Inherited {
		return fmt.Errorf("%w: storage is %d bytes, and the snapshot holds %d", runtime.ErrInvalid, want, r.Inherited)
	}
	return d.Pool.SetQuota(ctx, id, d.quota(*r, r.Spec.Resources.StorageBytes))
}

// freshWork empties an overlay's work directory: what is in it belongs to a
// mount of another computer.
func freshWork(work string, ids idmap.Range) error {
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	return os.Chown(work, ids.Host, ids.Host)
}

// held is how many bytes a computer's volume holds. What came with a snapshot
// counts even when it was deleted since: the pool does not tell.
func (d *Driver) held(id runtime.ID, r record) (int64, error) {
	bytes, err := d.Pool.Usage(string(id))
	return max(0, bytes-r.Overhead) + r.Inherited, err
}

// quota is what the pool must allow a computer for this much storage.
func (d *Driver) quota(r record, storage int64) int64 {
	if r.Inherited == 0 && r.Overhead == 0 {
		return storage
	}
	return max(storage-r.Inherited, spareBytes) + r.Overhead
}
