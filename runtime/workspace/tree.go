package workspace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tidyTime bounds the removal of a tree that is not needed.
const tidyTime = time.Minute

// Tree is what was in an archive, laid out where nobody sees it.
type Tree struct {
	Unpacked
	above *FS
	name  string
	fs    *FS
	hold  *os.File // locked while the tree is needed
}

// Unpack lays out an archive: a tar, plain or compressed with gzip, or a zip.
// Graft gives it a place; Close it in any case. Entries that lead elsewhere, or
// are neither file, directory nor link, are passed over. Errors are
// runtime.ErrInvalid for what is no archive or goes beyond a bound,
// runtime.ErrFull, or what from failed with.
func (w *FS) Unpack(ctx context.Context, from io.Reader) (*Tree, error) {
	if err := w.sweep(ctx); err != nil {
		return nil, err
	}
	t, err := w.newTree()
	if err != nil {
		return nil, plain("unpack", "an archive", err)
	}
	t.Unpacked, err = w.unpack(ctx, t.fs, from)
	if err != nil {
		return nil, plain("unpack", "an archive", errors.Join(err, t.Close()))
	}
	return t, nil
}

func (w *FS) newTree() (*Tree, error) {
	t := &Tree{above: w, name: partPrefix + rand.Text()}
	// The computer cannot look in; and handles go on being its own.
	if err := w.root.Mkdir(t.name, 0o700); err != nil {
		return nil, err
	}
	root, err := w.root.OpenRoot(t.name)
	if err != nil {
		return nil, errors.Join(err, w.root.Remove(t.name))
	}
	t.fs = &FS{root: root, uid: w.uid, gid: w.gid}
	t.hold, err = t.fs.openDir(".")
	if err == nil {
		err = unix.Flock(int(t.hold.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close removes what was not grafted.
func (t *Tree) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), tidyTime)
	defer cancel()
	err := t.fs.Remove(ctx, ".", true)
	if t.hold != nil {
		err = errors.Join(err, t.hold.Close())
	}
	err = errors.Join(err, t.fs.Close())
	if gone := t.above.root.Remove(t.name); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// sweep removes trees whose maker died.
func (w *FS) sweep(ctx context.Context) error {
	top, err := w.openDir(".")
	if err != nil {
		return plain("sweep", ".", err)
	}
	defer top.Close()
	for err == nil {
		var names []string
		names, err = top.Readdirnames(namesAtOnce)
		for _, name := range names {
			if strings.HasPrefix(name, partPrefix) {
				err = errors.Join(err, w.sweepOne(ctx, top, name))
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return plain("sweep", ".", err)
}

func (w *FS) sweepOne(ctx context.Context, top *os.File, name string) error {
	dir, err := openDirAt(top, name)
	if err != nil {
		return changed(err) // it is gone, or a file about to get its name
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil //nolint:nilerr // whoever made it is there
	}
	if err := empty(ctx, dir); err != nil {
		return err
	}
	return changed(unix.Unlinkat(int(top.Fd()), name, unix.AT_REMOVEDIR))
}

// Graft puts a tree into a directory, which is made if it is not there. Files
// and links replace those of their names, directories are merged; where one
// would have to become the other, nothing is changed and the error is
// fs.ErrExist.
func (w *FS) Graft(ctx context.Context, t *Tree, into string) error {
	clean, err := Clean(into)
	if err != nil {
		return err
	}
	if info, err := w.root.Stat(clean); err == nil && !info.IsDir() {
		return plain("unpack into", clean, fmt.Errorf("%w: it is a file", fs.ErrExist))
	}
	if err := t.fs.walk(ctx, ".", 0, func(e Entry) error { return w.fits(e, path.Join(clean, e.Path)) }); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return plain("unpack into", clean, err)
	}
	if err := w.makeAll(clean); err != nil {
		return err
	}
	if err := w.graft(ctx, t, ".", clean); err != nil {
		return plain("unpack into", clean, err)
	}
	return nil
}

// fits reports whether an entry can be at a path.
func (w *FS) fits(e Entry, at string) error {
	if _, err := Clean(at); err != nil {
		return err
	}
	info, err := w.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR): // what is above it is told of instead
		return nil
	case err != nil:
		return plain("unpack", at, err)
	case info.IsDir() != (e.Kind == Directory):
		return plain("unpack", at, fmt.Errorf("%w: one is a directory and the other is not", fs.ErrExist))
	}
	return nil
}

// graft moves what is in a directory of the tree, whole directories at once
// where there are none.
func (w *FS) graft(ctx context.Context, t *Tree, from, to string) error {
	source, err := t.fs.openDir(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := w.openDir(to)
	if err != nil {
		return err
	}
	defer target.Close()
	names, err := source.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := unix.Renameat(int(source.Fd()), name, int(target.Fd()), name)
		if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			err = w.graft(ctx, t, path.Join(from, name), path.Join(to, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
