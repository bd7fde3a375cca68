package workspace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// FS is one computer's workspace. Its methods take paths as Clean does and
// may be called from any goroutine. Errors are runtime.ErrInvalid for a bad
// request, runtime.ErrFull, fs.ErrNotExist, fs.ErrExist, or the file system's
// own; they name the path as it is in the workspace, never this machine's.
type FS struct {
	root     *os.Root
	uid, gid int
}

// Kind is what a name stands for.
type Kind string

const (
	File      Kind = "file"
	Directory Kind = "directory"
	Symlink   Kind = "symlink"
	Other     Kind = "other" // a pipe, a socket or a device
)

// Entry describes a name in the workspace.
type Entry struct {
	Path      string // relative to the workspace; "." is the workspace itself
	Kind      Kind
	SizeBytes int64 // of files; else 0
	Mode      fs.FileMode
	Modified  time.Time
	Target    string // of symlinks, as the computer wrote it
	// Stamp changes whenever the content of a file may have, and with its
	// permissions and names. Only files that were opened or written have one.
	Stamp string
}

// Name is the last part of the entry's path.
func (e Entry) Name() string { return path.Base(e.Path) }

// Reader reads a file, also from the middle.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Open opens the workspace at root. Close it after use; the files that were
// opened through it stay open.
func Open(root runtime.WorkspaceRoot) (*FS, error) {
	dir, err := os.OpenRoot(root.Path)
	if err != nil {
		return nil, fmt.Errorf("open the workspace: %w", err)
	}
	return &FS{root: dir, uid: root.UID, gid: root.GID}, nil
}

// Close lets the workspace go.
func (w *FS) Close() error { return w.root.Close() }

// Stat describes what a path leads to, through links that stay in the
// workspace.
func (w *FS) Stat(name string) (Entry, error) {
	clean, err := Clean(name)
	if err != nil {
		return Entry{}, err
	}
	info, err := w.root.Stat(clean)
	if err != nil {
		return Entry{}, plain("stat", clean, err)
	}
	return entryOf(clean, info), nil
}

// Exists reports whether a path leads to anything, through links that stay in
// the workspace.
func (w *FS) Exists(name string) (bool, error) {
	clean, err := Clean(name)
	if err != nil {
		return false, err
	}
	_, err = w.root.Stat(clean)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return false, nil
	}
	return false, plain("look for", clean, err)
}

// Open opens a file for reading, through links that stay in the workspace.
// Only regular files open: a pipe would keep its reader waiting for ever.
func (w *FS) Open(name string) (Reader, Entry, error) {
	clean, err := Clean(name)
	if err != nil {
		return nil, Entry{}, err
	}
	f, entry, err := w.openFile(clean)
	if err != nil {
		return nil, Entry{}, err // not a nil *os.File in an interface
	}
	return f, entry, nil
}

func (w *FS) openFile(clean string) (*os.File, Entry, error) {
	// Without O_NONBLOCK, opening a pipe waits for its writer.
	f, err := w.root.OpenFile(clean, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, Entry{}, plain("open", clean, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(info)
	}
	if err != nil {
		f.Close()
		return nil, Entry{}, plain("open", clean, err)
	}
	return f, stamped(clean, info), nil
}

func regular(info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%w: it is no regular file but a %s", runtime.ErrInvalid, kindOf(info.Mode()))
}

// ReadFile reads a whole file of at most maxBytes.
func (w *FS) ReadFile(name string, maxBytes int64) ([]byte, error) {
	clean, err := Clean(name)
	if err != nil {
		return nil, err
	}
	f, _, err := w.openFile(clean)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The size of the moment says nothing: the computer may go on writing.
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, plain("read", clean, err)
	}
	if int64(len(data)) > maxBytes {
		return nil, plain("read", clean, fmt.Errorf("%w: the file has more than %d bytes", runtime.ErrInvalid, maxBytes))
	}
	return data, nil
}

func entryOf(clean string, info fs.FileInfo) Entry {
	e := Entry{Path: clean, Kind: kindOf(info.Mode()), Mode: info.Mode().Perm(), Modified: info.ModTime()}
	if e.Kind == File {
		e.SizeBytes = info.Size()
	}
	return e
}

// stamped is an entry with its stamp. No program can set the time of a file's
// last change, and the kernel tells apart changes between which somebody looked.
func stamped(clean string, info fs.FileInfo) Entry {
	e := entryOf(clean, info)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.Stamp = fmt.Sprintf("%x-%x-%x", st.Ino, st.Ctim.Nano(), st.Size)
	}
	return e
}

func kindOf(mode fs.FileMode) Kind {
	switch {
	case mode.IsRegular():
		return File
	case mode.IsDir():
		return Directory
	case mode&fs.ModeSymlink != 0:
		return Symlink
	}
	return Other
}

// escapes is how os.Root refuses; it has no name for it.
const escapes = "path escapes from parent"

// plain says what went wrong without this machine's paths, and gives an error
// the kind that callers act on.
func plain(doing, clean string, err error) error {
	var atPath *fs.PathError
	var atLink *os.LinkError
	switch {
	case errors.As(err, &atPath):
		err = atPath.Err
	case errors.As(err, &atLink):
		err = atLink.Err
	}
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case err.Error() == escapes:
		err = fmt.Errorf("%w: a link leads out of the workspace", runtime.ErrInvalid)
	case is(unix.ENOSPC, unix.EDQUOT):
		err = fmt.Errorf("%w: the computer's storage is full: %w", runtime.ErrFull, err)
	case is(unix.ENOTEMPTY):
		err = fmt.Errorf("%w: %w", fs.ErrExist, err)
	case is(unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.EINVAL, unix.ENXIO, unix.EXDEV, unix.ETXTBSY, unix.EPERM):
		err = fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	return fmt.Errorf("%s %s: %w", doing, clean, err)
}
