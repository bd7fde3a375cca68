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
	// lastSaveDeadline bounds how long a computer is down to be saved for the last
	// time on a node.
	lastSaveDeadline = 5 * time.Minute
	// lastSavePause is how long it waits for another save to end, or for files to
	// be left alone.
	lastSavePause = 100 * time.Millisecond
)

// part asks a computer's actor to give the computer to another node. It is
// answered when that owns it, or with why it does not; then all is as before.
type part struct {
	to   state.NodeID
	sent string // what of its disk is there already, as sendAhead returned it
}

// parting is a part that goes on.
type parting struct {
	part
	answer func(any, error)
}

func (c *computer) part(m part, answer func(any, error)) {
	if c.parting != nil {
		answer(nil, fault.New(fault.Conflict, "computer %s is being given away already", c.id))
		return
	}
	c.parting = &parting{m, answer}
	c.look()
}

// parted answers who asked for it.
func (c *computer) parted(err error) {
	if c.parting != nil {
		c.parting.answer(nil, err)
		c.parting = nil
	}
}

// orGive gives the computer away instead of having it rest or start here. What
// is being removed is not given away.
func (c *computer) orGive(what action) action {
	if c.parting == nil {
		return what
	}
	switch what {
	case remove, forget:
		c.parted(fault.New(fault.Conflict, "computer %s is being deleted", c.id))
	case nothing, create, start, stop, resize, egress, setAside:
		return give
	}
	return what
}

// give stops a computer, saves or sends what was not yet and makes another node
// its owner, which starts it again if it is to run. Nobody may write meanwhile.
func (d *ownership) give(ctx context.Context, c state.Computer, fact runtime.Phase, m part) error {
	if err := d.held(); err != nil {
		return err
	}
	if c.Phase.Up() {
		if _, err := d.cluster.Apply(ctx, state.SetPhase{Computer: c.ID, Epoch: c.Epoch, Phase: state.Stopping}); err != nil {
			return fmt.Errorf("record that a computer leaves: %w", err)
		}
	}
	if fact == runtime.Running || fact == runtime.Frozen {
		if err := d.meter.last(ctx, c); err != nil {
			d.log.Warn("meter a computer before it leaves", "computer", string(c.ID), "err", err)
		}
		if err := d.driver.Stop(ctx, runtime.Epoch(c.Epoch), runtime.ID(c.ID), stopGrace); err != nil {
			return fmt.Errorf("stop a computer that leaves: %w", err)
		}
	}
	if d.sends(c) {
		return d.giveDisk(ctx, c, m.to, m.sent)
	}
	if c.DataNode == c.Node {
		if err := d.saveLast(ctx, c.ID); err != nil {
			return fmt.Errorf("save a computer that leaves: %w", err)
		}
	}
	if _, err := d.cluster.Apply(ctx, state.HandOver{Computer: c.ID, Epoch: c.Epoch, To: m.to}); err != nil {
		return fmt.Errorf("hand a computer over: %w", err)
	}
	return nil
}

// saveLast saves a computer that is down until its record says that the save is as
// good as the disk.
func (d *ownership) saveLast(ctx context.Context, id state.ComputerID) error {
	ctx, cancel := context.WithTimeout(ctx, lastSaveDeadline)
	defer cancel()
	for {
		if err := d.save(ctx, id, false); err != nil && !errors.Is(err, errSaveGoesOn) {
			return err
		}
		c, owner, err := d.owned(id)
		switch {
		case err != nil:
			return err
		case !owner:
			return fault.New(fault.Moved, "computer %s belongs to another node", id)
		case c.Restores():
			return nil
		}
		select {
		case <-time.After(lastSavePause):
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the computer's files are in use: %w", ctx.Err()).WithRetry(retryMailbox)
		}
	}
}

// giveBack has the node own a computer again where its newest disk is, when the
// disk that it sent cannot be made here. While that node is away it is tried on.
func (c *computer) giveBack(why error) {
	record := c.record
	c.cell.do(func(ctx context.Context) any {
		_, err := c.deps.cluster.Apply(ctx, state.ReturnDisk{Computer: record.ID, Epoch: record.Epoch, Error: faultText(why)})
		if err != nil {
			c.log.Warn("give a computer back", "err", err)
			_, err = c.deps.cluster.Apply(ctx, state.SetPhase{Computer: record.ID, Epoch: record.Epoch, Phase: state.Failed, Error: why.Error()})
			if err != nil && ctx.Err() == nil {
				c.log.Warn("record computer", "phase", state.Failed, "err", err)
			}
			return nil
		}
		c.log.Warn("a computer went back: its disk, which was sent, cannot be made here", "err", why)
		c.deps.forgetSent(ctx, record.ID)
		return nil
	})
}
