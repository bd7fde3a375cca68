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
		gone, known, err := f.gone(ctx, state.ComputerID(id))
		if err != nil || gone {
			return errors.Join(err, f.forget(ctx, saver, state.ComputerID(id), gone))
		}
		if !known {
			unknown++
		}
		return nil
	})
	f.metrics.foreign.Set(float64(unknown))
	return err
}

func (f *forgetter) forget(ctx context.Context, saver runtime.Saver, id state.ComputerID, gone bool) error {
	if !gone {
		return nil
	}
	return f.forgetSaves(ctx, saver, id)
}

// gone reports whether a computer was deleted, as the cluster confirms, and
// whether anything of it is on record.
func (d *ownership) gone(ctx context.Context, id state.ComputerID) (gone, known bool, err error) {
	v, err := d.cluster.Read(ctx)
	if err != nil {
		return false, false, fmt.Errorf("confirm that computer %s is gone: %w", id, err)
	}
	defer v.Close()
	c, known, err := v.AnyComputer(id)
	if err != nil {
		return false, known, err
	}
	durable, err := v.DurableSnapshots(id)
	return known && c.Phase == state.Deleted && len(durable) == 0, known || len(durable) > 0, err
}

// forgetSaves deletes what the store has of a computer that is gone, unless a
// snapshot of it is there.
func (d *ownership) forgetSaves(ctx context.Context, saver runtime.Saver, id state.ComputerID) error {
	gone, _, err := d.gone(ctx, id)
	if err != nil || !gone {
		return err
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
