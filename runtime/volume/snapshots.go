package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxSnapshots bounds how many snapshots a volume has.
	MaxSnapshots = 1000

	diskName  = "disk"
	noteName  = "note"
	flushName = "flush"
	// halfPrefix begins the names of snapshots that are being made or removed.
	// No whole one has it: names do not begin with a dot.
	halfPrefix = ".half-"
)

// CanSnapshot is runtime.ErrUnsupported, with how to mend it, where the pool
// keeps no snapshots.
func (p *Pool) CanSnapshot() error {
	if _, plain := p.ground.(directories); !plain {
		return nil
	}
	return fmt.Errorf("%w: snapshots need a btrfs pool, and there is none: %s; install btrfs-progs and start with an empty %s, or move the computers away first",
		runtime.ErrUnsupported, p.reason, p.opts.Dir)
}

// FlushSnapshot writes out what is dirty in the volume, and in no other, so
// that TakeSnapshot soon after has little to do.
func (p *Pool) FlushSnapshot(ctx context.Context, id, name string) error {
	return p.takeInto(ctx, id, name, flushName)
}

// TakeSnapshot takes the volume as it is now, with all that was written before
// the call. The snapshot counts only once KeepSnapshot has ended: until then
// each call begins anew.
func (p *Pool) TakeSnapshot(ctx context.Context, id, name string) error {
	return p.takeInto(ctx, id, name, diskName)
}

func (p *Pool) takeInto(ctx context.Context, id, name, part string) error {
	if err := errors.Join(CheckName(name), p.CanSnapshot()); err != nil {
		return err
	}
	dir, err := p.known(ctx, id)
	if err != nil {
		return err
	}
	if err := p.makeHalf(id, name, part); err != nil {
		return fmt.Errorf("snapshot volume %s: %w", id, full(err))
	}
	if err := p.ground.snapshot(dir, filepath.Join(p.half(id, name), part), true); err != nil {
		return fmt.Errorf("snapshot volume %s: %w", id, errors.Join(full(err), p.removeHalf(p.half(id, name))))
	}
	return nil
}

func (p *Pool) makeHalf(id, name, part string) error {
	if err := p.needRoom(); err != nil {
		return err
	}
	have, err := p.Snapshots(id)
	if err != nil {
		return err
	}
	if len(have) >= MaxSnapshots {
		return fmt.Errorf("%w: it has %d snapshots, which is the most", runtime.ErrFull, len(have))
	}
	if err := p.ground.remove(filepath.Join(p.half(id, name), part)); err != nil {
		return err
	}
	return os.MkdirAll(p.half(id, name), 0o700)
}

// KeepSnapshot makes a snapshot that was taken lasting, with a note for
// whoever finds it. After a crash it is there with its note, or not at all.
func (p *Pool) KeepSnapshot(ctx context.Context, id, name string, note []byte) error {
	if err := errors.Join(CheckName(id), CheckName(name), ctx.Err()); err != nil {
		return err
	}
	half := p.half(id, name)
	err := p.ground.remove(filepath.Join(half, flushName))
	if err == nil {
		err = writeSynced(filepath.Join(half, noteName), note)
	}
	if err == nil {
		err = move(half, p.snapshot(id, name))
	}
	if err == nil {
		err = errors.Join(syncDir(p.snapshotsOf(id)), syncDir(p.snapshots()))
	}
	if err != nil {
		return fmt.Errorf("keep snapshot %s of volume %s: %w", name, id, full(err))
	}
	return nil
}

// Note reads the note of a snapshot, or says runtime.ErrNoSnapshot.
func (p *Pool) Note(id, name string) ([]byte, error) {
	if err := errors.Join(CheckName(id), CheckName(name)); err != nil {
		return nil, err
	}
	note, err := os.ReadFile(filepath.Join(p.snapshot(id, name), noteName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot %s of %s: %w", name, id, runtime.ErrNoSnapshot)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s of %s: %w", name, id, err)
	}
	return note, nil
}

