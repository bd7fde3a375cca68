package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// Saves keeps disks off the machine; snapshot.Saver is one.
type Saves interface {
	ID() string
	String() string
	Save(ctx context.Context, of runtime.Save, from snapshot.Source, base string) (runtime.Saved, error)
	restorer
	keeping
}

// restorer makes disks of saves.
type restorer interface {
	Manifest(ctx context.Context, of runtime.Save) (*snapshot.Manifest, error)
	Restore(ctx context.Context, m *snapshot.Manifest, into snapshot.Target) error
}

// keeping is how saves go.
type keeping interface {
	Sweep(ctx context.Context, id runtime.ID, keep []string) error
	Forget(ctx context.Context, id runtime.ID) error
	Computers(ctx context.Context, visit func(runtime.ID) error) error
}

// savedNote is what a disk does not say itself, as a save has it.
type savedNote struct {
	Prepared bool   `json:"prepared"`
	Hostname string `json:"hostname"`
}

// Store implements runtime.Saver.
func (d *Driver) Store() string {
	if d.Saves == nil {
		return ""
	}
	return d.Saves.ID()
}

var errNoStore = fmt.Errorf("%w: no blob store is configured (blob: in the configuration)", runtime.ErrUnsupported)

// SaveSnapshot implements runtime.Saver. It holds no computer's lock: what it
// reads nobody writes to.
func (d *Driver) SaveSnapshot(ctx context.Context, of runtime.Source, base string) (runtime.Saved, error) {
	if d.Saves == nil {
		return runtime.Saved{}, errNoStore
	}
	return d.saveTo(ctx, d.Saves, of, base)
}

// saveTo puts a snapshot where saves go, or where disks are sent.
func (d *Driver) saveTo(ctx context.Context, to interface {
	Save(ctx context.Context, of runtime.Save, from snapshot.Source, base string) (runtime.Saved, error)
}, of runtime.Source, base string) (runtime.Saved, error) {
	from, err := d.savedFrom(of)
	if err != nil {
		return runtime.Saved{}, fmt.Errorf("save %s of %s: %w", of.Name, of.Computer, err)
	}
	layout, err := d.Pool.OpenLayout(string(of.Computer), of.Name)
	if err != nil {
		return runtime.Saved{}, fmt.Errorf("save %s of %s: %w", of.Name, of.Computer, err)
	}
	defer layout.Close()
	from.Layout = layout
	return to.Save(ctx, runtime.Save(of), from, base)
}

func (d *Driver) savedFrom(of runtime.Source) (snapshot.Source, error) {
	if err := checkID(of.Computer); err != nil {
		return snapshot.Source{}, err
	}
	n, err := d.note(of)
	if err != nil {
		return snapshot.Source{}, err
	}
	path, err := d.Pool.SnapshotPath(string(of.Computer), of.Name)
	if err != nil {
		return snapshot.Source{}, err
	}
	state, err := d.Pool.SnapshotState(string(of.Computer), of.Name)
	if err != nil {
		return snapshot.Source{}, err
	}
	text, err := json.Marshal(savedNote{n.Prepared, n.Hostname})
	if err != nil {
		return snapshot.Source{}, err
	}
	from := snapshot.Source{
		Path: path, IDs: n.Range, Empty: []string{"root/work", "usr/work"}, State: state,
		Image: n.Image, MadeAt: n.MadeAt, Bytes: n.Bytes, Note: text,
	}
	if _, err := d.load(of.Computer); err == nil { // else nobody will use it
		from.Index = d.index(of.Computer)
	}
	return from, nil
}

// Unsaved implements runtime.Saver.
func (d *Driver) Unsaved(ctx context.Context, id runtime.ID, save string) (bool, error) {
	if d.Saves == nil {
		return true, errNoStore
	}
	r, err := d.load(id)
	if err != nil {
		return true, err
	}
	store, m, then := snapshot.Known(d.index(id))
	if store != d.Saves.ID() || m.Name != save || m.Image != r.Image || r.Bare || then.ID == "" {
		return true, nil
	}
	now, err := d.Pool.State(ctx, string(id))
	return now != then, err
}

// SweepSaves implements runtime.Saver.
func (d *Driver) SweepSaves(ctx context.Context, id runtime.ID, keep []string) error {
	if d.Saves == nil {
		return errNoStore
	}
	return d.Saves.Sweep(ctx, id, keep)
}

// ForgetSaves implements runtime.Saver.
func (d *Driver) ForgetSaves(ctx context.Context, id runtime.ID) error {
	if d.Saves == nil {
		return errNoStore
	}
	return d.Saves.Forget(ctx, id)
}

// SavedComputers implements runtime.Saver.
func (d *Driver) SavedComputers(ctx context.Context, visit func(runtime.ID) error) error {
	if d.Saves == nil {
		return errNoStore
	}
	return d.Saves.Computers(ctx, visit)
}

