package cluster

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// fsm is this node's replica of the records, as raft drives it: one call at a
// time, in the log's order. It is all that knows both raft and state.
type fsm struct {
	store   *store.Store
	applied turnstile
	hub     *hub
	roster  *roster
	settle  func([]state.Result) // hands results to those who wait here
	metrics *metrics
	// commands is the newest command set that this node speaks.
	commands int
	fatal    func(error)
}

var _ raft.BatchingFSM = (*fsm)(nil)

// applied is what an entry did, as the proposer on the leader gets it.
type applied struct {
	state.Applied
	Term uint64
}

// Apply is raft.FSM's.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries, each in a batch of the store of its own. One that
// cannot be applied stops the node: going on without it would leave this
// replica different from the others.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	begun := time.Now()
	var changes []state.Change
	for i, l := range logs {
		done, err := f.apply(l)
		if err != nil {
			f.fatal(fmt.Errorf("apply entry %d: %w", l.Index, unreadable(err)))
			return out
		}
		changes = append(changes, done.Changes...)
		out[i] = applied{done, l.Term}
	}
	f.metrics.apply.Observe(time.Since(begun).Seconds())
	f.noteNodes(changes)
	for _, o := range out {
		f.settle(o.(applied).Results)
	}
	f.hub.publish(changes) // before a reader may have waited for them
	f.applied.advance(logs[len(logs)-1].Index)
	return out
}

func (f *fsm) apply(l *raft.Log) (done state.Applied, err error) {
	err = f.store.Update(func(w state.Writer) error {
		if l.Type != raft.LogCommand {
			return state.Skip(w, l.Index)
		}
		done, err = state.Apply(w, l.Index, l.Data)
		return err
	})
	return done, err
}

// noteNodes renews the list of members before anybody learns of the change.
func (f *fsm) noteNodes(changes []state.Change) {
	for _, c := range changes {
		if c.Noun == state.ChangedNode || c.Noun == state.ChangedCluster {
			if err := f.learn(); err != nil {
				f.fatal(err)
			}
			return
		}
	}
}

// learn takes in who is a member, and what version the cluster is at.
func (f *fsm) learn() error {
	if err := f.roster.load(f.store); err != nil {
		return err
	}
	if v := f.roster.version(); v > f.commands {
		return errOldBuild(v, f.commands)
	}
	return nil
}

// Snapshot is raft.FSM's.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return checkpoint{}, nil }

// Restore is raft.FSM's: another node's snapshot has been received and is on
// the shelf already, so the store takes its files from there.
func (f *fsm) Restore(from io.ReadCloser) error {
	if w, ok := from.(raft.ReadCloserWrapper); ok {
		from = w.WrappedReadCloser()
	}
	o, ok := from.(*store.Opened)
	if !ok {
		return fmt.Errorf("restore from a %T", from)
	}
	have, err := f.store.AppliedIndex()
	if err != nil {
		return err
	}
	if have < o.Applied { // else this replica has all of it, and more
		if err := f.store.Restore(o.Dir); err != nil {
			return err
		}
	}
	err = f.begin()
	if err != nil { // raft would try it again for ever
		f.fatal(err)
	}
	return err
}

// begin takes up the store as it is, at start and after Restore.
func (f *fsm) begin() error {
	if err := f.learn(); err != nil {
		return err
	}
	at, err := f.store.AppliedIndex()
	if err != nil {
		return err
	}
	f.hub.lost()
	f.applied.advance(at)
	return nil
}
