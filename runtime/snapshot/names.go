package snapshot

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func (v *saving) tree(ctx context.Context) error {
	top, err := openDirectory(unix.AT_FDCWD, v.Path)
	if err != nil {
		return err
	}
	defer top.Close()
	if v.base != nil {
		if _, _, _, err := v.base.take(); err != nil {
			return err
		}
	}
	if err := v.push(entry{kind: directory, mode: 0o755}, local{}); err != nil {
		return err
	}
	return v.below(top, "", 1, v.base != nil)
}

// below saves what is in a directory. based says that the index is in the same.
func (v *saving) below(dir *os.File, at string, depth int, based bool) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: directories are nested deeper than %d", runtime.ErrInvalid, maxDepth)
	}
	return v.names.eachName(dir, func(name string) error {
		if err := v.up.ctx.Err(); err != nil {
			return context.Cause(v.up.ctx)
		}
		err := v.name(dir, path.Join(at, name), depth, based)
		if err != nil && depth == 1 {
			return fmt.Errorf("in %s: %w", name, err)
		}
		return err
	})
}

// found is an entry that the index has of a name.
type found struct {
	entry entry
	local local
	whole bool
}

// name saves one name of a directory.
func (v *saving) name(dir *os.File, at string, depth int, based bool) error {
	parent, name := int(dir.Fd()), path.Base(at)
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%.200q: %w", at, err)
	}
	kind, ok := kindOf(&st)
	if !ok {
		return nil
	}
	var old *found
	if based {
		there, err := v.base.seek(depth, name)
		if err != nil {
			return err
		}
		if there {
			old = &found{}
			if old.entry, old.local, old.whole, err = v.base.take(); err != nil {
				return err
			}
		}
	}
	e := entry{depth: depth, name: name, kind: kind, mode: st.Mode & 0o7777, uid: inside(st.Uid, v.IDs), gid: inside(st.Gid, v.IDs),
		modified: stamp{st.Mtim.Sec, st.Mtim.Nsec}}
	l := local{inode: st.Ino, changed: stamp{st.Ctim.Sec, st.Ctim.Nsec}}
	if kind == directory {
		return v.directory(parent, at, e, l, old)
	}
	same := old != nil && v.same(e, l, old)
	var err error
	switch {
	case same:
		e.attrs, e.target = old.entry.attrs, old.entry.target
	case kind == symlink:
		e.target, err = readLink(parent, name)
	default:
		e.attrs, err = v.attributes(parent, name)
	}
	if err == nil && kind == regular {
		err = v.file(parent, e, l, &st, old, same)
	} else if err == nil {
		err = v.push(e, l)
	}
	if err != nil {
		return fmt.Errorf("%.200q: %w", at, err)
	}
	return nil
}

// stubInode is what btrfs shows in a snapshot where a subvolume was nested: an
// empty directory that keeps nothing, and is nobody's.
const stubInode = 2

func (v *saving) directory(parent int, at string, e entry, l local, old *found) error {
	dir, err := openDirectory(parent, e.name)
	if err != nil {
		return fmt.Errorf("%.200q: %w", at, err)
	}
	defer dir.Close()
	if l.inode == stubInode {
		var st unix.Stat_t
		if err := unix.Fstat(parent, &st); err != nil {
			return fmt.Errorf("%.200q: %w", at, err)
		}
		e.mode, e.uid, e.gid = 0o755, inside(st.Uid, v.IDs), inside(st.Gid, v.IDs)
	} else if e.attrs, err = readAttributes(procPath(int(dir.Fd())), v.IDs); err != nil {
		return fmt.Errorf("%.200q: %w", at, err)
	}
	if err := v.push(e, l); err != nil {
		return err
	}
	if slices.Contains(v.Empty, at) {
		return nil
	}
	return v.below(dir, at, e.depth+1, old != nil && old.entry.kind == directory)
}

// same reports whether what the index has of a name is surely still so.
func (v *saving) same(e entry, l local, old *found) bool {
	if e.kind != old.entry.kind || l.inode != old.local.inode || e.modified != old.entry.modified {
		return false
	}
	return l.changed == old.local.changed && l.changed.time().Before(v.base.Sure) || v.unwritten(l.inode)
}

func (v *saving) attributes(parent int, name string) ([]attribute, error) {
	// O_PATH opens no device and waits at no FIFO.
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readAttributes(procPath(fd), v.IDs)
}

// procPath is a name through which even what cannot be opened has attributes.
// It is a link to the file, with / behind it a path through it.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func readLink(parent int, name string) (string, error) {
	target := make([]byte, maxTargetBytes)
	n, err := unix.Readlinkat(parent, name, target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}
