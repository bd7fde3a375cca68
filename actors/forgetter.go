package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// forgetEvery is how often whoever leads looks for saves of computers that are gone.
const forgetEvery = time.Hour

// forgetter deletes from the blob store what is left of computers whose records
// say that they were deleted. Those that no record knows stay, and are counted:
// they are another cluster's, or all that is left of this one's past.
type forgetter struct{ *ownership }

func (f *forgetter) keep(ctx context.Context) {
	whileLeading(ctx, f.cluster, nil, func(ctx context.Context) (time.Duration, error) { return forgetEvery, f.round(ctx) },
		func(err error) { f.log.Warn("forget the saves of computers that are gone", "err", err) })
}

func (f *forgetter) round(ctx context.Context) error {
	saver, _, ok := f.saver()
	if !ok {
		return nil
	}
	unknown := 0
	err := saver.SavedComputers(ctx, func(id runtime.ID) error {
		l, err := f.legacyOf(ctx, state.ComputerID(id))
		if err == nil && l.deleted {
			err = f.forgetSaves(ctx, saver, state.ComputerID(id))
		}
		if !l.known && len(l.durable) == 0 {
			unknown++
		}
		return err
	})
	f.metrics.foreign.Set(float64(unknown))
	return err
}

// without forgets what the store has of a snapshot that was deleted, and of its
// computer if that is gone. Where the computer is there its owner does it.
func (f *forgetter) without(ctx context.Context, s state.Snapshot) {
	saver, _, ok := f.saver()
	if !ok {
		return
	}
	l, err := f.legacyOf(ctx, s.Computer)
	if err == nil && (l.deleted || !l.known) {
		err = f.keepDurable(ctx, saver, s.Computer, l)
	}
	if err != nil {
		f.log.Warn("forget a snapshot in the blob store", "snapshot", string(s.ID), "err", err)
	}
}

// legacy is what there is of a computer, as the cluster confirms.
type legacy struct {
	known, deleted bool
	durable        []string // snapshots of it that are in the store
}

func (d *ownership) legacyOf(ctx context.Context, id state.ComputerID) (l legacy, err error) {
	v, err := d.cluster.Read(ctx)
	if err != nil {
		return l, fmt.Errorf("confirm what there is of computer %s: %w", id, err)
	}
	defer v.Close()
	c, known, err := v.AnyComputer(id)
	if err != nil {
		return l, err
	}
	l.known, l.deleted = known, known && c.Phase == state.Deleted
	l.durable, err = v.DurableSnapshots(id)
	return l, err
}

// forgetSaves deletes what the store has of a computer that was deleted, but for
// snapshots of it.
func (d *ownership) forgetSaves(ctx context.Context, saver runtime.Saver, id state.ComputerID) error {
	l, err := d.legacyOf(ctx, id)
	if err != nil || !l.deleted {
		return err
	}
	return d.keepDurable(ctx, saver, id, l)
}

// keepDurable has the store keep only the snapshots of a computer that is gone.
func (d *ownership) keepDurable(ctx context.Context, saver runtime.Saver, id state.ComputerID, l legacy) error {
	if len(l.durable) > 0 {
		return saver.SweepSaves(ctx, runtime.ID(id), l.durable)
	}
	return saver.ForgetSaves(ctx, runtime.ID(id))
}

// reachStore tells the cluster which blob store this node reaches.
func (s *System) reachStore(ctx context.Context) error {
	_, store, _ := s.shop.saver()
	self := s.o.Cluster.Self()
	node, err := applied(s.o.Cluster, func(v *state.View) (state.Node, error) { return v.Node(self) })
	if err == nil && node.Store != store {
		_, err = s.o.Cluster.Apply(ctx, state.ReachStore{Node: self, Store: store})
	}
	return err
}

// tendSaves has the snapshots saved that are on this node alone.
func (s *System) tendSaves(context.Context) error {
	if _, _, ok := s.shop.saver(); !ok || s.o.Lease.Held() != nil {
		return nil
	}
	alone := map[state.ComputerID]bool{}
	_, err := applied(s.o.Cluster, func(v *state.View) (struct{}, error) {
		return struct{}{}, v.SnapshotsOn(s.o.Cluster.Self(), func(one state.Snapshot) bool {
			if one.Unsaved() {
				alone[one.Computer] = true
			}
			return true
		})
	})
	for id := range alone {
		err = errors.Join(err, s.system.tell(computerKind, string(id), unsafe{}, newComputer(s.shop.ownership, id)))
	}
	return err
}
