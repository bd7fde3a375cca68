package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bothy-computer/bothy/runtime"
)

// directories is the ground of a pool without btrfs: no quotas, no snapshots.
type directories struct{}

func (directories) create(dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a volume's directory: %w", err)
	}
	return nil
}

func (directories) remove(dir string) error { return os.RemoveAll(dir) }

func (directories) limit(string, int64) error { return nil }

func (directories) snapshot(string, string, bool) error {
	return fmt.Errorf("%w: snapshots need a btrfs pool", runtime.ErrUnsupported)
}

// usage adds up what files take on the disk. A file that goes away meanwhile
// counts nothing; one with several names in the volume counts once.
func (directories) usage(dir string) (int64, error) {
	var total int64
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Nlink > 1 && !info.IsDir() {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		total += st.Blocks * 512
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure a volume: %w", err)
	}
	return total, nil
}

func (directories) settle(string) error { return nil }

func (directories) sweep([]string) error { return nil }
