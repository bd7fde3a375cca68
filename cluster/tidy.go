package cluster

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// tidyEvery is how often the janitor looks.
	tidyEvery = time.Minute
	// orphanAfter is how long something may lie here without a record before it
	// is removed: a record is always made first, so it is merely on its way.
	orphanAfter = 10 * time.Minute
)

// Estate is what lies on this machine under this node's uuid. What carries
// another's, it does not list.
type Estate interface {
	// List names the computers of which something lies here.
	List(ctx context.Context) ([]state.ComputerID, error)
	// Remove removes what lies here of a computer. Removing nothing is success.
	Remove(ctx context.Context, id state.ComputerID) error
}

// orphaned says whether what lies here of a computer is nobody's: its record
// says that it is deleted, or there has been none for long enough. What
// another node owns by now is not the janitor's: it is kept as a snapshot.
func orphaned(c state.Computer, exists bool, missing time.Duration) bool {
	if exists {
		return c.Phase == state.Deleted
	}
	return missing >= orphanAfter
}

// Tidy removes, until ctx ends, what is left here of computers that are no
// more. It decides only on records confirmed by the leader, while this node
// holds its lease.
func (c *Cluster) Tidy(ctx context.Context, e Estate) {
	missing := map[state.ComputerID]time.Duration{} // since when, by Boottime
	for ctx.Err() == nil {
		if err := c.tidy(ctx, e, missing); err != nil && ctx.Err() == nil {
			c.log.Warn("tidying up failed; it is tried again", "err", err)
		}
		pause(ctx, tidyEvery)
	}
}

func (c *Cluster) tidy(ctx context.Context, e Estate, missing map[state.ComputerID]time.Duration) error {
	if !c.LeaseHeld() {
		return nil
	}
	here, err := e.List(ctx)
	if err != nil {
		return err
	}
	v, err := c.Read(ctx) // after the list: what was listed has its record by now
	if err != nil {
		return err
	}
	defer v.Close()
	now, lies := c.clock.Boottime(), map[state.ComputerID]bool{}
	for _, id := range here {
		lies[id] = true
		rec, exists, err := v.AnyComputer(id)
		if err != nil {
			return err
		}
		since, known := missing[id]
		if exists {
			delete(missing, id)
		} else if !known {
			missing[id], since = now, now
		}
		if !orphaned(rec, exists, now-since) {
			continue
		}
		c.log.Info("removing what is left of a computer", "computer", string(id), "had_record", exists)
		if err := e.Remove(ctx, id); err != nil {
			return err
		}
	}
	for id := range missing {
		if !lies[id] {
			delete(missing, id)
		}
	}
	return nil
}
