package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// userID is the uid and gid, inside, of the users node and user.
const userID = 1000

// Create implements runtime.Driver. Where a blank computer of the image is
// ready it becomes this one; it still counts as created until Start.
func (d *Driver) Create(ctx context.Context, epoch runtime.Epoch, spec runtime.Spec) error {
	if err := checkSpec(&spec); err != nil {
		return err
	}
	var digest string
	if spec.Image != "" {
		found, letGo, err := d.useImage(ctx, spec.Image)
		if err != nil {
			return fmt.Errorf("create %s: %w", spec.ID, err)
		}
		defer letGo()
		digest = found
	}
	release, err := d.locks.take(ctx, string(spec.ID))
	if err != nil {
		return err
	}
	defer release()
	r, err := d.load(spec.ID)
	if err == nil {
		return d.raise(spec.ID, &r, epoch)
	}
	if !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	if err := d.clear(ctx, spec.ID); err != nil {
		return err
	}
	r = record{Spec: spec, Epoch: epoch, Container: string(spec.ID), Image: digest}
	if spec.From != (runtime.Source{}) {
		return d.makeFrom(ctx, &r)
	}
	if spec.Restored() != (runtime.Save{}) {
		return d.makeSaved(ctx, &r)
	}
	claimed, err := d.claim(ctx, epoch, spec, digest)
	if claimed || err != nil {
		return err
	}
	return d.make(ctx, &r, d.emptyDisk)
}

// useImage resolves an image and keeps it from being swept until letGo: from
// then on, a record that names it must.
func (d *Driver) useImage(ctx context.Context, name string) (digest string, letGo func(), err error) {
	if digest, err = d.Images.Resolve(ctx, name); err == nil {
		letGo, err = d.Images.Use(ctx, digest)
	}
	return digest, letGo, err
}

// clear removes a directory that holds no record.
func (d *Driver) clear(ctx context.Context, id runtime.ID) error {
	if _, err := os.Stat(d.path(id)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return d.discard(ctx, id, record{Container: string(id)})
}

// make lays out a computer and writes its record last: a directory without one
// was never promised to anybody. fill makes the volume.
func (d *Driver) make(ctx context.Context, r *record, fill func(context.Context, *record) error) (err error) {
	id := r.Spec.ID
	defer func() {
		if err != nil {
			err = errors.Join(err, d.discard(context.WithoutCancel(ctx), id, *r))
		}
	}()
	// The directory comes first: Sweep takes what has none for an orphan.
	if err := os.MkdirAll(d.path(id, rootDir), 0o711); err != nil {
		return err
	}
	if err := os.Chmod(d.path(id), 0o711); err != nil {
		return err
	}
	if r.Range, err = idmap.Allocate(d.RangeDir, d.rangeName(r.Container)); err != nil {
		return err
	}
	if err := fill(ctx, r); err != nil {
		return err
	}
	return d.save(id, *r)
}

func (d *Driver) emptyDisk(ctx context.Context, r *record) error {
	volume, err := d.Pool.Create(ctx, string(r.Spec.ID), r.Spec.Resources.StorageBytes)
	if err != nil {
		return err
	}
	return layOut(volume, r.Range)
}

// layOut makes the parts of a volume: a layer for each overlay, and the
// workspace.
func layOut(volume string, ids idmap.Range) error {
	for _, part := range []struct {
		name  string
		owner int
	}{
		{"root/upper", ids.Host}, {"root/work", ids.Host},
		{"usr/upper", ids.Host}, {"usr/work", ids.Host},
		{"workspace", ids.Host + userID},
	} {
		path := filepath.Join(volume, part.name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, part.owner, part.owner); err != nil {
			return err
		}
	}
	return nil
}

// Workspace implements runtime.Workspacer. In the epoch that is known it waits
// for nothing, since a stop may hold the computer's lock for long.
func (d *Driver) Workspace(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (runtime.WorkspaceRoot, error) {
	r, err := d.load(id)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && epoch != r.Epoch {
		var release func()
		if r, release, err = d.admit(ctx, epoch, id); err == nil {
			release()
		}
	}
	if err != nil {
		return runtime.WorkspaceRoot{}, fmt.Errorf("workspace of %s: %w", id, err)
	}
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return runtime.WorkspaceRoot{}, fmt.Errorf("workspace of %s: its volume is gone: %w", id, runtime.ErrNotFound)
	}
	owner := r.Range.Host + userID
	return runtime.WorkspaceRoot{Path: filepath.Join(volume, "workspace"), UID: owner, GID: owner}, nil
}
