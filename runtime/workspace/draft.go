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
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// copyBytes is how much of a stream is in memory at a time.
const copyBytes = 256 << 10

// Draft is content that has no name yet. Whoever writes it can go, or the
// machine can: the kernel then takes back what it held.
type Draft struct {
	f *os.File
}

// Draft takes content in until it ends. It may have at most maxBytes; 0 means
// MaxFileBytes. Adopt gives it a place; Close it in any case.
func (w *FS) Draft(ctx context.Context, content io.Reader, maxBytes int64) (*Draft, error) {
	if maxBytes <= 0 {
		maxBytes = MaxFileBytes
	}
	f, err := w.unnamed()
	if err != nil {
		return nil, plain("write", "a new file", err)
	}
	n, err := fill(f, &bounded{ctx: ctx, from: content, left: maxBytes + 1}, make([]byte, copyBytes))
	if err == nil && n > maxBytes {
		err = fmt.Errorf("%w: the content has more than %d bytes", runtime.ErrInvalid, maxBytes)
	}
	if err != nil {
		f.Close()
		return nil, plain("write", "a new file", err)
	}
	return &Draft{f}, nil
}

// fill copies in writes of a whole buffer, whatever pieces the content comes in.
func fill(to io.Writer, from io.Reader, buf []byte) (all int64, err error) {
	for err == nil {
		n := 0
		for n < len(buf) && err == nil {
			var more int
			more, err = from.Read(buf[n:])
			n += more
		}
		if n > 0 {
			if _, failed := to.Write(buf[:n]); failed != nil {
				return all, failed
			}
			all += int64(n)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// Close lets the draft go; its content is lost unless it was adopted.
func (d *Draft) Close() error { return d.f.Close() }

// unnamed opens a new file of this machine's root in no directory, so that the
// computer cannot change what we write.
func (w *FS) unnamed() (*os.File, error) {
	return w.root.OpenFile(".", os.O_RDWR|unix.O_TMPFILE, 0o600)
}

// Adopt makes a draft the file of a name, belonging to the computer's default
// user, and makes the directories above it. Readers see what was there or the
// new file, never a part. A link at name is replaced, not followed. Mode 0
// keeps the permissions of the file that is replaced, or means 0644.
func (w *FS) Adopt(ctx context.Context, d *Draft, name string, mode fs.FileMode) (Entry, error) {
	clean, err := w.notTheRoot(name)
	if err != nil {
		return Entry{}, err
	}
	if mode, err = w.modeFor(clean, mode); err != nil {
		return Entry{}, err
	}
	if err := ctx.Err(); err != nil { // whoever may no longer act changes nothing
		return Entry{}, plain("write", clean, err)
	}
	if err := w.makeAll(path.Dir(clean)); err != nil {
		return Entry{}, err
	}
	if err := w.adopt(d.f, clean, mode); err != nil {
		return Entry{}, plain("write", clean, err)
	}
	info, err := d.f.Stat()
	if err != nil {
		return Entry{}, plain("write", clean, err)
	}
	return stamped(clean, info), nil
}

func (w *FS) adopt(f *os.File, clean string, mode fs.FileMode) error {
	dir, err := w.openDir(path.Dir(clean))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := w.own(f, mode); err != nil {
		return err
	}
	// A link replaces nothing, so the file has another name for a moment.
	part := partPrefix + rand.Text()
	if err := nameIn(dir, f, part); err != nil {
		return err
	}
	if err := unix.Renameat(int(dir.Fd()), part, int(dir.Fd()), path.Base(clean)); err != nil {
		return errors.Join(err, unix.Unlinkat(int(dir.Fd()), part, 0))
	}
	return nil
}

func (w *FS) openDir(clean string) (*os.File, error) {
	return w.root.OpenFile(clean, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// own gives a file to the computer's default user.
func (w *FS) own(f *os.File, mode fs.FileMode) error {
	return errors.Join(f.Chown(w.uid, w.gid), f.Chmod(mode))
}

// nameIn gives an unnamed file a name that nothing has.
func nameIn(dir, f *os.File, base string) error {
	return unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), int(dir.Fd()), base, unix.AT_SYMLINK_FOLLOW)
}
