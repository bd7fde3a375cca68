package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Checkpoint makes dir a copy of the store as it is at some moment during the
// call, with at least every update made before it. Table files are hard links.
// All updates up to the call are durable in the store itself when it returns.
func (s *Store) Checkpoint(dir string) (applied uint64, err error) {
	g, err := s.hold()
	if err != nil {
		return 0, err
	}
	defer g.release()
	if applied, err = state.AppliedIndex(reader{g.db}); err != nil {
		return 0, err
	}
	if err := g.db.Flush(); err != nil {
		return 0, fmt.Errorf("flush the store: %w", err)
	}
	if err := s.o.Crash("checkpoint: flushed"); err != nil {
		return 0, err
	}
	return applied, g.db.Checkpoint(dir)
}

// Restore replaces the store's content by that of a checkpoint, which stays as
// it is. Views opened before go on showing what they showed. After a crash the
// store holds either the old content or the new.
func (s *Store) Restore(checkpoint string) error {
	s.mu.Lock()
	defer s.mu.Unlock() // no operation begins while the stores are exchanged
	if s.closed {
		return errClosed
	}
	have, err := s.current()
	if err != nil {
		return err
	}
	name, err := following(have)
	if err != nil {
		return err
	}
	g, err := s.build(checkpoint, name)
	if err != nil {
		return fmt.Errorf("restore the store from %s: %w", checkpoint, err)
	}
	old := s.live
	s.live = g
	old.retired.Store(true)
	if err := old.release(); err != nil {
		s.o.Log.Warn("closing the replaced store failed; its directory is removed at the next start", "err", err)
	}
	return nil
}

// build copies a checkpoint to a directory of the store, opens it there and
// makes it the one in use.
func (s *Store) build(checkpoint, name string) (*generation, error) {
	dir := s.fs.PathJoin(s.dir, name)
	if err := s.fs.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := copyCheckpoint(s.fs, checkpoint, dir); err != nil {
		return nil, err
	}
	if err := s.o.Crash("restore: copied"); err != nil {
		return nil, err
	}
	g, err := s.openGeneration(name)
	if err != nil {
		return nil, err
	}
	if err := s.o.Crash("restore: opened"); err != nil {
		return nil, errors.Join(err, g.db.Close())
	}
	if err := s.switchTo(name); err != nil {
		return nil, errors.Join(err, g.db.Close())
	}
	if err := s.o.Crash("restore: switched"); err != nil {
		return nil, errors.Join(err, g.db.Close())
	}
	return g, nil
}

// following is the name after a directory's.
func following(name string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(strings.TrimPrefix(name, dirPrefix), "%06d", &n); err != nil {
		return "", fmt.Errorf("the store's directory is called %q: %w", name, err)
	}
	return fmt.Sprintf("%s%06d", dirPrefix, n+1), nil
}

// copyCheckpoint makes a durable copy of a checkpoint's files. Table and blob
// files are never changed, so they are linked; pebble appends to the others.
func copyCheckpoint(on vfs.FS, from, to string) error {
	if err := makeDir(on, to); err != nil {
		return err
	}
	names, err := on.List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		src, dst := on.PathJoin(from, name), on.PathJoin(to, name)
		if immutable(name) {
			err = on.Link(src, dst)
		} else {
			err = copyFile(on, src, dst)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(on, to)
}

func immutable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

func copyFile(on vfs.FS, src, dst string) error {
	f, err := on.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(on, dst, f)
}
