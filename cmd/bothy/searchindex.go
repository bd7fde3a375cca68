package main

import (
	"path/filepath"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// Memory of the search index: a small part of the records' own store.
const (
	indexCacheBytes    = 4 << 20
	indexMemTableBytes = 2 << 20
	// indexBallastBytes is what the index gives up to end what it writes when the
	// disk is full.
	indexBallastBytes = 8 << 20
)

// openIndex opens the node's search index. It holds nothing that the records do
// not say: without it, it is made again.
func (n *node) openIndex() (*actors.Index, error) {
	kept, err := store.Open(filepath.Join(n.identity.Dir(), "search"), store.Options{
		CacheBytes: indexCacheBytes, MemTableBytes: indexMemTableBytes, BallastBytes: indexBallastBytes, Log: n.log})
	if err != nil {
		return nil, err
	}
	n.onClose(kept.Close)
	watcher := n.cluster.Watch(func(c state.Change) bool { return c.Noun == state.ChangedThread })
	n.onClose(func() error { watcher.Close(); return nil })
	return &actors.Index{Store: kept, Changes: watcher}, nil
}
