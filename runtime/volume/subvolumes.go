package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// maxNestedSubvolumes bounds how many subvolumes a computer can have made in
// its own volume before removing it gives up and says so.
const maxNestedSubvolumes = 10_000

// groupLevel is the level of the quota groups that hold a computer's limit.
const groupLevel = 1 << 48

// subvolumes is the ground of a pool on btrfs.
type subvolumes struct {
	mount  string // where the pool is mounted
	groups string // the kernel's directory of quota groups; "" without quotas
}

// newSubvolumes switches simple quotas on, which a repeated open finds done.
func newSubvolumes(mount string) (subvolumes, error) {
	s := subvolumes{mount: mount}
	var info infoArgs
	err := onDir(mount, func(dir *os.File) error { return ioctl(dir, iocFSInfo, &info) })
	if err != nil {
		return s, fmt.Errorf("ask for the pool's id: %w", err)
	}
	id := info.fsid
	groups := fmt.Sprintf("/sys/fs/btrfs/%x-%x-%x-%x-%x/qgroups", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	mode, err := os.ReadFile(filepath.Join(groups, "mode"))
	if err != nil {
		args := quotaArgs{cmd: quotaEnableSimple}
		if err := onDir(mount, func(dir *os.File) error { return ioctl(dir, iocQuotaCtl, &args) }); err != nil {
			return s, fmt.Errorf("switch simple quotas on (Linux 6.7 or newer has them): %w", err)
		}
		if mode, err = os.ReadFile(filepath.Join(groups, "mode")); err != nil {
			return s, fmt.Errorf("see whether quotas are on: %w", err)
		}
	}
	if got := strings.TrimSpace(string(mode)); got != "squota" {
		return s, fmt.Errorf("the pool's quotas are of the kind %q, not simple ones", got)
	}
	s.groups = groups
	return s, nil
}

func (s subvolumes) create(dir string) error {
	err := withName(filepath.Dir(dir), filepath.Base(dir), iocSubvolCreate)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a subvolume: %w", err)
	}
	if !isSubvolume(dir) {
		return fmt.Errorf("%s is there, and is no subvolume", dir)
	}
	if s.groups == "" {
		return nil
	}
	return s.join(dir)
}

// join puts the volume into its quota group, before anything is written in it.
func (s subvolumes) join(dir string) error {
	id, err := tree(dir)
	if err != nil {
		return fmt.Errorf("ask for a subvolume's number: %w", err)
	}
	return onDir(s.mount, func(mount *os.File) error {
		err := ioctl(mount, iocGroupCreate, &groupArgs{create: 1, group: groupLevel | id})
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a quota group: %w", err)
		}
		err = ioctl(mount, iocGroupAssign, &assignArgs{assign: 1, from: id, to: groupLevel | id})
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("join a quota group: %w", err)
		}
		return nil
	})
}

func (s subvolumes) limit(dir string, bytes int64) error {
	if s.groups == "" {
		return nil
	}
	id, err := tree(dir)
	if err != nil {
		return fmt.Errorf("ask for a subvolume's number: %w", err)
	}
	args := limitArgs{group: groupLevel | id, flags: limitReferenced, maxReferenced: noLimit}
	if bytes > 0 {
		args.maxReferenced = uint64(bytes)
	}
	err = onDir(s.mount, func(mount *os.File) error { return ioctl(mount, iocGroupLimit, &args) })
	if err != nil {
		return fmt.Errorf("limit a quota group: %w", err)
	}
	return nil
}

