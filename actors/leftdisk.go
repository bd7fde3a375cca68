package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// halt stops a computer here that goes on elsewhere.
func (d *ownership) halt(ctx context.Context, status runtime.Status) error {
	if status.Phase != runtime.Running && status.Phase != runtime.Frozen {
		return nil
	}
	if err := d.driver.Stop(ctx, status.Epoch, status.ID, 0); err != nil {
		return fmt.Errorf("stop computer %s, which moved: %w", status.ID, err)
	}
	return nil
}

// setAside keeps the disk that is here, for a newer one to take its place.
func (d *ownership) setAside(ctx context.Context, c state.Computer) error {
	status, err := d.driver.Inspect(ctx, runtime.ID(c.ID))
	if err != nil {
		return err
	}
	d.log.Info("setting a disk aside that is older than its save", "computer", string(c.ID), "epoch", uint64(status.Epoch), "saved", uint64(c.Saved.Epoch))
	return d.keepDisk(ctx, c, status)
}

// keepDisk keeps a disk that is no longer its computer's as a snapshot, in the
// epoch that it was left in, and takes the computer away. The record comes first,
// so that the snapshot belongs to something; done again it goes on where it was.
func (d *ownership) keepDisk(ctx context.Context, c state.Computer, status runtime.Status) error {
	if err := d.halt(ctx, status); err != nil {
		return err
	}
	kept, err := d.recordLeft(ctx, c, status)
	if err != nil {
		return err
	}
	if !kept.Kept {
		keeper, ok := d.driver.(runtime.Snapshotter)
		if !ok {
			return d.expireDisk(ctx, status, kept)
		}
		_, err := keeper.Snapshot(ctx, status.Epoch, status.ID, string(kept.ID))
		if errors.Is(err, runtime.ErrUnsupported) {
			return d.expireDisk(ctx, status, kept)
		}
		if err != nil {
			return fmt.Errorf("keep the disk of computer %s, which moved: %w", c.ID, err)
		}
		if _, err := d.cluster.Apply(ctx, state.DiskKept{ID: kept.ID, Node: kept.Node}); err != nil {
			return fmt.Errorf("record the disk of computer %s, which moved: %w", c.ID, err)
		}
	}
	if err := d.driver.Remove(ctx, status.Epoch, status.ID); err != nil {
		return fmt.Errorf("remove computer %s, which moved: %w", c.ID, err)
	}
	return nil
}

// recordLeft finds or makes the record of a disk that was left here.
func (d *ownership) recordLeft(ctx context.Context, c state.Computer, status runtime.Status) (kept state.Snapshot, err error) {
	self := d.cluster.Self()
	find := func() (ok bool, err error) {
		kept, err = applied(d.cluster, func(v *state.View) (s state.Snapshot, err error) {
			s, ok, err = v.LeftDisk(c.ID, self, state.Epoch(status.Epoch))
			return s, err
		})
		return ok, err
	}
	if ok, err := find(); ok || err != nil {
		return kept, err
	}
	node, err := applied(d.cluster, func(v *state.View) (state.Node, error) { return v.Node(self) })
	if err != nil {
		return kept, err
	}
	cmd := state.KeepDisk{ID: newID[state.SnapshotID]("snap"), Computer: c.ID, Node: self, Epoch: state.Epoch(status.Epoch),
		Name: fmt.Sprintf("left on node %s, epoch %d", node.Name, status.Epoch)}
	if _, err := d.cluster.Apply(ctx, cmd); err != nil {
		return kept, fmt.Errorf("record a disk that was left: %w", err)
	}
	ok, err := find()
	if err == nil && !ok {
		err = fmt.Errorf("the disk that computer %s left has no record", c.ID)
	}
	return kept, err
}

// expireDisk removes a disk where no snapshots are, once its time is over, the
// disk first: a record without a disk would promise what is not there, but a
// disk without one is found again.
func (d *ownership) expireDisk(ctx context.Context, status runtime.Status, kept state.Snapshot) error {
	if d.now().Before(kept.ExpiresAt) {
		return nil
	}
	if err := d.driver.Remove(ctx, status.Epoch, status.ID); err != nil {
		return fmt.Errorf("remove the disk of computer %s, which moved: %w", status.ID, err)
	}
	_, err := d.cluster.Apply(ctx, state.DropDisk{ID: kept.ID})
	return err
}
