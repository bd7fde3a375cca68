package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// tempDir holds blobs on their way to their names. No key begins with it.
	tempDir = ".tmp"
	// tempAge is when a blob that never got its name is taken for one of a
	// process that ended.
	tempAge = 24 * time.Hour
	// dirTries is how often a write makes its directory again, which a delete
	// beside it has taken away.
	dirTries = 16
)

// Dir is a store in a directory, which several machines may share. It works
// where a rename replaces a file at once, as on every local file system and NFS.
// The directory is opened for each call, because what is mounted there may change.
type Dir struct{ path string }

// NewDir is the store in a directory, an absolute path. Make makes the directory
// if its parent is there.
func NewDir(dir string) *Dir { return &Dir{path: filepath.Clean(dir)} }

func (d *Dir) String() string { return d.path }

// Put implements Store.
func (d *Dir) Put(ctx context.Context, key string, data []byte) error {
	return d.aside(ctx, "put", key, func(in dirRoot) error {
		return in.write(key, data, in.Rename)
	})
}

// Make implements Store.
func (d *Dir) Make(ctx context.Context, key string, data []byte) error {
	if err := os.Mkdir(d.path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w: %w", d.path, runtime.ErrNoStore, err)
	}
	return d.aside(ctx, "make", key, func(in dirRoot) error {
		err := in.write(key, data, in.Link)
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	})
}

// dirRoot is the directory, opened for one call.
type dirRoot struct{ *os.Root }

// write makes a blob under a name of its own, and then places it.
func (d dirRoot) write(key string, data []byte, place func(from, to string) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	temp := path.Join(tempDir, rand.Text())
	if err := d.Mkdir(tempDir, 0o700); err == nil {
		err = d.syncDir(".", nil)
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.writeSynced(temp, data); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	var err error
	for range dirTries {
		if err = d.MkdirAll(path.Dir(key), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err = place(temp, key); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return errors.Join(err, d.remove(temp), d.syncDir(path.Dir(key), err))
}

func (d dirRoot) writeSynced(name string, data []byte) error {
	f, err := d.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d dirRoot) syncDir(name string, failed error) error {
	if failed != nil {
		return nil
	}
	dir, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Get implements Store.
func (d *Dir) Get(ctx context.Context, key string, maxBytes int64) ([]byte, error) {
	var data []byte
	if err := checkKey(key); err != nil {
		return nil, err
	}
	err := d.aside(ctx, "get", key, func(in dirRoot) error {
		f, err := in.Open(key)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxBytes+1))
		return err
	})
	if err != nil {
		return nil, err // data may still be written to
	}
	if int64(len(data)) > maxBytes {
		return nil, tooLarge(key, maxBytes)
	}
	return data, nil
}

// List implements Store.
func (d *Dir) List(ctx context.Context, dir string, visit func(Entry) error) error {
	if err := checkDir(dir); err != nil {
		return err
	}
	name := path.Clean("./" + dir)
	var found []Entry
	err := d.aside(ctx, "list", name, func(in dirRoot) error {
		entries, err := fs.ReadDir(in.FS(), name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, e := range entries {
			if e.Name() == tempDir {
				continue
			}
			info, ierr := e.Info()
			if errors.Is(ierr, fs.ErrNotExist) {
				continue
			}
			if ierr != nil {
				return ierr
			}
			if e.IsDir() {
				found = append(found, Entry{Name: e.Name() + "/"})
			} else {
				found = append(found, Entry{Name: e.Name(), Modified: info.ModTime()})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements Store. A directory goes with the last that was in it.
func (d *Dir) Delete(ctx context.Context, keys []string) error {
	if err := d.aside(ctx, "clear", tempDir, dirRoot.clearTemp); err != nil {
		return err
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		err := d.aside(ctx, "delete", key, func(in dirRoot) error {
			err := in.remove(key)
			for dir := path.Dir(key); err == nil && dir != "."; dir = path.Dir(dir) {
				if in.Remove(dir) != nil {
					break // it holds something else
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d dirRoot) remove(name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clearTemp removes what processes that ended have left on its way.
func (d dirRoot) clearTemp() error {
	entries, err := fs.ReadDir(d.FS(), tempDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr == nil && time.Since(info.ModTime()) > tempAge {
			err = errors.Join(err, d.remove(path.Join(tempDir, e.Name())))
		}
	}
	return err
}

// aside acts in a goroutine of its own, because a share whose server is away
// answers nobody, and ends with no context.
func (d *Dir) aside(ctx context.Context, doing, key string, act func(dirRoot) error) error {
	done := make(chan error, 1)
	if ctx.Err() == nil {
		go func() {
			root, err := os.OpenRoot(d.path)
			if err != nil {
				done <- fmt.Errorf("%w: %w", runtime.ErrNoStore, err)
				return
			}
			err = act(dirRoot{root})
			done <- errors.Join(err, root.Close())
		}()
	}
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", runtime.ErrNoStore, err)
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s blob %s in %s: %w", doing, key, d.path, dirErr(err))
}

// dirErr gives an error of a file system the one that callers act on.
func dirErr(err error) error {
	switch {
	case errors.Is(err, ErrExists), errors.Is(err, runtime.ErrInvalid), errors.Is(err, runtime.ErrNoStore), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: the blob store is full: %w", runtime.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", runtime.ErrNoStore, err)
}
