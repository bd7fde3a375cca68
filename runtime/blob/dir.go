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
type Dir struct {
	path string
	root *os.Root
}

// OpenDir opens a store in a directory, and makes it if there is none. Its
// parent must be there: a share that is not mounted is no empty store.
func OpenDir(dir string) (*Dir, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("open the blob store: %w: %q is no absolute path", runtime.ErrInvalid, dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open the blob store: %w: %w", runtime.ErrNoStore, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the blob store: %w: %w", runtime.ErrNoStore, err)
	}
	d := &Dir{path: dir, root: root}
	if err := root.MkdirAll(tempDir, 0o700); err == nil {
		err = d.clearTemp()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the blob store: %w: %w", runtime.ErrNoStore, err), root.Close())
	}
	return d, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

func (d *Dir) String() string { return d.path }

// Put implements Store.
func (d *Dir) Put(ctx context.Context, key string, data []byte) error {
	return d.aside(ctx, "put", key, func() error {
		return d.write(key, data, d.root.Rename)
	})
}

// Make implements Store.
func (d *Dir) Make(ctx context.Context, key string, data []byte) error {
	return d.aside(ctx, "make", key, func() error {
		err := d.write(key, data, d.root.Link)
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	})
}

// write makes a blob under a name of its own, and then places it.
func (d *Dir) write(key string, data []byte, place func(from, to string) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	temp := path.Join(tempDir, rand.Text())
	if err := d.writeSynced(temp, data); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	var err error
	for range dirTries {
		if err = d.root.MkdirAll(path.Dir(key), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err = place(temp, key); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return errors.Join(err, d.remove(temp), d.syncDir(path.Dir(key), err))
}

func (d *Dir) writeSynced(name string, data []byte) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *Dir) syncDir(name string, failed error) error {
	if failed != nil {
		return nil
	}
	dir, err := d.root.Open(name)
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
	err := d.aside(ctx, "get", key, func() error {
		f, err := d.root.Open(key)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxBytes+1))
		if err == nil && int64(len(data)) > maxBytes {
			err = tooLarge(key, maxBytes)
		}
		return err
	})
	if err != nil {
		return nil, err // data may still be written to
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
	err := d.aside(ctx, "list", name, func() error {
		entries, err := fs.ReadDir(d.root.FS(), name)
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
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		err := d.aside(ctx, "delete", key, func() error {
			err := d.remove(key)
			for dir := path.Dir(key); err == nil && dir != "."; dir = path.Dir(dir) {
				if d.root.Remove(dir) != nil {
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

func (d *Dir) remove(name string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Dir) clearTemp() error {
	entries, err := fs.ReadDir(d.root.FS(), tempDir)
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr == nil && time.Since(info.ModTime()) > tempAge {
			err = errors.Join(err, d.remove(path.Join(tempDir, e.Name())))
		}
	}
	return err
}

// aside acts on a blob in a goroutine of its own, because a share whose server
// is away answers nobody, and no context.
func (d *Dir) aside(ctx context.Context, doing, key string, act func() error) error {
	done := make(chan error, 1)
	if ctx.Err() == nil {
		go func() { done <- act() }()
	}
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return fmt.Errorf("%s blob %s in %s: %w", doing, key, d.path, context.Cause(ctx))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrExists) || errors.Is(err, runtime.ErrInvalid):
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotFound
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		err = fmt.Errorf("%w: the blob store is full: %w", runtime.ErrFull, err)
	default:
		err = fmt.Errorf("%w: %w", runtime.ErrNoStore, err)
	}
	return fmt.Errorf("%s blob %s in %s: %w", doing, key, d.path, err)
}
