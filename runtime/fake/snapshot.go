package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/bothy-computer/bothy/runtime"
)

// snapshotNames are those that every driver takes.
var snapshotNames = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$`)

// snapshot is one that this machine keeps.
type snapshot struct {
	runtime.Snapshot
	written int // as its computer's
}

// Snapshot implements runtime.Snapshotter. A fake computer stands still for no
// time, and its size is that of its workspace.
func (d *Driver) Snapshot(ctx context.Context, epoch runtime.Epoch, id runtime.ID, name string) (runtime.Snapshot, error) {
	of := runtime.Source{Computer: id, Name: name}
	var made snapshot
	err := d.change(ctx, Call{Op: Snapshot, ID: id, Epoch: epoch}, func(c *computer) error {
		if !snapshotNames.MatchString(name) {
			return fmt.Errorf("%w: %.40q names no snapshot", runtime.ErrInvalid, name)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		var ok bool
		if made, ok = d.snapshots[of]; ok {
			return nil
		}
		made = snapshot{runtime.Snapshot{Source: of, Image: imageOf(c.spec), MadeAt: d.opts.Now()}, c.written}
		if d.opts.Dir != "" {
			var err error
			if made.Bytes, err = copyDir(d.workspace(id), d.snapshotDir(of)); err != nil {
				return errors.Join(fmt.Errorf("copy workspace: %w", err), os.RemoveAll(d.snapshotDir(of)))
			}
		}
		d.snapshots[of] = made
		return nil
	})
	if err != nil {
		return runtime.Snapshot{}, err
	}
	return made.Snapshot, nil
}

// SnapshotWorkspace implements runtime.Snapshotter.
func (d *Driver) SnapshotWorkspace(_ context.Context, of runtime.Source) (runtime.WorkspaceRoot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.snapshots[of]; !ok {
		return runtime.WorkspaceRoot{}, fmt.Errorf("%w: %s of %s", runtime.ErrNoSnapshot, of.Name, of.Computer)
	}
	if d.opts.Dir == "" {
		return runtime.WorkspaceRoot{}, fmt.Errorf("%w: the fake driver was made without a directory", runtime.ErrUnsupported)
	}
	return runtime.WorkspaceRoot{Path: d.snapshotDir(of), UID: os.Getuid(), GID: os.Getgid()}, nil
}

// DropSnapshot implements runtime.Snapshotter.
func (d *Driver) DropSnapshot(ctx context.Context, of runtime.Source) error {
	return d.call(ctx, Call{Op: DropSnapshot, ID: of.Computer}, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, ok := d.snapshots[of]; !ok {
			return nil
		}
		delete(d.snapshots, of)
		if d.opts.Dir == "" {
			return nil
		}
		return os.RemoveAll(d.snapshotDir(of))
	})
}

// Snapshots implements runtime.Snapshotter.
func (d *Driver) Snapshots(ctx context.Context, id runtime.ID) ([]runtime.Snapshot, error) {
	var list []runtime.Snapshot
	err := d.call(ctx, Call{Op: Snapshots, ID: id}, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		for s := range maps.Values(d.snapshots) {
			if id == "" || s.Computer == id {
				list = append(list, s.Snapshot)
			}
		}
		slices.SortFunc(list, func(a, b runtime.Snapshot) int {
			return cmp.Or(cmp.Compare(a.Computer, b.Computer), cmp.Compare(a.Name, b.Name))
		})
		return nil
	})
	return list, err
}

// begin makes the workspace of a new computer, empty or from a snapshot, and
// completes its spec.
func (d *Driver) begin(spec *runtime.Spec) error {
	if spec.Restored() != (runtime.Save{}) {
		return d.fetch(spec)
	}
	var from snapshot
	if spec.From != (runtime.Source{}) {
		d.mu.Lock()
		defer d.mu.Unlock()
		var ok bool
		if from, ok = d.snapshots[spec.From]; !ok {
			return fmt.Errorf("%w: %s of %s", runtime.ErrNoSnapshot, spec.From.Name, spec.From.Computer)
		}
		if spec.Image == "" {
			spec.Image = from.Image[len(imagePrefix):]
		}
		if imageOf(*spec) != from.Image {
			return fmt.Errorf("%w: it is %s, and %s is asked for", runtime.ErrOtherImage, from.Image, imageOf(*spec))
		}
		if storage := spec.Resources.StorageBytes; storage > 0 && storage < from.Bytes {
			return fmt.Errorf("%w: storage is %d bytes, and the snapshot holds %d", runtime.ErrInvalid, storage, from.Bytes)
		}
	}
	if d.opts.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(d.workspace(spec.ID), 0o755); err != nil {
		return fmt.Errorf("make workspace: %w", err)
	}
	if spec.From == (runtime.Source{}) {
		return nil
	}
	if _, err := copyDir(d.snapshotDir(spec.From), d.workspace(spec.ID)); err != nil {
		return errors.Join(fmt.Errorf("copy snapshot: %w", err), os.RemoveAll(d.workspace(spec.ID)))
	}
	return nil
}

// imagePrefix makes a digest of an image's name.
const imagePrefix = "fake:"

func imageOf(spec runtime.Spec) string { return imagePrefix + spec.Image }

// snapshotDir is where a snapshot's workspace lies; no computer's id begins with a dot.
func (d *Driver) snapshotDir(of runtime.Source) string {
	return filepath.Join(d.opts.Dir, ".snapshots", string(of.Computer), of.Name)
}

// copyDir copies a directory and reports the size of its files.
func copyDir(from, to string) (size int64, err error) {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return 0, err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return 0, err
	}
	err = filepath.WalkDir(to, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
