package store

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	shelfDir  = "snapshots"
	metaFile  = "meta.json"
	dataDir   = "data"
	draftName = ".draft-" // prefix of a snapshot that is not finished
)

// Shelf keeps the newest few checkpoints of a store, each a directory:
//
//	<dir>/snapshots/<id>/meta.json
//	<dir>/snapshots/<id>/data/...   the checkpoint
//
// A snapshot is on the shelf wholly or not at all.
type Shelf struct {
	s    *Store
	dir  string
	keep int

	mu    sync.Mutex
	inUse map[string]int // snapshots being read, which are not removed
}

// Item is a snapshot on the shelf. Ids are ordered as the snapshots are.
type Item struct {
	ID      string
	Applied uint64 // its store holds every entry up to this index
	Size    int64  // bytes, as an archive
	About   []byte // what its maker wants to know of it
}

// itemRecord is meta.json.
type itemRecord struct {
	Version int             `json:"version"`
	Applied uint64          `json:"applied"`
	Size    int64           `json:"size"`
	About   json.RawMessage `json:"about"`
}

// Shelf opens the store's shelf, which keeps the newest snapshots (at least
// one), and removes what a crash left half made.
func (s *Store) Shelf(keep int) (*Shelf, error) {
	sh := &Shelf{s: s, dir: s.fs.PathJoin(s.dir, shelfDir), keep: max(keep, 1), inUse: map[string]int{}}
	if err := makeDir(s.fs, sh.dir); err != nil {
		return nil, fmt.Errorf("open the snapshots: %w", err)
	}
	names, err := s.fs.List(sh.dir)
	if err != nil {
		return nil, fmt.Errorf("open the snapshots: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, draftName) {
			if err := s.fs.RemoveAll(sh.path(name)); err != nil {
				return nil, fmt.Errorf("open the snapshots: %w", err)
			}
		}
	}
	return sh, nil
}

func (sh *Shelf) path(parts ...string) string {
	return sh.s.fs.PathJoin(append([]string{sh.dir}, parts...)...)
}

// List returns the snapshots, newest first.
func (sh *Shelf) List() ([]Item, error) {
	names, err := sh.s.fs.List(sh.dir)
	if err != nil {
		return nil, fmt.Errorf("list the snapshots: %w", err)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	items := make([]Item, 0, len(names))
	for _, name := range names {
		if strings.HasPrefix(name, draftName) {
			continue
		}
		it, err := sh.item(name)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}

func (sh *Shelf) item(id string) (Item, error) {
	b, err := readFile(sh.s.fs, sh.path(id, metaFile))
	if err != nil {
		return Item{}, fmt.Errorf("read the snapshot %s: %w", id, err)
	}
	var rec itemRecord
	if err := json.Unmarshal(b, &rec); err != nil {
		return Item{}, fmt.Errorf("read the snapshot %s: %w", id, err)
	}
	return Item{ID: id, Applied: rec.Applied, Size: rec.Size, About: rec.About}, nil
}

// Opened is a snapshot being read. It stays on the shelf until it is closed.
// Reading it gives its archive; Dir is its checkpoint, for Restore.
type Opened struct {
	Item
	Dir string
	*io.PipeReader
	once  sync.Once
	close func()
}

// Open reads a snapshot.
func (sh *Shelf) Open(id string) (*Opened, error) {
	sh.mu.Lock()
	sh.inUse[id]++
	sh.mu.Unlock()
	o := &Opened{Dir: sh.path(id, dataDir), close: func() { sh.leave(id) }}
	it, err := sh.item(id)
	if err != nil {
		o.close()
		return nil, err
	}
	p, err := pack(sh.s.fs, o.Dir, it.Applied)
	if err != nil {
		o.close()
		return nil, fmt.Errorf("open the snapshot %s: %w", id, err)
	}
	o.Item = it
	r, w := io.Pipe()
	o.PipeReader = r
	go func() { w.CloseWithError(p.writeTo(w)) }() // ends at the archive's end or when o is closed
	return o, nil
}

// Close lets the snapshot be removed.
func (o *Opened) Close() error {
	err := o.PipeReader.Close()
	o.once.Do(o.close)
	return err
}

func (sh *Shelf) leave(id string) {
	sh.mu.Lock()
	sh.inUse[id]--
	if sh.inUse[id] == 0 {
		delete(sh.inUse, id)
	}
	sh.mu.Unlock()
	if err := sh.reap(); err != nil {
		sh.s.o.Log.Warn("removing old snapshots failed; it is tried again with the next", "err", err)
	}
}

// reap removes all but the newest snapshots and those being read.
func (sh *Shelf) reap() error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	items, err := sh.List()
	if err != nil {
		return err
	}
	for i, it := range items {
		if i < sh.keep || sh.inUse[it.ID] > 0 {
			continue
		}
		if err := sh.remove(it.ID); err != nil {
			return err
		}
	}
	return nil
}

// remove takes a snapshot off the shelf. It is renamed first, durably: a crash
// in the middle must not leave half of it.
func (sh *Shelf) remove(id string) error {
	doomed := sh.path(draftName + id)
	if err := sh.s.fs.Rename(sh.path(id), doomed); err != nil {
		return err
	}
	if err := syncDir(sh.s.fs, sh.dir); err != nil {
		return err
	}
	return sh.s.fs.RemoveAll(doomed)
}
