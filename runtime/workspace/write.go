package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxFileBytes bounds a written file unless the caller says less.
	MaxFileBytes = 16 << 30
	// partPrefix begins the names of what is still being put in its place.
	// Listings leave it out.
	partPrefix = ".bothy-part-"

	defaultFileMode = 0o644
	directoryMode   = 0o755
)

// WriteOptions say how a file is written. Zero values are the defaults.
type WriteOptions struct {
	// Mode is the file's permissions; 0 keeps those of the file that is
	// replaced, or means 0644.
	Mode fs.FileMode
	// MaxBytes bounds the content; 0 means MaxFileBytes.
	MaxBytes int64
}

// Write writes content to a file that belongs to the computer's default user,
// and makes the directories above it. Readers see the old content or the new,
// never a part; after an error the old one is still there. A link at name is
// replaced, not followed.
func (w *FS) Write(ctx context.Context, name string, content io.Reader, opts WriteOptions) (Entry, error) {
	clean, err := w.notTheRoot(name)
	if err != nil {
		return Entry{}, err
	}
	if opts.Mode, err = w.modeFor(clean, opts.Mode); err != nil {
		return Entry{}, err
	}
	d, err := w.Draft(ctx, content, opts.MaxBytes)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", clean, err)
	}
	defer d.Close()
	return w.Adopt(ctx, d, clean, opts.Mode)
}

// modeFor looks at what is there before anything is written.
func (w *FS) modeFor(clean string, mode fs.FileMode) (fs.FileMode, error) {
	info, err := w.root.Lstat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, plain("write", clean, err)
	case info.IsDir():
		return 0, plain("write", clean, unix.EISDIR)
	case mode == 0 && info.Mode().IsRegular():
		mode = info.Mode()
	}
	if mode == 0 {
		mode = defaultFileMode
	}
	return mode.Perm(), nil // never setuid: the content came from outside
}

// bounded reads until a number of bytes or the end of a context.
type bounded struct {
	ctx  context.Context
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left <= 0 {
		return 0, io.EOF
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Mkdir makes a directory whose parent is there. One that exists is
// fs.ErrExist.
func (w *FS) Mkdir(name string) error {
	clean, err := Clean(name)
	if err != nil {
		return err
	}
	return w.makeOne(clean)
}

// MkdirAll makes a directory and those above it. One that exists is success.
func (w *FS) MkdirAll(name string) error {
	clean, err := Clean(name)
	if err != nil {
		return err
	}
	return w.makeAll(clean)
}

func (w *FS) makeAll(clean string) error {
	if clean == "." {
		return nil
	}
	at := ""
	for part := range strings.SplitSeq(clean, "/") {
		at = path.Join(at, part)
		err := w.makeOne(at)
		if errors.Is(err, fs.ErrExist) {
			continue // a file in the way fails at the next step, or below
		}
		if err != nil {
			return err
		}
	}
	info, err := w.root.Stat(clean)
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		return plain("make directory", clean, err)
	}
	return nil
}

func (w *FS) makeOne(clean string) error {
	if err := w.root.Mkdir(clean, directoryMode); err != nil {
		return plain("make directory", clean, err)
	}
	// By handle, so that it is the new directory whatever has its name now.
	dir, err := w.root.OpenFile(clean, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return plain("make directory", clean, err)
	}
	defer dir.Close()
	if err := errors.Join(dir.Chown(w.uid, w.gid), dir.Chmod(directoryMode)); err != nil {
		return plain("make directory", clean, err)
	}
	return nil
}

// Move gives a file or directory another path, and makes the directories
// above that. A file there is replaced; a directory there must be empty.
func (w *FS) Move(from, to string) error {
	cleanFrom, err := w.notTheRoot(from)
	if err != nil {
		return err
	}
	cleanTo, err := w.notTheRoot(to)
	if err != nil {
		return err
	}
	if _, err := w.root.Lstat(cleanFrom); err != nil {
		return plain("move", cleanFrom, err)
	}
	if err := w.makeAll(path.Dir(cleanTo)); err != nil {
		return err
	}
	if err := w.root.Rename(cleanFrom, cleanTo); err != nil {
		return plain("move "+cleanFrom+" to", cleanTo, err)
	}
	return nil
}

func (w *FS) notTheRoot(name string) (string, error) {
	clean, err := Clean(name)
	if err == nil && clean == "." {
		err = fmt.Errorf("%w: %.200q is the workspace itself", runtime.ErrInvalid, name)
	}
	return clean, err
}

// CloseDirs takes from a directory and from those below it the permission to
// change which names are in them. Their files keep theirs.
func (w *FS) CloseDirs(ctx context.Context, name string) error {
	clean, err := w.notTheRoot(name)
	if err != nil {
		return err
	}
	all := []string{clean}
	err = w.walk(ctx, clean, 0, func(e Entry) error {
		if e.Kind == Directory {
			all = append(all, e.Path)
		}
		return nil
	})
	for _, dir := range all {
		if err != nil {
			return err
		}
		err = w.closeDir(dir)
	}
	return err
}

func (w *FS) closeDir(clean string) error {
	dir, err := w.root.OpenFile(clean, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return plain("close directory", clean, err)
	}
	defer dir.Close()
	if err := dir.Chmod(directoryMode &^ 0o222); err != nil {
		return plain("close directory", clean, err)
	}
	return nil
}
