package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// Snapshots are computers' disks as they were. Every method works on any node:
// a snapshot is made by its computer's owner, and deleted by the node it is on.
type Snapshots struct {
	cluster   Cluster
	computers *Computers
}

// SnapshotAsked is a snapshot of which something was asked, and the operation
// that was begun for it; nil when nothing was left to do.
type SnapshotAsked struct {
	Snapshot  state.Snapshot
	Operation *state.Operation
}

// Create asks for a snapshot of a computer, running or not, and does not wait
// for it.
func (s *Snapshots) Create(ctx context.Context, c Caller, computer state.ComputerID) (SnapshotAsked, error) {
	cmd := state.CreateSnapshot{Account: c.Account, Computer: computer, ID: newID[state.SnapshotID]("snap"),
		Operation: state.Operation{ID: newID[state.OperationID]("op")}, Idempotency: c.Idempotency}
	made, err := propose[state.Made](ctx, s.cluster, cmd)
	if err != nil {
		return SnapshotAsked{}, err
	}
	if !made.Replayed {
		s.computers.settle(ctx, computer)
	}
	return s.asked(c.Account, state.SnapshotID(made.Resource.ID), cmd.Operation.ID, state.CreateSnapshotOperation)
}

// Delete asks the node that has a snapshot to delete it.
func (s *Snapshots) Delete(ctx context.Context, c Caller, id state.SnapshotID) (SnapshotAsked, error) {
	before, err := view(ctx, s.cluster, func(v *state.View) (state.Snapshot, error) { return v.Snapshot(c.Account, id) })
	if err != nil {
		return SnapshotAsked{}, err
	}
	done, err := propose[state.Wished](ctx, s.cluster, state.DeleteSnapshot{Account: c.Account, ID: id,
		Operation: state.Operation{ID: newID[state.OperationID]("op")}})
	if err != nil {
		return SnapshotAsked{}, err
	}
	asked, err := s.asked(c.Account, id, done.Operation, state.DeleteSnapshotOperation)
	if fault.Is(err, fault.NotFound) { // it is gone already
		before.Phase = state.SnapshotDeleting
		return SnapshotAsked{Snapshot: before}, nil
	}
	return asked, err
}

// asked reads a snapshot and an operation of a kind on it as this node has
// applied them. A request that was answered before has its operation under
// another id, as long as it is open.
func (s *Snapshots) asked(account state.AccountID, id state.SnapshotID, op state.OperationID, kind state.OperationKind) (SnapshotAsked, error) {
	return applied(s.cluster, func(v *state.View) (a SnapshotAsked, err error) {
		if a.Snapshot, err = v.Snapshot(account, id); err != nil {
			return a, err
		}
		o, err := v.Operation(account, op)
		if err == nil {
			a.Operation = &o
		}
		if !fault.Is(err, fault.NotFound) {
			return a, err
		}
		open, err := v.OpenOperations(a.Snapshot.Computer)
		for _, o := range open {
			if o.Snapshot == id && o.Kind == kind {
				a.Operation = &o
			}
		}
		return a, err
	})
}

// snap makes the snapshots of a computer that are asked for, and records each
// or why it could not be made. Made twice it is one: its name is its id.
func (d *ownership) snap(ctx context.Context, c state.Computer) error {
	pending, err := applied(d.cluster, func(v *state.View) ([]state.Snapshot, error) { return v.PendingSnapshots(c.ID) })
	if err != nil {
		return err
	}
	for _, s := range pending {
		done := state.SnapshotMade{ID: s.ID, Epoch: c.Epoch}
		made, err := d.snapshot(ctx, c, s)
		if errors.Is(err, runtime.ErrStaleEpoch) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			d.log.Warn("snapshot computer", "computer", string(c.ID), "err", err)
			done.Error = faultText(translate(err))
		} else {
			done.Bytes = made.Bytes
			d.metrics.still.Observe(made.Still.Seconds())
		}
		if _, err := d.cluster.Apply(ctx, done); err != nil {
			return err
		}
	}
	return nil
}

func (d *ownership) snapshot(ctx context.Context, c state.Computer, s state.Snapshot) (runtime.Snapshot, error) {
	keeper, ok := d.driver.(runtime.Snapshotter)
	if !ok {
		return runtime.Snapshot{}, fault.New(fault.Unsupported, "this node keeps no snapshots")
	}
	return keeper.Snapshot(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID), string(s.ID))
}

