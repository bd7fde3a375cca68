package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// State is how far a volume has been written. It is the zero State where the
// pool cannot tell.
type State struct {
	ID string // of the volume, whatever its name; of a snapshot, that of its volume
	// Generation grows whenever something is written, and when a snapshot is taken.
	Generation uint64
}

// State reports how far a volume has been written by now, counting what programs
// have written and the kernel has not.
func (p *Pool) State(ctx context.Context, id string) (State, error) {
	dir, err := p.known(ctx, id)
	if err == nil {
		err = p.ground.settle(dir)
	}
	var s State
	if err == nil {
		s, err = p.ground.state(dir)
	}
	if err != nil {
		return State{}, fmt.Errorf("state of volume %s: %w", id, err)
	}
	return s, nil
}

// SnapshotState reports the state of a volume when a snapshot was taken.
func (p *Pool) SnapshotState(id, name string) (State, error) {
	dir, err := p.SnapshotPath(id, name)
	if err != nil {
		return State{}, err
	}
	s, err := p.ground.state(dir)
	if err != nil {
		return State{}, fmt.Errorf("state of snapshot %s of volume %s: %w", name, id, err)
	}
	return s, nil
}

// Flush returns once all that was written in the volume is on the disk.
func (p *Pool) Flush(ctx context.Context, id string) error {
	dir, err := p.known(ctx, id)
	if err == nil {
		err = p.ground.flush(dir, filepath.Join(p.snapshots(), halfPrefix+id))
	}
	if err != nil {
		return fmt.Errorf("flush volume %s: %w", id, full(err))
	}
	return nil
}

func (subvolumes) state(dir string) (State, error) {
	var info subvolumeInfo
	if err := onDir(dir, func(d *os.File) error { return ioctl(d, iocSubvolInfo, &info) }); err != nil {
		return State{}, fmt.Errorf("ask for a subvolume's generation: %w", err)
	}
	id := info.uuid
	if info.flags&subvolumeReadOnly != 0 {
		id = info.parent
	}
	return State{ID: fmt.Sprintf("%x", id), Generation: info.generation}, nil
}

// flush takes a snapshot, because the kernel then writes out what is dirty in
// this subvolume, and in no other.
func (s subvolumes) flush(dir, half string) error {
	if err := s.remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.snapshot(dir, half, true); err != nil {
		return err
	}
	return s.remove(half)
}

func (directories) state(string) (State, error) { return State{}, nil }

func (directories) flush(dir, _ string) error {
	return onDir(dir, func(d *os.File) error { return unix.Syncfs(int(d.Fd())) })
}
