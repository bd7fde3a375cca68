package workspace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxOpenDirs is how many directories a removal holds open at once: a
	// computer can nest them deeper than a process may have files.
	maxOpenDirs = 32
	// liftedPrefix begins the names that directories get which lie deeper.
	liftedPrefix = ".removed-"
)

// Remove removes a file or a link and, when it may recurse, a directory with
// all that is in it. The workspace itself is emptied by that, and stays. A
// path where nothing is gives fs.ErrNotExist; what the computer adds again and
// again, fs.ErrExist or the end of ctx.
func (w *FS) Remove(ctx context.Context, name string, recursive bool) error {
	clean, err := Clean(name)
	if err != nil {
		return err
	}
	if clean == "." && !recursive {
		return fmt.Errorf("%w: %.200q is the workspace itself; only a recursive removal empties it", runtime.ErrInvalid, name)
	}
	parent, err := w.root.OpenFile(path.Dir(clean), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return plain("remove", clean, err)
	}
	defer parent.Close()
	if clean == "." {
		err = empty(ctx, parent)
	} else {
		err = removeAt(ctx, parent, path.Base(clean), recursive)
	}
	if err != nil {
		return plain("remove", clean, err)
	}
	return nil
}

// removeAt removes a name in an open directory. From here on everything is
// done by handle and by single names that are not followed, so that no link
// made meanwhile leads anywhere.
func removeAt(ctx context.Context, parent *os.File, base string, recursive bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fd := int(parent.Fd())
	err := unix.Unlinkat(fd, base, 0)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	if !recursive {
		return fmt.Errorf("%w: it is a directory, which is removed only recursively", runtime.ErrInvalid)
	}
	dir, err := openDirAt(parent, base)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := empty(ctx, dir); err != nil {
		return err
	}
	return unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
}

func openDirAt(parent *os.File, base string) (*os.File, error) {
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), base), nil
}

// empty removes what is in a directory.
func empty(ctx context.Context, dir *os.File) error {
	return removal{ctx, dir}.empty(dir, 1)
}

// removal empties one directory, its top.
type removal struct {
	ctx context.Context
	top *os.File
}

// empty passes over a directory until a pass finds nothing: names may come
// while it reads, and be skipped because others went.
func (r removal) empty(dir *os.File, level int) error {
	for {
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		found, err := r.pass(dir, level)
		if err != nil || !found {
			return err
		}
	}
}

func (r removal) pass(dir *os.File, level int) (found bool, err error) {
	for {
		names, err := dir.Readdirnames(namesAtOnce)
		for _, name := range names {
			found = true
			if err := r.remove(dir, name, level); err != nil {
				return found, err
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
			return found, err
		}
		if err != nil {
			return found, err
		}
	}
}

// remove removes one name, or leaves it to the next pass when it changes.
func (r removal) remove(dir *os.File, name string, level int) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	fd := int(dir.Fd())
	err := unix.Unlinkat(fd, name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return changed(err)
	}
	if level == maxOpenDirs {
		return changed(unix.Renameat(fd, name, int(r.top.Fd()), liftedPrefix+rand.Text()))
	}
	below, err := openDirAt(dir, name)
	if err != nil {
		return changed(err)
	}
	defer below.Close()
	if err := r.empty(below, level+1); err != nil {
		return err
	}
	return changed(unix.Unlinkat(fd, name, unix.AT_REMOVEDIR))
}

// changed forgives what only says that the computer was quicker.
func changed(err error) error {
	for _, quick := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENOTEMPTY} {
		if errors.Is(err, quick) {
			return nil
		}
	}
	return err
}