// makeSaved is make for a computer whose disk begins as a save.
func (d *Driver) makeSaved(ctx context.Context, r *record) error {
	from, err := d.restorerOf(r.Spec)
	if err != nil {
		return fmt.Errorf("create %s: %w", r.Spec.ID, err)
	}
	m, err := from.Manifest(ctx, r.Spec.Restored())
	if err != nil {
		return fmt.Errorf("create %s: %w", r.Spec.ID, err)
	}
	if r.Image == "" {
		digest, letGo, err := d.useImage(ctx, m.Image)
		if err != nil {
			return fmt.Errorf("create %s: %w", r.Spec.ID, err)
		}
		defer letGo()
		r.Image, r.Spec.Image = digest, m.Image
	}
	if r.Bared = r.Image != m.Image; !r.Bared {
		var n savedNote
		if err := json.Unmarshal(m.Note, &n); err != nil {
			return fmt.Errorf("create %s: read the note of save %s: %w", r.Spec.ID, m.Name, err)
		}
		if r.Prepared = n.Prepared; n.Prepared && n.Hostname != r.Spec.Hostname {
			r.Named = n.Hostname
		}
	}
	if want := r.Spec.Resources.StorageBytes; !r.Bared && want < m.Bytes {
		return fmt.Errorf("create %s: %w: storage is %d bytes, and the save holds %d", r.Spec.ID, runtime.ErrInvalid, want, m.Bytes)
	}
	return d.make(ctx, r, func(ctx context.Context, r *record) error {
		if err := d.fetchDisk(ctx, r, from, m); err != nil {
			return fmt.Errorf("create %s: %w", r.Spec.ID, err)
		}
		return nil
	})
}

// restorerOf is where the save lies that a disk begins as.
func (d *Driver) restorerOf(s runtime.Spec) (restorer, error) {
	switch {
	case s.Sent != (runtime.Save{}) && d.Options.Inbox != nil:
		return d.Options.Inbox, nil
	case s.Sent != (runtime.Save{}):
		return nil, errNoInbox
	case d.Saves == nil:
		return nil, errNoStore
	}
	return d.Saves, nil
}

// fetchSlack is what a disk may take more while it is fetched, beside an eighth
// of its storage: what was shared in it before is not any more.
const fetchSlack = 64 << 20

// fetchDisk makes a volume of a save. Its quota at the end leaves room to start,
// however full it is.
func (d *Driver) fetchDisk(ctx context.Context, r *record, from restorer, m *snapshot.Manifest) error {
	id, storage := string(r.Spec.ID), r.Spec.Resources.StorageBytes
	d.reach("ranged")
	dir, err := d.Pool.Create(ctx, id, storage+storage/8+fetchSlack)
	if err != nil {
		return err
	}
	into := snapshot.Target{Path: dir, IDs: r.Range, Settle: func(ctx context.Context) (volume.State, error) {
		return d.settleFetched(ctx, r, dir)
	}}
	if r.Bared {
		into.Only = []string{"workspace"}
	} else if r.Spec.ID == m.Computer {
		into.Index = d.index(r.Spec.ID)
	}
	d.reach("fetching")
	err = from.Restore(ctx, m, into)
	if err != nil && errors.Is(err, runtime.ErrFull) && d.Pool.Quota() {
		if free, _ := d.Pool.Free(); free > fetchSlack {
			err = fmt.Errorf("%w: storage is %d bytes, and the save takes more: %w", runtime.ErrInvalid, storage, err)
		}
	}
	if err != nil {
		return err
	}
	d.reach("fetched")
	used, err := d.Pool.Usage(id)
	if err != nil {
		return err
	}
	return d.Pool.SetQuota(ctx, id, max(storage, used+spareBytes))
}

// settleFetched makes what a save does not hold, and has all on the disk.
func (d *Driver) settleFetched(ctx context.Context, r *record, dir string) (volume.State, error) {
	id := string(r.Spec.ID)
	if r.Bared {
		if err := layOut(dir, r.Range); err != nil {
			return volume.State{}, err
		}
	} else {
		for _, part := range []string{"root", "usr"} {
			if err := freshWork(filepath.Join(dir, part, "work"), r.Range); err != nil {
				return volume.State{}, err
			}
		}
	}
	if err := d.Pool.Flush(ctx, id); err != nil {
		return volume.State{}, err
	}
	return d.Pool.State(ctx, id)
}

// index is where this machine keeps what it saved last of a computer. It is not
// in the computer's directory, because a save may go on while that is removed.
func (d *Driver) index(id runtime.ID) string { return filepath.Join(d.saved(), string(id)) }

// dropIndex removes the index of a computer that goes.
func (d *Driver) dropIndex(id runtime.ID) error {
	if err := os.Remove(d.index(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clearIndexes removes those of computers that are gone, and halves of some.
func (d *Driver) clearIndexes() error {
	entries, err := os.ReadDir(d.saved())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := d.load(runtime.ID(e.Name())); err == nil {
			continue
		} else if !errors.Is(err, runtime.ErrNotFound) && !strings.Contains(e.Name(), ".") {
			return err
		}
		if err := os.Remove(filepath.Join(d.saved(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}
