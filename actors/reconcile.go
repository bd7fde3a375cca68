package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// orphanAge is how long a computer without a record is left alone: its record
// may be on its way.
const orphanAge = 10 * time.Minute

// claim is what a node does about a computer that its machine holds.
type claim string

const (
	keep    claim = "keep"    // it is this node's: thaw it and go on
	leave   claim = "leave"   // it moved: stop it here and keep its disk as a snapshot
	discard claim = "discard" // it was deleted: remove what is left
	wait    claim = "wait"    // nobody knows it: look again later
)

// judge decides about a computer on this machine from its record.
func judge(self state.NodeID, c state.Computer, known bool) claim {
	switch {
	case !known:
		return wait
	case c.Phase == state.Deleted:
		return discard
	case c.Node == self:
		return keep
	}
	return leave
}

// Reconcile compares what this machine holds with the records, as confirmed by
// the cluster: computer by computer what is still this node's own is thawed,
// what moved away is stopped and its disk kept, what was deleted is removed.
// It is called when a new life of the node begins, before it acts, and again
// from time to time.
func (s *System) Reconcile(ctx context.Context) error {
	s.reconciling.Lock()
	defer s.reconciling.Unlock()
	if err := s.reachStore(ctx); err != nil {
		s.log.Warn("tell which blob store this node reaches", "err", err) // told again in a while
	}
	held, err := s.o.Driver.List(ctx)
	if err != nil {
		return fmt.Errorf("list this machine's computers: %w", err)
	}
	v, err := s.o.Cluster.Read(ctx)
	if err != nil {
		return fmt.Errorf("confirm this machine's computers: %w", err)
	}
	defer v.Close()
	here := map[runtime.ID]bool{}
	for _, status := range held {
		here[status.ID] = true
		c, known, findErr := v.AnyComputer(state.ComputerID(status.ID))
		building, findBuildErr := s.builds(v, status.ID)
		if findErr = errors.Join(findErr, findBuildErr); findErr != nil {
			return findErr
		}
		if building {
			continue
		}
		err = errors.Join(err, s.reconcile(ctx, status, c, known))
	}
	maps.DeleteFunc(s.orphans, func(id runtime.ID, _ time.Time) bool { return !here[id] })
	if sweeper, ok := s.o.Driver.(Sweeper); ok {
		// What belongs to no computer at all; computers are judged above.
		_, sweepErr := sweeper.Sweep(ctx, func(runtime.ID) bool { return true })
		err = errors.Join(err, sweepErr)
	}
	return errors.Join(err, s.sweepSnapshots(ctx, v), s.lookAll(ctx))
}

// builds reports whether steps of a build that this node has to make run in a
// computer, which then has no record of its own.
func (s *System) builds(v *state.View, id runtime.ID) (bool, error) {
	b, ok, err := v.BuildIn(state.ComputerID(id))
	return ok && b.Node == s.o.Cluster.Self(), err
}

// Sweeper is a driver that can remove what carries this node's uuid and
// belongs to no computer that known says yes to.
type Sweeper interface {
	Sweep(ctx context.Context, known func(runtime.ID) bool) ([]runtime.ID, error)
}

func (s *System) reconcile(ctx context.Context, status runtime.Status, c state.Computer, known bool) error {
	switch judge(s.o.Cluster.Self(), c, known) {
	case keep:
		// One that is older than its save is set aside by its actor instead.
		older := newnessOf(c, s.o.Cluster.Self(), status.Phase, status) == olderDisk
		if t, ok := s.o.Driver.(runtime.Thawer); ok && status.Phase == runtime.Frozen && !older {
			return t.Thaw(ctx, runtime.Epoch(c.Epoch), status.ID)
		}
	case leave:
		return s.leave(ctx, status, c)
	case discard:
		return s.o.Driver.Remove(ctx, status.Epoch, status.ID)
	case wait:
		return s.orphan(ctx, status)
	}
	return nil
}

// leave ends a computer that goes on elsewhere. Its disk is kept, as the newest
// while nobody else has one that is, and then as a snapshot.
func (s *System) leave(ctx context.Context, status runtime.Status, c state.Computer) error {
	switch {
	case c.DataNode == s.o.Cluster.Self():
		return s.shop.halt(ctx, status)
	case c.Restored.Clean && !c.Restored.Bared && state.Epoch(status.Epoch)+1 == c.Restored.Epoch:
		// The next owner began with all of it.
		return s.o.Driver.Remove(ctx, status.Epoch, status.ID)
	}
	return s.shop.keepDisk(ctx, c, status)
}

// orphan removes a computer that has had no record for long.
func (s *System) orphan(ctx context.Context, status runtime.Status) error {
	now := s.o.Now()
	first, seen := s.orphans[status.ID]
	if !seen {
		s.orphans[status.ID] = now
		return nil
	}
	if now.Sub(first) < orphanAge {
		return nil
	}
	delete(s.orphans, status.ID)
	s.log.Info("removing a computer without a record", "computer", string(status.ID))
	return s.o.Driver.Remove(ctx, status.Epoch, status.ID)
}
