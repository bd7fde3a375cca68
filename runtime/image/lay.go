package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// Entry is a file or directory to be put into a root.
type Entry struct {
	Path     string // absolute, inside; links on the way stay inside
	Dir      bool   // one that is there already stays as it is
	Data     string
	Mode     fs.FileMode // permission bits
	UID, GID int         // inside
}

// Lay puts entries into the root of a computer that does not run, whose ids are
// shifted. Directories that are missing above one are made, its owner's and for
// all to enter. The root may be hostile.
func Lay(root string, ids idmap.Range, entries []Entry) error {
	u, err := newUnpacker(root, defaultLimits)
	if err != nil {
		return err
	}
	defer u.close()
	u.shift, u.mine = ids.Host, map[string]bool{}
	for _, e := range entries {
		if err := u.lay(e); err != nil {
			return full(fmt.Errorf("%.200q: %w", e.Path, err))
		}
	}
	return nil
}

func (u *unpacker) lay(e Entry) error {
	if !path.IsAbs(e.Path) {
		return fmt.Errorf("%w: the path is not absolute", runtime.ErrInvalid)
	}
	name, err := insideName(e.Path)
	if err == nil {
		err = layable(name)
	}
	if err != nil {
		return err
	}
	if e.Dir {
		if fd, err := u.open(name); err == nil {
			return unix.Close(fd)
		}
	}
	if name == "." {
		return fmt.Errorf("%w: the root is no file", runtime.ErrInvalid)
	}
	u.above = Owner{e.UID, e.GID}
	parent, err := u.directory(path.Dir(name))
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(e.Data)), Mode: int64(e.Mode.Perm()), Uid: e.UID, Gid: e.GID, ModTime: time.Now()}
	var st unix.Stat_t
	if e.Dir && unix.Fstatat(parent, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return fmt.Errorf("%w: it is there and is no directory", runtime.ErrInvalid)
	}
	if e.Dir {
		h.Typeflag = tar.TypeDir
	} else if isDirAt(parent, path.Base(name)) {
		return fmt.Errorf("%w: it is a directory", runtime.ErrInvalid)
	}
	return u.put(parent, path.Base(name), h, strings.NewReader(e.Data))
}

// layable refuses what no layer holds: a name that says that another one is gone.
func layable(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, whiteout) {
			return fmt.Errorf("%w: names that begin with %s mean something else in images", runtime.ErrInvalid, whiteout)
		}
	}
	return nil
}
