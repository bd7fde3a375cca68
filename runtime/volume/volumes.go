package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// maxIDBytes bounds the names of volumes and snapshots.
const maxIDBytes = 200

// Create makes the volume of id, or finds it, and sets its quota; 0 bytes
// means none. The directory is root's, mode 0711: what is inside belongs to
// whom the caller says. runtime.ErrFull means that the pool is too full for
// another volume.
func (p *Pool) Create(ctx context.Context, id string, quotaBytes int64) (string, error) {
	if err := errors.Join(CheckName(id), ctx.Err()); err != nil {
		return "", err
	}
	dir := p.dir(id)
	if _, exists := p.Path(id); !exists {
		if err := p.needRoom(); err != nil {
			return "", fmt.Errorf("create volume %s: %w", id, err)
		}
	}
	if err := p.ground.create(dir); err != nil {
		return "", fmt.Errorf("create volume %s: %w", id, full(err))
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", fmt.Errorf("create volume %s: %w", id, full(err))
	}
	return dir, p.SetQuota(ctx, id, quotaBytes)
}

// Path reports where the volume of id is, if there is one.
func (p *Pool) Path(id string) (string, bool) {
	if CheckName(id) != nil {
		return "", false
	}
	info, err := os.Lstat(p.dir(id))
	return p.dir(id), err == nil && info.IsDir()
}

// SetQuota changes how many bytes the volume may hold, at once and also while
// it is written; 0 means no quota. A quota below what is there only stops
// further writes.
func (p *Pool) SetQuota(ctx context.Context, id string, bytes int64) error {
	dir, err := p.known(ctx, id)
	if err != nil {
		return err
	}
	if bytes < 0 {
		return fmt.Errorf("%w: a quota of %d bytes", runtime.ErrInvalid, bytes)
	}
	if err := p.ground.limit(dir, bytes); err != nil {
		return fmt.Errorf("set the quota of volume %s: %w", id, full(err))
	}
	return nil
}

// Settle waits until Usage counts what was done to the volume before.
func (p *Pool) Settle(ctx context.Context, id string) error {
	dir, err := p.known(ctx, id)
	if err == nil {
		err = p.ground.settle(dir)
	}
	if err != nil {
		return fmt.Errorf("settle volume %s: %w", id, err)
	}
	return nil
}

// Usage reports how many bytes the volume holds. On btrfs it may lag by the
// seconds until the kernel has written them.
func (p *Pool) Usage(id string) (int64, error) {
	dir, err := p.known(context.Background(), id)
	if err != nil {
		return 0, err
	}
	bytes, err := p.ground.usage(dir)
	if err != nil {
		return 0, fmt.Errorf("usage of volume %s: %w", id, err)
	}
	return bytes, nil
}

// Rename keeps a volume under another id. Its snapshots stay where they are.
// Doing it twice is success; a new id that has a volume already is an error.
func (p *Pool) Rename(ctx context.Context, oldID, newID string) error {
	if err := errors.Join(CheckName(oldID), CheckName(newID), ctx.Err()); err != nil {
		return err
	}
	_, haveOld := p.Path(oldID)
	if _, haveNew := p.Path(newID); haveOld && haveNew {
		return fmt.Errorf("%w: both %s and %s have a volume", runtime.ErrInvalid, oldID, newID)
	}
	err := move(p.dir(oldID), p.dir(newID))
	if _, done := p.Path(newID); done && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rename volume %s: %w", oldID, runtime.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("rename volume %s: %w", oldID, err)
	}
	return nil
}

func move(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// Remove deletes the volume of id and leaves its snapshots. An unknown id is
// success. The kernel gives the room back a little later.
func (p *Pool) Remove(ctx context.Context, id string) error {
	if err := errors.Join(CheckName(id), ctx.Err()); err != nil {
		return err
	}
	if err := p.ground.remove(p.dir(id)); err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	p.nudge()
	return nil
}

// List reports the ids of all volumes.
func (p *Pool) List() ([]string, error) { return names(p.computers()) }

func (p *Pool) known(ctx context.Context, id string) (string, error) {
	if err := errors.Join(CheckName(id), ctx.Err()); err != nil {
		return "", err
	}
	dir, ok := p.Path(id)
	if !ok {
		return "", fmt.Errorf("volume %s: %w", id, runtime.ErrNotFound)
	}
	return dir, nil
}

// nudge asks for a sweep at the next look round.
func (p *Pool) nudge() {
	select {
	case p.removed <- struct{}{}:
	default:
	}
}

func (p *Pool) sweep() error {
	ids, err := p.List()
	if err != nil {
		return err
	}
	dirs := make([]string, len(ids))
	for i, id := range ids {
		dirs[i] = p.dir(id)
	}
	return p.ground.sweep(dirs)
}

func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", filepath.Base(dir), err)
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all, nil
}

func (p *Pool) dir(id string) string { return filepath.Join(p.computers(), id) }

// CheckName is runtime.ErrInvalid for what cannot name a volume or snapshot.
func CheckName(name string) error {
	illegal := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	}
	if name == "" || len(name) > maxIDBytes || name[0] == '.' || strings.ContainsFunc(name, illegal) {
		return fmt.Errorf("%w: %.40q names no volume: letters, digits, - _ . and at most %d bytes", runtime.ErrInvalid, name, maxIDBytes)
	}
	return nil
}