// Restore makes the volume of id out of a snapshot, without a quota. Its files
// belong to whom they belonged. runtime.ErrNoSnapshot means that there is none.
func (p *Pool) Restore(ctx context.Context, from, name, id string) (string, error) {
	if err := errors.Join(CheckName(from), CheckName(name), CheckName(id), ctx.Err()); err != nil {
		return "", err
	}
	if err := p.needRoom(); err != nil {
		return "", fmt.Errorf("restore into volume %s: %w", id, err)
	}
	err := p.ground.snapshot(filepath.Join(p.snapshot(from, name), diskName), p.dir(id), false)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("snapshot %s of %s: %w", name, from, runtime.ErrNoSnapshot)
	}
	if err != nil {
		return "", fmt.Errorf("restore into volume %s: %w", id, full(err))
	}
	return p.dir(id), nil
}

// SnapshotPath is where the volume lies as a snapshot has it. Nobody can write
// to it.
func (p *Pool) SnapshotPath(id, name string) (string, error) {
	if _, err := p.Note(id, name); err != nil { // half a one has none
		return "", err
	}
	return filepath.Join(p.snapshot(id, name), diskName), nil
}

// RemoveSnapshot removes one snapshot. An unknown one is success. Volumes that
// were made from it stay whole.
func (p *Pool) RemoveSnapshot(ctx context.Context, id, name string) error {
	if err := errors.Join(CheckName(id), CheckName(name), ctx.Err()); err != nil {
		return err
	}
	half := p.half(id, name)
	err := p.removeHalf(half) // of a removal cut short
	if err == nil {
		err = move(p.snapshot(id, name), half)
	}
	if err == nil {
		err = p.removeHalf(half)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove snapshot %s of volume %s: %w", name, id, err)
	}
	p.nudge()
	return p.removeEmpty(id)
}

// Snapshots reports the names of a volume's snapshots, in order. A volume that
// is gone, or never was, may have some or none.
func (p *Pool) Snapshots(id string) ([]string, error) {
	if err := CheckName(id); err != nil {
		return nil, err
	}
	all, err := names(p.snapshotsOf(id))
	if err != nil {
		return nil, err
	}
	whole := all[:0]
	for _, name := range all {
		if !strings.HasPrefix(name, halfPrefix) {
			whole = append(whole, name)
		}
	}
	return whole, nil
}

// Snapshotted reports the ids that may have snapshots, in order.
func (p *Pool) Snapshotted() ([]string, error) {
	all, err := names(p.snapshots())
	return slices.DeleteFunc(all, func(id string) bool { return strings.HasPrefix(id, halfPrefix) }), err
}

// clearHalf removes what an ended process was making or removing.
func (p *Pool) clearHalf() error {
	ids, err := names(p.snapshots())
	if err != nil {
		return err
	}
	for _, id := range ids {
		if strings.HasPrefix(id, halfPrefix) { // of a flush
			if err := p.ground.remove(filepath.Join(p.snapshots(), id)); err != nil {
				return err
			}
			continue
		}
		all, err := names(p.snapshotsOf(id))
		if err != nil {
			return err
		}
		for _, name := range all {
			if !strings.HasPrefix(name, halfPrefix) {
				continue
			}
			if err := p.removeHalf(filepath.Join(p.snapshotsOf(id), name)); err != nil {
				return err
			}
		}
		if err := p.removeEmpty(id); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) removeHalf(half string) error {
	for _, part := range []string{diskName, flushName} {
		if err := p.ground.remove(filepath.Join(half, part)); err != nil {
			return err
		}
	}
	return os.RemoveAll(half)
}

func (p *Pool) removeEmpty(id string) error {
	err := os.Remove(p.snapshotsOf(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("remove the snapshots of volume %s: %w", id, err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error { return onDir(path, (*os.File).Sync) }

func (p *Pool) snapshotsOf(id string) string    { return filepath.Join(p.snapshots(), id) }
func (p *Pool) snapshot(id, name string) string { return filepath.Join(p.snapshotsOf(id), name) }
func (p *Pool) half(id, name string) string {
	return filepath.Join(p.snapshotsOf(id), halfPrefix+name)
}
