package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// saveDeadline bounds one save, however much there is to send.
	saveDeadline = 6 * time.Hour
	// sweepDeadline bounds the deletion of saves that nobody needs. It is so short
	// that none goes on when another node, to which this one gave the computer,
	// has made a save of its own.
	sweepDeadline = 15 * time.Second
	// saveNames is what the names of saves begin with, and so those of the
	// snapshots that they are made from.
	saveNames = "save"
)

// errSaveGoesOn is why a save was not begun.
var errSaveGoesOn = fault.New(fault.Conflict, "another save of the computer goes on")

// saver is the driver as one that saves disks off this machine, and the id of
// the store that it reaches; false where none is configured.
func (d *ownership) saver() (runtime.Saver, string, bool) {
	s, ok := d.driver.(runtime.Saver)
	if !ok {
		return nil, "", false
	}
	store := s.Store()
	return s, store, store != ""
}

// noStore is why nothing is saved here.
func noStore() error {
	return fault.New(fault.Unsupported, "no blob store is configured: set blob.directory or blob.s3 in the configuration of every node").WithCode(CodeNoStore)
}

// CodeNoStore marks the Unsupported of a save where there is no blob store.
const CodeNoStore = "NO_STORE"

// save saves a computer's disk, and the snapshots of it that are on this machine
// alone, and records that. It looks at the record itself, and does nothing of
// what is done already. sweep has it delete what no record names any more.
func (d *ownership) save(ctx context.Context, id state.ComputerID, sweep bool) error {
	whole, cancel := context.WithTimeout(ctx, saveDeadline)
	defer cancel()
	ctx, release := d.lease(whole)
	defer release()
	select {
	case d.savings.turns <- struct{}{}:
		defer func() { <-d.savings.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := d.held(); err != nil {
		return err
	}
	c, owner, err := d.owned(id)
	switch {
	case err != nil:
		return err
	case !owner:
		return fault.New(fault.Moved, "computer %s belongs to another node", id)
	case c.Wish == state.WishDeleted:
		return fault.New(fault.Conflict, "computer %s is being deleted", id)
	case c.DataNode != c.Node:
		return fault.New(fault.Conflict, "computer %s has no disk on its node that could be saved", id)
	}
	saver, store, ok := d.saver()
	if !ok {
		return noStore()
	}
	if err := d.recordable(state.SaveDisk{}); err != nil {
		return err
	}
	begun := d.now()
	made, err := d.saveDisk(ctx, saver, store, c)
	if !errors.Is(err, errNothingToSave) {
		d.metrics.saved(made, d.now().Sub(begun), err)
	} else {
		err = nil
	}
	switch {
	case err != nil && ctx.Err() != nil && fault.Of(translate(err)) == fault.Internal:
		return cutShort(whole, err)
	case err != nil:
		return d.unsaved(ctx, c, err)
	}
	if c, owner, err = d.owned(id); err != nil || !owner {
		return err
	}
	if err := d.saveSnapshots(ctx, saver, store, c); err != nil || !sweep {
		return err
	}
	return d.sweepSaves(ctx, saver, c)
}

// recordable refuses what some members could not read the record of.
func (d *ownership) recordable(cmd state.Command) error {
	c, err := applied(d.cluster, func(v *state.View) (state.Cluster, error) {
		c, _, err := v.Cluster()
		return c, err
	})
	if need := state.VersionOf(cmd); err == nil && c.Version < need {
		err = fault.New(fault.Unavailable, "that is done once all members of the cluster are upgraded").WithRetry(maxSaveRetry)
	}
	return err
}

// errNothingToSave ends a save that finds the record to be right.
var errNothingToSave = errors.New("nothing to save")

// saveDisk makes one save from a snapshot, or finds that the last one is as
// good, and records what it found.
func (d *ownership) saveDisk(ctx context.Context, saver runtime.Saver, store string, c state.Computer) (made runtime.Saved, err error) {
	keeper, ok := d.driver.(runtime.Snapshotter)
	if !ok {
		return made, fault.New(fault.Unsupported, "this node keeps no snapshots")
	}
	source := runtime.Source{Computer: runtime.ID(c.ID), Name: newID[string](saveNames)}
	one, ok := d.savings.begin(c.ID, source.Name)
	if !ok {
		return made, errSaveGoesOn
	}
	defer one.end()
	begun := d.now()
	quiet := !d.savings.using(c.ID) && d.down(ctx, c)
	base := ""
	if c.Saved.Store == store {
		base = c.Saved.Name
	}
	unsaved := true
	if base != "" {
		if unsaved, err = saver.Unsaved(ctx, source.Computer, base); err != nil {
			return made, fmt.Errorf("find what is unsaved: %w", err)
		}
	}
	save := c.Saved
	if unsaved {
		d.savings.found(c.ID, true, later(c.Saved.MadeAt, c.CreatedAt))
		if made, err = d.put(ctx, saver, keeper, c, source, base); err != nil {
			return made, err
		}
		save = state.Save{Name: made.Name, Store: store, Image: made.Image, MadeAt: made.MadeAt, Bytes: made.Bytes}
	}
	quiet = quiet && d.down(ctx, c)
	save.Clean = one.record() && quiet
	if !unsaved && save.Clean == c.Saved.Clean {
		d.savings.found(c.ID, false, begun)
		return made, errNothingToSave
	}
	if _, err = d.cluster.Apply(ctx, state.SaveDisk{Computer: c.ID, Epoch: c.Epoch, Base: c.Saved.Name, Save: save}); err != nil {
		d.savings.doubt(c.ID, doubtSave) // it may be recorded yet
		return made, fmt.Errorf("record a save: %w", err)
	}
	d.savings.found(c.ID, false, begun)
	if !save.Clean { // it goes on being written to
		d.savings.found(c.ID, true, begun)
	}
	if !unsaved {
		err = errNothingToSave
	}
	return made, err
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// put saves the disk as it is now. What base names may be gone.
func (d *ownership) put(ctx context.Context, saver runtime.Saver, keeper runtime.Snapshotter, c state.Computer, source runtime.Source, base string) (runtime.Saved, error) {
	return d.still(ctx, keeper, c, source, func() (runtime.Saved, error) {
		made, err := saver.SaveSnapshot(ctx, source, base)
		if errors.Is(err, runtime.ErrNoSave) && base != "" { // somebody emptied the store
			made, err = saver.SaveSnapshot(ctx, source, "")
		}
		return made, err
	})
}

// still has a snapshot saved that is made for it and goes with it. One that stays,
// when the node ends meanwhile, is swept as a stray.
func (d *ownership) still(ctx context.Context, keeper runtime.Snapshotter, c state.Computer, source runtime.Source, save func() (runtime.Saved, error)) (runtime.Saved, error) {
	still, err := keeper.Snapshot(ctx, runtime.Epoch(c.Epoch), source.Computer, source.Name)
	if err != nil {
		return runtime.Saved{}, fmt.Errorf("snapshot for a save: %w", err)
	}
	defer func() {
		if err := keeper.DropSnapshot(context.WithoutCancel(ctx), source); err != nil {
			d.log.Warn("drop the snapshot of a save", "computer", string(c.ID), "snapshot", source.Name, "err", err)
		}
	}()
	d.metrics.still.Observe(still.Still.Seconds())
	return save()
}

// down reports whether the computer has no processes just now.
func (d *ownership) down(ctx context.Context, c state.Computer) bool {
	_, fact, err := inspect(ctx, d.driver, c.ID)
	return err == nil && (fact == runtime.Stopped || fact == runtime.Created)
}

// unsaved records why a computer could not be saved, once for each reason.
func (d *ownership) unsaved(ctx context.Context, c state.Computer, err error) error {
	text := faultText(translate(err))
	if ctx.Err() != nil || errors.Is(err, errSaveGoesOn) || fault.Is(err, fault.Moved) || c.SaveError == text {
		return err
	}
	_, recordErr := d.cluster.Apply(ctx, state.SaveDisk{Computer: c.ID, Epoch: c.Epoch, Base: c.Saved.Name, Error: text})
	return errors.Join(err, recordErr)
}

// saveSnapshots puts the computer's snapshots on this machine into the store.
func (d *ownership) saveSnapshots(ctx context.Context, saver runtime.Saver, store string, c state.Computer) error {
	pending, err := applied(d.cluster, func(v *state.View) ([]state.Snapshot, error) { return v.UnsavedSnapshots(c.ID, d.cluster.Self()) })
	for _, s := range pending {
		err = errors.Join(err, d.saveSnapshot(ctx, saver, store, c, s))
	}
	return err
}

func (d *ownership) saveSnapshot(ctx context.Context, saver runtime.Saver, store string, c state.Computer, s state.Snapshot) error {
	done := state.SnapshotSaved{ID: s.ID, Epoch: c.Epoch, Durable: state.DurableSyncing}
	if s.Durable != state.DurableSyncing {
		if _, err := d.cluster.Apply(ctx, done); err != nil {
			return fmt.Errorf("record that a snapshot is being saved: %w", err)
		}
	}
	base := ""
	if c.Saved.Store == store {
		base = c.Saved.Name
	}
	begun := d.now()
	made, err := saver.SaveSnapshot(ctx, runtime.Source{Computer: runtime.ID(c.ID), Name: string(s.ID)}, base)
	d.metrics.saved(made, d.now().Sub(begun), err)
	switch {
	case ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case err == nil:
		done.Durable, done.Store = state.DurableReady, store
	default:
		done.Error = faultText(translate(err))
		if errors.Is(err, runtime.ErrNoSnapshot) {
			done.Durable = state.DurableFailed
			err = nil // it will not come back
		}
	}
	if done.Durable == state.DurableSyncing && s.DurableError == done.Error {
		return err
	}
	_, recordErr := d.cluster.Apply(ctx, done)
	return errors.Join(err, recordErr)
}

// sweepSaves deletes the saves that no record names any more. While the lease
// holds nobody else records any.
func (d *ownership) sweepSaves(ctx context.Context, saver runtime.Saver, c state.Computer) error {
	keep, err := applied(d.cluster, func(v *state.View) ([]string, error) { return v.DurableSnapshots(c.ID) })
	if err != nil {
		return err
	}
	if err := d.held(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sweepDeadline)
	defer cancel()
	if err := saver.SweepSaves(ctx, runtime.ID(c.ID), append(keep, c.Saved.Name)); err != nil {
		return fmt.Errorf("sweep saves: %w", err)
	}
	return nil
}

// write has the record say that the computer's disk is about to be written to,
// unless it says so already. Nobody may before it returns.
func (d *ownership) write(ctx context.Context, id state.ComputerID) error {
	doubt, err := d.savings.touch(ctx, id)
	if err != nil {
		return err
	}
	c, owner, err := d.owned(id)
	switch {
	case err != nil || !owner:
		return err // who is no owner is refused elsewhere
	case doubt == doubtGift:
		return d.reclaim(ctx, c)
	case !c.Saved.Clean && doubt == "":
		return nil
	}
	if _, err := d.cluster.Apply(ctx, state.DirtyDisk{Computer: id, Epoch: c.Epoch}); err != nil {
		return fmt.Errorf("record that the disk changes: %w", err)
	}
	d.savings.certain(id)
	d.savings.found(id, true, d.now())
	return nil
}