// sourceOf is the snapshot that a computer begins as, on this machine or in the
// blob store; none is both zero values.
func (d *ownership) sourceOf(c state.Computer) (runtime.Source, runtime.Save, error) {
	if c.Source == "" {
		return runtime.Source{}, runtime.Save{}, nil
	}
	s, err := applied(d.cluster, func(v *state.View) (state.Snapshot, error) {
		s, known, err := v.AnySnapshot(c.Source)
		if err == nil && !known {
			err = fault.New(fault.NotFound, "Snapshot not found: %s", c.Source)
		}
		return s, err
	})
	of := runtime.Source{Computer: runtime.ID(s.Computer), Name: string(s.ID)}
	_, store, _ := d.saver()
	switch {
	case err != nil:
		return runtime.Source{}, runtime.Save{}, err
	case s.Node == d.cluster.Self():
		return of, runtime.Save{}, nil
	case s.Store != "" && s.Store == store:
		return runtime.Source{}, runtime.Save(of), nil
	}
	return runtime.Source{}, runtime.Save{}, fault.New(fault.Unavailable, "snapshot %s is on another node", s.ID)
}

// dropSnapshots deletes those of this node that are to be deleted, or whose time
// is over. The data go first: a record without them would promise what is not
// there.
func (s *System) dropSnapshots(ctx context.Context) error {
	keeper, ok := s.o.Driver.(runtime.Snapshotter)
	if !ok || s.o.Lease.Held() != nil {
		return nil
	}
	s.dropping.Lock()
	defer s.dropping.Unlock()
	now := s.o.Now()
	doomed, err := applied(s.o.Cluster, func(v *state.View) (list []state.Snapshot, err error) {
		err = v.SnapshotsOn(s.o.Cluster.Self(), func(one state.Snapshot) bool {
			if one.Phase == state.SnapshotDeleting || expired(one, now) {
				list = append(list, one)
			}
			return true
		})
		return list, err
	})
	for _, one := range doomed {
		dropErr := keeper.DropSnapshot(ctx, runtime.Source{Computer: runtime.ID(one.Computer), Name: string(one.ID)})
		var gone state.Command = state.SnapshotGone{ID: one.ID, Node: s.o.Cluster.Self()}
		if one.Phase != state.SnapshotDeleting {
			gone = state.DropDisk{ID: one.ID}
		}
		if dropErr == nil {
			_, dropErr = s.o.Cluster.Apply(ctx, gone)
		}
		if dropErr == nil && one.Store != "" {
			s.forgetting.without(ctx, one)
		}
		if dropErr != nil {
			err = errors.Join(err, fmt.Errorf("delete snapshot %s: %w", one.ID, dropErr))
		}
	}
	return err
}

// expired reports whether a disk that was left has been kept for its time.
func expired(s state.Snapshot, now time.Time) bool { return s.Kept && now.After(s.ExpiresAt) }

// sweepSnapshots deletes those of this machine that have had no record for long,
// of nodes that died between making one and recording it, and those that were
// done too late, or not quite: their records say that they failed.
func (s *System) sweepSnapshots(ctx context.Context, v *state.View) error {
	keeper, ok := s.o.Driver.(runtime.Snapshotter)
	if !ok {
		return nil
	}
	held, err := keeper.Snapshots(ctx, "")
	if err != nil {
		return fmt.Errorf("list this machine's snapshots: %w", err)
	}
	now := s.o.Now()
	here := map[runtime.Source]time.Time{}
	for _, one := range held {
		record, known, err := v.AnySnapshot(state.SnapshotID(one.Name))
		if err != nil {
			return err
		}
		if known && record.Node == s.o.Cluster.Self() && record.Phase != state.SnapshotFailed {
			continue
		}
		if strings.HasPrefix(one.Name, saveNames+"_") {
			if s.shop.savings.saves(one.Source) {
				continue
			}
			// Of a save that ended with the process: nobody else knows of it.
			if err := keeper.DropSnapshot(ctx, one.Source); err != nil {
				return err
			}
			continue
		}
		// A run's own lasts as long as the run does.
		run, known, err := v.AnyRun(state.RunID(one.Name))
		if err != nil {
			return err
		}
		if known && !run.Status.Over() {
			continue
		}
		c, known, err := v.AnyComputer(state.ComputerID(one.Computer))
		if err != nil {
			return err
		}
		first, seen := s.strays[one.Source]
		if !seen {
			first = now
		}
		// No record is on its way any more about a computer that is deleted.
		deleted := known && c.Phase == state.Deleted
		if here[one.Source] = first; !deleted && now.Sub(first) < orphanAge {
			continue
		}
		s.log.Info("removing a snapshot that no record promises", "computer", string(one.Computer), "snapshot", one.Name)
		if err := keeper.DropSnapshot(ctx, one.Source); err != nil {
			return err
		}
		delete(here, one.Source)
	}
	s.strays = here
	return nil
}
