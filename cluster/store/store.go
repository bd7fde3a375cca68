package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// DefaultCacheBytes is the block cache's size. It bounds what the store
	// keeps in memory, together with two memtables.
	DefaultCacheBytes = 32 << 20

	memTableBytes = 16 << 20
	// maxOpenTables bounds the table files held open.
	maxOpenTables = 500

	currentFile = "CURRENT"
	dirPrefix   = "db-"
)

// errClosed is returned by a store that is closed.
var errClosed = errors.New("the store is closed")

// Options says how a store is opened. Zero values are the defaults.
type Options struct {
	// CacheBytes bounds the block cache; 0 is DefaultCacheBytes.
	CacheBytes int64
	// MemTableBytes is the size of each memtable; 0 is 16 MiB.
	MemTableBytes uint64
	// BallastBytes is the size of the file that is given up when the disk is
	// full, so that what is being written can be finished; 0 keeps none.
	BallastBytes int64
	// Log is where pebble's complaints go; nil discards them.
	Log *slog.Logger
	// FS is the file system; nil is the machine's. Tests give one that forgets
	// what was not synced.
	FS vfs.FS
	// Crash is called at each point between two durable steps; an error ends
	// the operation there, as a crash would. Nil in production.
	Crash func(point string) error
}

// Store is a set of keys that is updated by one writer and read by many.
type Store struct {
	o       Options
	dir     string
	raw     vfs.FS // the disk itself
	fs      vfs.FS // the disk, giving up the ballast when it is full
	cache   *pebble.Cache
	ballast *ballast

	mu     sync.Mutex
	closed bool
	live   *generation
}

// Open opens the store in dir, or makes an empty one there.
func Open(dir string, o Options) (*Store, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = memTableBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Crash == nil {
		o.Crash = func(string) error { return nil }
	}
	s := &Store{o: o, dir: dir, raw: o.FS, cache: pebble.NewCache(o.CacheBytes)}
	s.ballast = &ballast{fs: o.FS, path: o.FS.PathJoin(dir, "ballast"), bytes: o.BallastBytes, log: o.Log}
	s.fs = vfs.OnDiskFull(o.FS, s.ballast.give)
	if err := s.open(); err != nil {
		s.cache.Unref()
		return nil, fmt.Errorf("open the store in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := makeDir(s.fs, s.dir); err != nil {
		return err
	}
	name, err := s.current()
	if err != nil {
		return err
	}
	if name == "" {
		name = dirPrefix + "000001"
	}
	if err := s.sweep(name); err != nil {
		return err
	}
	g, err := s.openGeneration(name)
	if err != nil {
		return err
	}
	if err := s.switchTo(name); err != nil {
		return errors.Join(err, g.db.Close())
	}
	s.live = g
	s.ballast.take()
	return nil
}

// current reads which directory is in use; "" when none was yet.
func (s *Store) current() (string, error) {
	b, err := readFile(s.fs, s.fs.PathJoin(s.dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(b))
	if !strings.HasPrefix(name, dirPrefix) || strings.ContainsAny(name, "/\\") {
		return "", fmt.Errorf("%s holds %q, which is no directory of the store", currentFile, name)
	}
	return name, nil
}

// switchTo makes name the directory in use, durably and in one step.
func (s *Store) switchTo(name string) error {
	have, err := s.current()
	if err != nil || have == name {
		return err
	}
	return replaceFile(s.fs, s.dir, currentFile, []byte(name+"\n"))
}

// sweep removes directories that a crash left behind, except the one in use.
func (s *Store) sweep(keep string) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, dirPrefix) && name != keep {
			if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Update gives change a writer and commits all it wrote, or nothing if it
// fails. Only one update runs at a time. The commit is not synced.
func (s *Store) Update(change func(state.Writer) error) error {
	g, err := s.hold()
	if err != nil {
		return err
	}
	defer g.release()
	b := g.db.NewIndexedBatch()
	defer b.Close()
	if err := change(writer{reader{b}, b, g.hot}); err != nil {
		g.hot.rollback()
		return err
	}
	if b.Empty() {
		return nil
	}
	if err := g.db.Apply(b, pebble.NoSync); err != nil {
		g.hot.rollback()
		return err
	}
	g.hot.commit()
	return nil
}

// View returns the keys as they are now, unchanged by later updates and by
// Restore, until close is called.
func (s *Store) View() (r state.Reader, close func(), err error) {
	g, err := s.hold()
	if err != nil {
		return nil, nil, err
	}
	snap := g.db.NewSnapshot()
	return reader{snap}, func() {
		if err := snap.Close(); err != nil {
			s.o.Log.Error("closing a view of the store failed", "err", err)
		}
		g.release()
	}, nil
}

// AppliedIndex is the raft index up to which the store holds every entry.
func (s *Store) AppliedIndex() (uint64, error) {
	g, err := s.hold()
	if err != nil {
		return 0, err
	}
	defer g.release()
	return state.AppliedIndex(reader{g.db})
}

// Flush makes every update so far durable.
func (s *Store) Flush() error {
	g, err := s.hold()
	if err != nil {
		return err
	}
	defer g.release()
	return g.db.Flush()
}

// Full reports whether the disk was full and the ballast has not been laid
// down again; it tries to each time it is asked.
func (s *Store) Full() bool { return s.ballast.missing() }

// Close closes the store once its views are closed; it does not wait for them.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	g := s.live
	s.mu.Unlock()
	err := g.db.Flush()
	defer s.cache.Unref()
	return errors.Join(err, g.release())
}

// hold returns the live generation, which stays open until it is released.
func (s *Store) hold() (*generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	s.live.refs.Add(1)
	return s.live, nil
}

func readFile(from vfs.FS, path string) ([]byte, error) {
	f, err := from.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// replaceFile writes a file so that after a crash it is the old or the new one.
func replaceFile(to vfs.FS, dir, name string, data []byte) error {
	path := to.PathJoin(dir, name)
	if err := writeFile(to, path+".tmp", bytes.NewReader(data)); err != nil {
		return err
	}
	if err := to.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(to, dir)
}

// writeFile makes a durable file; its name is durable after syncDir.
func writeFile(to vfs.FS, path string, from io.Reader) error {
	f, err := to.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(of vfs.FS, dir string) error {
	d, err := of.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes a directory whose name is durable.
func makeDir(in vfs.FS, dir string) error {
	if err := in.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(in, in.PathDir(dir))
}
