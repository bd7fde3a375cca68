package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// Rebuilding is how a cluster is rebuilt from a backup.
type Rebuilding struct {
	Dir  string // data directory of its first node: absent, or empty
	Name string // display name of that node; "" is the directory's
	// Key lets whoever restores in; whose it is, is as in state.Rebuild.
	Key state.Key
	// Beside are more files of the directory, which their owner alone may read.
	Beside map[string][]byte
	Now    time.Time
	Log    *slog.Logger
}

// Rebuilt is what came of it.
type Rebuilt struct {
	Cluster   string    // its id, as it was
	TakenAt   time.Time // of the backup
	Node      state.NodeID
	Computers int // that exist
	Saved     int // of those, how many come back from their last save
	Unsaved   int // and how many were never saved but had a disk, which is lost
}

// Rebuild makes the data directory of the first node of a cluster out of a
// backup and the key that opens it. The directory is there when all of it is, and
// not before. The nodes that the cluster had must never run again: it would be
// there twice.
func Rebuild(from io.Reader, key io.Reader, r Rebuilding) (done Rebuilt, err error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if err := vacant(r.Dir); err != nil {
		return done, err
	}
	h, records, err := backup.Read(from, key)
	if err != nil {
		return done, err
	}
	draft := r.Dir + ".restoring"
	if err := os.RemoveAll(draft); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	// Computers' users walk through a node's directory, whatever the umask.
	if err := errors.Join(os.MkdirAll(draft, 0o711), os.Chmod(draft, 0o711)); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	if done, err = rebuildIn(draft, h, records, r); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	if err := os.Remove(r.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // os.Rename takes no directory's place
		return done, fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(draft, r.Dir); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	return done, syncDir(filepath.Dir(r.Dir))
}

// vacant refuses a directory that holds anything.
func vacant(dir string) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if len(names) > 0 {
		return fmt.Errorf("restore: %s is not empty; a cluster is restored into a new directory (`bothy wipe` empties a node's)", dir)
	}
	return nil
}

func rebuildIn(dir string, h backup.Header, records io.Reader, r Rebuilding) (done Rebuilt, err error) {
	id, err := identity.Open(identity.Options{Dir: dir, Name: cmp.Or(r.Name, filepath.Base(r.Dir))})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, id.Close()) }()
	done = Rebuilt{Cluster: h.Cluster, TakenAt: h.TakenAt, Node: id.Node()}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{Log: r.Log})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	shelf, err := st.Shelf(1)
	if err != nil {
		return done, err
	}
	if err := unpackInto(st, shelf, records); err != nil {
		return done, err
	}
	if err := done.count(st); err != nil {
		return done, err
	}
	hash := id.KeyHash()
	cmd := state.Rebuild{Key: r.Key, Node: state.Node{ID: id.Node(), Name: id.Name(), KeyHash: hash[:], Commands: state.CommandVersion}}
	index, err := rebuildRecords(st, cmd, r.Now)
	if err != nil {
		return done, err
	}
	if err := beginAfter(shelf, id.Node(), index); err != nil {
		return done, err
	}
	for name, content := range r.Beside {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return done, err
		}
	}
	log := filepath.Join(dir, "raft")
	if err := os.MkdirAll(log, 0o700); err != nil {
		return done, err
	}
	if err := (origin{Node: id.Node(), Founder: true}).write(log); err != nil {
		return done, err
	}
	return done, id.Rebuild(h.Keys)
}

// unpackInto makes a new store hold an archive's records.
func unpackInto(st *store.Store, shelf *store.Shelf, records io.Reader) error {
	const name = "00000000000000000000-restored" // before every other
	d, err := shelf.Begin(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(d, records); err != nil {
		return errors.Join(fmt.Errorf("read the records: %w", err), d.Cancel())
	}
	if _, err := d.Keep([]byte("{}")); err != nil {
		return err
	}
	o, err := shelf.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(st.Restore(o.Dir), o.Close())
}

// rebuildRecords applies the command that makes the records this node's, after
// all that they hold.
func rebuildRecords(st *store.Store, cmd state.Rebuild, now time.Time) (index uint64, err error) {
	have, err := st.AppliedIndex()
	if err != nil {
		return 0, err
	}
	if err := known(st); err != nil {
		return 0, err
	}
	p, err := state.Propose(state.CommandID{}, 0, cmd)
	if err != nil {
		return 0, err
	}
	entry, err := state.Encode(state.Entry{Stamp: now.UnixNano(), Proposals: []state.Proposal{p}})
	if err != nil {
		return 0, err
	}
	index = have + 1
	return index, st.Update(func(w state.Writer) error {
		applied, err := state.Apply(w, index, entry)
		if err == nil {
			err = applied.Results[0].Err()
		}
		return err
	})
}

// known refuses records that a newer build made.
func known(st *store.Store) error {
	v, err := viewOf(st)
	if err != nil {
		return err
	}
	defer v.Close()
	c, ok, err := v.Cluster()
	switch {
	case err != nil:
		return err
	case !ok:
		return backup.ErrFormat
	case c.Version > state.CommandVersion:
		return fmt.Errorf("the backup is of a newer build (command set %d; this one knows %d): restore it with that build", c.Version, state.CommandVersion)
	}
	return nil
}

func viewOf(st *store.Store) (*state.View, error) {
	r, done, err := st.View()
	if err != nil {
		return nil, err
	}
	return state.NewView(r, done), nil
}

// count tells what becomes of the computers.
func (d *Rebuilt) count(st *store.Store) error {
	v, err := viewOf(st)
	if err != nil {
		return err
	}
	defer v.Close()
	return v.EveryComputer(func(c state.Computer) bool {
		d.Computers++
		switch {
		case c.Saved.Name != "":
			d.Saved++
		case c.DataNode != "":
			d.Unsaved++
		}
		return true
	})
}

// beginAfter puts a raft snapshot on the shelf that a log of one voter goes on
// from: raft numbers entries on from it, as the store does.
func beginAfter(shelf *store.Shelf, self state.NodeID, index uint64) error {
	const term = 1
	voters := raft.Configuration{Servers: []raft.Server{
		{Suffrage: raft.Voter, ID: raft.ServerID(self), Address: raft.ServerAddress(self)},
	}}
	s, err := snapshots{shelf}.Create(raft.SnapshotVersionMax, index, term, voters, index, nil)
	if err != nil {
		return err
	}
	if err := (checkpoint{}).Persist(s); err != nil {
		return errors.Join(err, s.Cancel())
	}
	return s.Close()
}
