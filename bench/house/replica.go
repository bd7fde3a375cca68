package house

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// Replica is the records and the log of a node that has ended.
type Replica struct {
	records *store.Store
	log     *wal.WAL
}

// Replica opens what a node has left. Close must be called before it runs again.
func (n *Node) Replica() (*Replica, error) {
	records, err := store.Open(filepath.Join(n.Dir, "store"), store.Options{})
	if err != nil {
		return nil, fmt.Errorf("open the records of %s: %w", n.Name, err)
	}
	log, err := wal.Open(filepath.Join(n.Dir, "raft"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the log of %s: %w", n.Name, err), records.Close())
	}
	return &Replica{records, log}, nil
}

// Close gives the files back.
func (r *Replica) Close() error { return errors.Join(r.log.Close(), r.records.Close()) }

// Applied is the newest entry that is in the records.
func (r *Replica) Applied() (uint64, error) { return r.records.AppliedIndex() }

// CatchUp applies what another replica has applied and this one has not, as its
// node would have.
func (r *Replica) CatchUp(with *Replica) error {
	to, err := with.Applied()
	if err != nil {
		return err
	}
	at, err := r.Applied()
	for i := at + 1; err == nil && i <= to; i++ {
		var l raft.Log
		if err = with.log.GetLog(i, &l); err != nil {
			break
		}
		err = r.records.Update(func(w state.Writer) error {
			if l.Type != raft.LogCommand {
				return state.Skip(w, i)
			}
			_, err := state.Apply(w, i, l.Data)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("catch up from entry %d to %d: %w", at, to, err)
	}
	return nil
}

// Table sums up what a table of records holds, its indexes apart.
type Table struct {
	Keys   int
	Digest uint64
}

// Tables sums up all records by their tables.
func (r *Replica) Tables() (map[string]Table, error) {
	view, done, err := r.records.View()
	if err != nil {
		return nil, err
	}
	defer done()
	all := map[string]Table{}
	err = view.Scan(nil, bytes.Repeat([]byte{0xff}, 8), false, func(key, value []byte) bool {
		name, _, _ := bytes.Cut(key, []byte{0})
		t := all[string(name)]
		d := xxhash.NewWithSeed(t.Digest)
		for _, part := range [][]byte{key, {0}, value} {
			_, _ = d.Write(part) // it never fails
		}
		all[string(name)] = Table{t.Keys + 1, d.Sum64()}
		return true
	})
	return all, err
}
