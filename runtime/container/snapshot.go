package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// note is what a snapshot's disk does not say itself. It lies beside the disk,
// where no computer reaches it.
type note struct {
	Image    string        `json:"image"`    // digest
	Range    idmap.Range   `json:"range"`    // whose ids own the files
	Prepared bool          `json:"prepared"` // the layer has our users
	Hostname string        `json:"hostname"` // as the layer has it
	Bytes    int64         `json:"bytes"`    // logical
	Still    time.Duration `json:"still"`
	MadeAt   time.Time     `json:"made_at"`
}

func (n note) snapshot(of runtime.Source) runtime.Snapshot {
	return runtime.Snapshot{Source: of, Image: n.Image, MadeAt: n.MadeAt, Bytes: n.Bytes, Still: n.Still}
}

func (d *Driver) note(of runtime.Source) (note, error) {
	data, err := d.Pool.Note(string(of.Computer), of.Name)
	if err != nil {
		return note{}, err
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return note{}, fmt.Errorf("read the note of snapshot %s of %s: %w", of.Name, of.Computer, err)
	}
	return n, nil
}

// Snapshot implements runtime.Snapshotter. What is dirty is written out first,
// while the computer runs on, so that little is left for when it stands still.
// Past the warden's deadline it is taken all the same, and the computer stays
// still.
func (d *Driver) Snapshot(ctx context.Context, epoch runtime.Epoch, id runtime.ID, name string) (runtime.Snapshot, error) {
	if err := d.Pool.CanSnapshot(); err != nil {
		return runtime.Snapshot{}, fmt.Errorf("snapshot %s: %w", id, err)
	}
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return runtime.Snapshot{}, err
	}
	defer release()
	of := runtime.Source{Computer: id, Name: name}
	n, err := d.note(of)
	if errors.Is(err, runtime.ErrNoSnapshot) {
		n, err = d.takeSnapshot(ctx, id, r, name)
	}
	if err != nil {
		return runtime.Snapshot{}, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return n.snapshot(of), nil
}

// takeSnapshot makes a snapshot, or leaves nothing.
func (d *Driver) takeSnapshot(ctx context.Context, id runtime.ID, r record, name string) (n note, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Pool.RemoveSnapshot(context.WithoutCancel(ctx), string(id), name))
		}
	}()
	if err := d.bare(ctx, id, &r); err != nil { // a note says nothing of half a rebase
		return n, err
	}
	n = note{Image: r.Image, Range: r.Range, Prepared: r.Prepared, Hostname: r.Spec.Hostname}
	if r.Named != "" {
		n.Hostname = r.Named
	}
	if err := d.Pool.FlushSnapshot(ctx, string(id), name); err != nil {
		return n, err
	}
	n.Still, err = d.standStill(id, r, func() error {
		n.MadeAt = d.Now().UTC()
		defer d.reach("taken")
		return d.Pool.TakeSnapshot(ctx, string(id), name)
	})
	if err != nil {
		return n, err
	}
	d.reach("thawed")
	if !r.Started {
		n.Still = 0 // a warm one that nobody has started
	}
	if n.Bytes, err = d.held(id, r); err != nil {
		return n, err
	}
	text, err := json.Marshal(n)
	if err != nil {
		return n, err
	}
	defer d.reach("kept")
	return n, d.Pool.KeepSnapshot(ctx, string(id), name, text)
}

// SnapshotWorkspace implements runtime.Snapshotter.
func (d *Driver) SnapshotWorkspace(ctx context.Context, of runtime.Source) (runtime.WorkspaceRoot, error) {
	n, err := d.note(of)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return runtime.WorkspaceRoot{}, err
	}
	disk, err := d.Pool.SnapshotPath(string(of.Computer), of.Name)
	if err != nil {
		return runtime.WorkspaceRoot{}, err
	}
	owner := n.Range.Host + userID
	return runtime.WorkspaceRoot{Path: filepath.Join(disk, "workspace"), UID: owner, GID: owner}, nil
}

// DropSnapshot implements runtime.Snapshotter.
func (d *Driver) DropSnapshot(ctx context.Context, of runtime.Source) error {
	if err := checkID(of.Computer); err != nil {
		return err
	}
	release, err := d.locks.take(ctx, string(of.Computer))
	if err != nil {
		return err
	}
	defer release()
	return d.Pool.RemoveSnapshot(ctx, string(of.Computer), of.Name)
}

// Snapshots implements runtime.Snapshotter.
func (d *Driver) Snapshots(ctx context.Context, id runtime.ID) ([]runtime.Snapshot, error) {
	computers := []string{string(id)}
	var err error
	if id != "" {
		err = checkID(id)
	} else {
		computers, err = d.Pool.Snapshotted()
	}
	if err != nil {
		return nil, err
	}
	var all []runtime.Snapshot
	for _, computer := range computers {
		names, err := d.Pool.Snapshots(computer)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		for _, name := range names {
			of := runtime.Source{Computer: runtime.ID(computer), Name: name}
			n, err := d.note(of)
			if errors.Is(err, runtime.ErrNoSnapshot) {
				continue // dropped meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("list snapshots: %w", err)
			}
			all = append(all, n.snapshot(of))
		}
	}
	return all, nil
}
