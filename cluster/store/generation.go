package store

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// generation is one pebble store. Restore replaces it; it is closed and
// removed when the last view of it is closed.
type generation struct {
	db      *pebble.DB
	hot     *hot         // used only by the one update at a time
	refs    atomic.Int64 // the store's own, views and operations
	retired atomic.Bool  // replaced: remove the directory when closed
	remove  func() error
}

func (s *Store) openGeneration(name string) (*generation, error) {
	dir := s.fs.PathJoin(s.dir, name)
	db, err := pebble.Open(dir, s.pebbleOptions())
	if err != nil {
		return nil, err
	}
	g := &generation{db: db, hot: newHot(), remove: func() error { return s.fs.RemoveAll(dir) }}
	g.refs.Store(1)
	return g, nil
}

// release gives a hold back, and closes the generation with the last one.
func (g *generation) release() error {
	if g.refs.Add(-1) > 0 {
		return nil
	}
	if err := g.db.Close(); err != nil {
		return err
	}
	if g.retired.Load() {
		return g.remove()
	}
	return nil
}

// formatVersion is the pebble format that is written. It is raised only by a
// release after one that can read the newer format: nodes send each other
// their files.
const formatVersion = pebble.FormatValueSeparation

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS: s.fs, Cache: s.cache, MemTableSize: s.o.MemTableBytes, MaxOpenFiles: maxOpenTables,
		MemTableStopWritesThreshold: 4, FormatMajorVersion: formatVersion,
		Logger: pebbleLog{s.o.Log}, LoggerAndTracer: nil,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// pebbleLog passes on what pebble complains about; what it does is not said.
type pebbleLog struct{ log *slog.Logger }

func (pebbleLog) Infof(string, ...any) {}
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when pebble cannot write and the ballast did not help. It
// must not return: the node ends, and starts again from its log.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	panic("store: " + fmt.Sprintf(format, args...))
}
