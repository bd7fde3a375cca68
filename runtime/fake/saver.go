package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/bothy-computer/bothy/runtime"
)

// save is a disk in the World's blob store.
type save struct {
	runtime.Saved
	files []file
}

// mark is how far a disk had been written when a save had all of it.
type mark struct {
	save    string
	written int
}

// SetStore gives the drivers of a World a blob store, by its id; "" takes it
// away, and leaves what is in it.
func (w *World) SetStore(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.store = id
}

// Saves returns what the blob store holds, by computer and name.
func (w *World) Saves() []runtime.Saved {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]runtime.Saved, 0, len(w.saves))
	for s := range maps.Values(w.saves) {
		list = append(list, s.Saved)
	}
	slices.SortFunc(list, func(a, b runtime.Saved) int {
		return cmp.Or(cmp.Compare(a.Computer, b.Computer), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func (w *World) findSave(of runtime.Save) (save, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store == "" {
		return save{}, errNoStore
	}
	found, ok := w.saves[of]
	if !ok {
		return save{}, fmt.Errorf("%w: %s of %s", runtime.ErrNoSave, of.Name, of.Computer)
	}
	return found, nil
}

func (w *World) keepSave(s save) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saves[s.Save] = s
}

var errNoStore = fmt.Errorf("%w: it has no blob store", runtime.ErrUnsupported)

// Store implements runtime.Saver.
func (d *Driver) Store() string {
	d.opts.World.mu.Lock()
	defer d.opts.World.mu.Unlock()
	return d.opts.World.store
}

// SaveSnapshot implements runtime.Saver. What it has read and sent is all files,
// or none when nothing in them is other than in base.
func (d *Driver) SaveSnapshot(ctx context.Context, of runtime.Source, base string) (runtime.Saved, error) {
	var made save
	err := d.call(ctx, Call{Op: SaveSnapshot, ID: of.Computer}, func() error {
		if d.Store() == "" {
			return errNoStore
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		from, ok := d.snapshots[of]
		if !ok {
			return fmt.Errorf("%w: %s of %s", runtime.ErrNoSnapshot, of.Name, of.Computer)
		}
		name := runtime.Save(of)
		d.saved[of.Computer] = mark{of.Name, from.written}
		found, err := d.opts.World.findSave(name)
		if err == nil {
			made = save{Saved: found.Saved}
			made.Read, made.Sent = 0, 0
			return nil
		}
		made = save{Saved: runtime.Saved{Save: name, Image: from.Image, MadeAt: from.MadeAt, Bytes: from.Bytes}}
		if d.opts.Dir != "" {
			if made.files, err = readFiles(d.snapshotDir(of)); err != nil {
				return err
			}
		}
		before, err := d.opts.World.findSave(runtime.Save{Computer: of.Computer, Name: base})
		if err != nil || !slices.EqualFunc(before.files, made.files, file.equal) {
			made.Read, made.Sent = from.Bytes, from.Bytes
		}
		d.opts.World.keepSave(made)
		return nil
	})
	return made.Saved, err
}

// Unsaved implements runtime.Saver.
func (d *Driver) Unsaved(ctx context.Context, id runtime.ID, name string) (bool, error) {
	unsaved := true
	err := d.look(ctx, Call{Op: Unsaved, ID: id}, func(c *computer) error {
		d.mu.Lock()
		known := d.saved[id]
		d.mu.Unlock()
		have, err := d.opts.World.findSave(runtime.Save{Computer: id, Name: name})
		if errors.Is(err, runtime.ErrUnsupported) {
			return err
		}
		if err != nil || known != (mark{name, c.written}) || have.Image != imageOf(c.spec) {
			return nil
		}
		var files []file
		if d.opts.Dir != "" {
			if files, err = readFiles(d.workspace(id)); err != nil {
				return err
			}
		}
		unsaved = !slices.EqualFunc(files, have.files, file.equal)
		return nil
	})
	return unsaved, err
}

// SweepSaves implements runtime.Saver.
func (d *Driver) SweepSaves(ctx context.Context, id runtime.ID, keep []string) error {
	return d.dropSaves(ctx, SweepSaves, id, func(name string) bool { return !slices.Contains(keep, name) })
}

// ForgetSaves implements runtime.Saver.
func (d *Driver) ForgetSaves(ctx context.Context, id runtime.ID) error {
	return d.dropSaves(ctx, ForgetSaves, id, func(string) bool { return true })
}

func (d *Driver) dropSaves(ctx context.Context, op Op, id runtime.ID, drop func(name string) bool) error {
	return d.call(ctx, Call{Op: op, ID: id}, func() error {
		if d.Store() == "" {
			return errNoStore
		}
		w := d.opts.World
		w.mu.Lock()
		defer w.mu.Unlock()
		maps.DeleteFunc(w.saves, func(s runtime.Save, _ save) bool { return s.Computer == id && drop(s.Name) })
		return nil
	})
}

// SavedComputers implements runtime.Saver.
func (d *Driver) SavedComputers(ctx context.Context, visit func(runtime.ID) error) error {
	return d.call(ctx, Call{Op: SavedComputers}, func() error {
		if d.Store() == "" {
			return errNoStore
		}
		var last runtime.ID
		for _, s := range d.opts.World.Saves() {
			if s.Computer == last {
				continue
			}
			last = s.Computer
			if err := visit(last); err != nil {
				return err
			}
		}
		return nil
	})
}

// fetch makes the workspace of a new computer out of a save, and completes its
// spec.
func (d *Driver) fetch(spec *runtime.Spec) error {
	from, err := d.savedAs(*spec)
	if err != nil {
		return err
	}
	if spec.Image == "" {
		spec.Image = from.Image[len(imagePrefix):]
	}
	if !d.has(spec.Image) {
		return fmt.Errorf("%w: %s", runtime.ErrNoImage, spec.Image)
	}
	if storage := spec.Resources.StorageBytes; storage > 0 && storage < from.Bytes {
		return fmt.Errorf("%w: storage is %d bytes, and the save holds %d", runtime.ErrInvalid, storage, from.Bytes)
	}
	if d.opts.Dir != "" {
		if err := writeFiles(d.workspace(spec.ID), from.files); err != nil {
			return errors.Join(fmt.Errorf("write workspace: %w", err), os.RemoveAll(d.workspace(spec.ID)))
		}
	}
	if imageOf(*spec) == from.Image && spec.ID == spec.Saved.Computer { // so not of one that was sent
		d.mu.Lock()
		defer d.mu.Unlock()
		d.saved[spec.ID] = mark{spec.Saved.Name, 0}
	}
	return nil
}

// savedAs is the save that a spec begins with.
func (d *Driver) savedAs(spec runtime.Spec) (save, error) {
	if spec.Sent != (runtime.Save{}) {
		return d.findSent(spec.Sent)
	}
	return d.opts.World.findSave(spec.Saved)
}

// savedImage is the digest that its layer stands on, "" where there is none.
func (d *Driver) savedImage(spec runtime.Spec) string {
	found, err := d.savedAs(spec)
	if err != nil {
		return ""
	}
	return found.Image
}