func (s subvolumes) usage(dir string) (int64, error) {
	if s.groups == "" {
		return directories{}.usage(dir)
	}
	id, err := tree(dir)
	if err != nil {
		return 0, fmt.Errorf("ask for a subvolume's number: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(s.groups, "1_"+strconv.FormatUint(id, 10), "referenced"))
	if err != nil {
		return 0, fmt.Errorf("read a quota group: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// settle commits the pool's transaction, with which quota groups are counted.
func (subvolumes) settle(dir string) error {
	return onDir(dir, func(d *os.File) error {
		var transaction uint64
		if err := ioctl(d, iocStartSync, &transaction); err != nil {
			return fmt.Errorf("begin a commit: %w", err)
		}
		if err := ioctl(d, iocWaitSync, &transaction); err != nil {
			return fmt.Errorf("wait for a commit: %w", err)
		}
		return nil
	})
}

// snapshot writes out what is dirty in the volume, and no other, before it
// takes it. One that can be written to gets a quota group of its own.
func (s subvolumes) snapshot(from, to string, readOnly bool) error {
	err := onDir(from, func(source *os.File) error {
		args := snapshotArgs{fd: int64(source.Fd())}
		if readOnly {
			args.flags = snapReadOnly
		}
		copy(args.name[:maxVolumeNameBytes], filepath.Base(to))
		return onDir(filepath.Dir(to), func(parent *os.File) error { return ioctl(parent, iocSnapCreate, &args) })
	})
	if err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	if readOnly || s.groups == "" {
		return nil
	}
	return s.join(to)
}

func (s subvolumes) remove(dir string) error {
	err := withName(filepath.Dir(dir), filepath.Base(dir), iocSnapDestroy)
	if errors.Is(err, unix.ENOTEMPTY) {
		// At its quota, a volume cannot even note that something is gone.
		if err := errors.Join(s.limit(dir, 0), removeNested(dir)); err != nil {
			return err
		}
		err = withName(filepath.Dir(dir), filepath.Base(dir), iocSnapDestroy)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a subvolume: %w", err)
	}
	return nil
}

// removeNested removes the subvolumes that a computer has made inside its
// own, the deepest first. It walks through os.Root, because the computer also
// chose the names and links on the way.
func removeNested(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("remove nested subvolumes: %w", err)
	}
	defer root.Close()
	var nested []string
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || name == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Sys().(*syscall.Stat_t).Ino == subvolumeInode {
			nested = append(nested, name)
		}
		if len(nested) > maxNestedSubvolumes {
			return fmt.Errorf("more than %d subvolumes in one volume", maxNestedSubvolumes)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove nested subvolumes: %w", err)
	}
	for i := len(nested) - 1; i >= 0; i-- {
		if err := destroyIn(root, nested[i]); err != nil {
			return fmt.Errorf("remove nested subvolumes: %w", err)
		}
	}
	return nil
}

func destroyIn(root *os.Root, name string) error {
	parent, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	var args volumeArgs
	copy(args.name[:maxVolumeNameBytes], path.Base(name))
	return ioctl(parent, iocSnapDestroy, &args)
}

// sweep removes the quota groups of volumes that are gone. The kernel refuses
// those whose data it has not dropped yet; a later sweep gets them.
func (s subvolumes) sweep(volumes []string) error {
	if s.groups == "" {
		return nil
	}
	alive := map[string]bool{}
	for _, dir := range volumes {
		if id, err := tree(dir); err == nil {
			alive["1_"+strconv.FormatUint(id, 10)] = true
		}
	}
	entries, err := os.ReadDir(s.groups)
	if err != nil {
		return fmt.Errorf("list quota groups: %w", err)
	}
	return onDir(s.mount, func(mount *os.File) error {
		for _, e := range entries {
			number, ours := strings.CutPrefix(e.Name(), "1_")
			id, err := strconv.ParseUint(number, 10, 48)
			if !ours || err != nil || alive[e.Name()] {
				continue
			}
			err = ioctl(mount, iocGroupCreate, &groupArgs{group: groupLevel | id})
			if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove a quota group: %w", err)
			}
		}
		return nil
	})
}

func isSubvolume(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir() && info.Sys().(*syscall.Stat_t).Ino == subvolumeInode
}

// full turns the errors of a full file system or quota into the one that
// callers act on.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", runtime.ErrFull, err)
	}
	return err
}
