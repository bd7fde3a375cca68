package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/store"
)

// keptSnapshots is how many raft snapshots stay on disk, as hard links.
const keptSnapshots = 2

// snapshots is raft's SnapshotStore: directories of hard links, and a stream
// of their bytes only when a follower needs them.
type snapshots struct{ shelf *store.Shelf }

// Create is raft.SnapshotStore's.
func (s snapshots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	meta := raft.SnapshotMeta{
		Version: version, Index: index, Term: term, Configuration: conf, ConfigurationIndex: confIndex,
		// Ordered as the snapshots are; the time keeps apart two of one index.
		ID: fmt.Sprintf("%020d-%020d-%020d", index, term, time.Now().UnixNano()),
	}
	d, err := s.shelf.Begin(meta.ID)
	if err != nil {
		return nil, err
	}
	return &sink{Draft: d, meta: meta}, nil
}

// List is raft.SnapshotStore's: newest first.
func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	items, err := s.shelf.List()
	if err != nil {
		return nil, err
	}
	metas := make([]*raft.SnapshotMeta, 0, len(items))
	for _, it := range items {
		m, err := metaOf(it)
		if err != nil {
			return nil, err
		}
		metas = append(metas, m)
	}
	return metas, nil
}

// Open is raft.SnapshotStore's.
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	o, err := s.shelf.Open(id)
	if err != nil {
		return nil, nil, err
	}
	m, err := metaOf(o.Item)
	if err != nil {
		o.Close()
		return nil, nil, err
	}
	return m, o, nil
}

func metaOf(it store.Item) (*raft.SnapshotMeta, error) {
	var m raft.SnapshotMeta
	if err := json.Unmarshal(it.About, &m); err != nil {
		return nil, fmt.Errorf("read the snapshot %s: %w", it.ID, err)
	}
	m.Size = it.Size
	return &m, nil
}

// sink is a snapshot being made: by checkpoint when raft persists this node's
// state, by Write when it receives another's.
type sink struct {
	*store.Draft
	meta raft.SnapshotMeta
	done bool
}

// ID is raft.SnapshotSink's.
func (s *sink) ID() string { return s.meta.ID }

// Close keeps the snapshot.
func (s *sink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	about, err := json.Marshal(s.meta)
	if err != nil {
		return err
	}
	if _, err = s.Keep(about); err != nil {
		return errors.Join(err, s.Draft.Cancel())
	}
	return nil
}

// Cancel discards the snapshot.
func (s *sink) Cancel() error {
	if s.done {
		return nil
	}
	s.done = true
	return s.Draft.Cancel()
}

// checkpoint is raft's FSMSnapshot. What it holds is taken when it is
// persisted, not when raft asks for it: the store may then be ahead of the
// snapshot's index, which does no harm since every applied entry is committed
// and the store knows its own index.
type checkpoint struct{}

// Persist returns when the live store is durable up to the snapshot's index;
// raft truncates its log next.
func (checkpoint) Persist(s raft.SnapshotSink) error {
	own, ok := s.(*sink)
	if !ok {
		return fmt.Errorf("persist a snapshot into a %T", s)
	}
	return own.Take()
}

// Release is raft.FSMSnapshot's.
func (checkpoint) Release() {}

// catchUp restores a store that is behind the newest snapshot: raft does not
// do it at start, and its log may begin after that snapshot.
func catchUp(st *store.Store, shelf *store.Shelf) error {
	items, err := shelf.List()
	if err != nil || len(items) == 0 {
		return err
	}
	have, err := st.AppliedIndex()
	if err != nil || have >= items[0].Applied {
		return err
	}
	o, err := shelf.Open(items[0].ID)
	if err != nil {
		return err
	}
	defer o.Close()
	return st.Restore(o.Dir)
}

// Snapshot takes a raft snapshot now, beside those that raft takes by itself.
// With nothing new since the last one it does nothing.
func (c *Cluster) Snapshot() error {
	if err := c.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	return nil
}
