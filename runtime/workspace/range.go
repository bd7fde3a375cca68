package workspace

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// ReadRange reads at most length bytes from offset on. At or past the end of
// the file, and with length 0, there are none. length is at most
// MaxContentBytes.
func (w *FS) ReadRange(name string, offset, length int64) ([]byte, error) {
	clean, err := Clean(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkOffset(offset), checkLength(length)); err != nil {
		return nil, err
	}
	f, _, err := w.openFile(clean)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, offset, length))
	if err != nil {
		return nil, plain("read", clean, err)
	}
	return data, nil
}

func checkOffset(offset int64) error {
	if offset < 0 {
		return wrong("offset", "it is %d; it is 0 or more", offset)
	}
	return nil
}

func checkLength(length int64) error {
	if length < 0 || length > MaxContentBytes {
		return wrong("length", "it is %d; it is from 0 to %d", length, MaxContentBytes)
	}
	return nil
}

// WriteRange writes data at offset into a file, in place and through links
// that stay in the workspace, so that several may write different parts at
// once and programs that hold it open see them. Between the old end and offset
// there are zeros. A file that is not there is made, with the directories
// above it. After an error the file is as it was before.
func (w *FS) WriteRange(ctx context.Context, name string, offset int64, data []byte) error {
	clean, err := w.notTheRoot(name)
	if err != nil {
		return err
	}
	if err := checkOffset(offset); err != nil {
		return err
	}
	if offset > MaxFileBytes-int64(len(data)) {
		return wrong("offset", "%d and %d bytes more is over a file's limit of %d", offset, len(data), int64(MaxFileBytes))
	}
	if err := ctx.Err(); err != nil {
		return plain("write", clean, err)
	}
	err = w.overwrite(clean, offset, data)
	if errors.Is(err, fs.ErrNotExist) {
		if err = w.create(clean, offset, data); errors.Is(err, fs.ErrExist) {
			err = w.overwrite(clean, offset, data) // somebody else made it just now
		}
	}
	if err != nil {
		return plain("write", clean, err)
	}
	return nil
}

func (w *FS) overwrite(clean string, offset int64, data []byte) error {
	f, err := w.root.OpenFile(clean, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := regular(info); err != nil {
		return err
	}
	if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 { // the content comes from outside
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	return errors.Join(w.putRange(f, info.Size(), offset, data), f.Close())
}

// create makes a file, or fails with fs.ErrExist.
func (w *FS) create(clean string, offset int64, data []byte) error {
	f, err := w.unnamed()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pwrite(f, data, offset); err != nil {
		return err
	}
	if err := w.makeAll(path.Dir(clean)); err != nil {
		return err
	}
	dir, err := w.openDir(path.Dir(clean))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := w.own(f, defaultFileMode); err != nil {
		return err
	}
	return nameIn(dir, f, path.Base(clean))
}
