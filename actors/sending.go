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
	// maxSendRounds bounds how often the disk of a computer that goes on is sent,
	// each time what changed since the last, until that is at most sendEnoughBytes.
	maxSendRounds   = 3
	sendEnoughBytes = 8 << 20
	// sentNames is what the names of disks that are sent begin with.
	sentNames = "sent"
	// reclaimDeadline bounds the wish to be an owner for sure.
	reclaimDeadline = 10 * time.Second
)

// errInUse is why a disk is sent once more.
var errInUse = fault.New(fault.Conflict, "the computer's files are in use")

// sends reports whether this node gives a computer away by sending its disk: where
// a blob store has it, nothing is sent.
func (d *ownership) sends(c state.Computer) bool {
	_, _, stored := d.saver()
	return c.DataNode == c.Node && !stored
}

// mover is the driver as one that sends disks.
func (d *ownership) mover() (runtime.Mover, error) {
	m, ok := d.driver.(runtime.Mover)
	if !ok {
		return nil, fault.New(fault.Unsupported, "this node sends no disks, and no blob store is configured").WithCode(CodeNoStore)
	}
	if d.remote.client == nil {
		return nil, fault.New(fault.Unavailable, "this node reaches no other")
	}
	return m, nil
}

// sendAhead sends a computer's disk to another node while the computer goes on,
// and returns the name of what is there then, for what changes after.
func (d *ownership) sendAhead(ctx context.Context, id state.ComputerID, to state.NodeID) (sent string, err error) {
	ctx, cancel := context.WithTimeout(ctx, saveDeadline)
	defer cancel()
	ctx, release := d.lease(ctx)
	defer release()
	select {
	case d.savings.turns <- struct{}{}:
		defer func() { <-d.savings.turns }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := d.recordable(state.GiveDisk{}); err != nil {
		return "", err
	}
	for round := range maxSendRounds {
		c, owner, err := d.owned(id)
		switch {
		case err != nil:
			return "", err
		case !owner || c.DataNode != c.Node:
			return "", fault.New(fault.Moved, "computer %s does not have its newest disk here", id)
		}
		source := runtime.Source{Computer: runtime.ID(id), Name: newID[string](sentNames)}
		if round == 0 { // the same name again, when it was cut: what is there is not sent again
			source.Name = fmt.Sprintf("%s_%d", sentNames, c.Epoch)
		}
		made, err := d.sendRound(ctx, c, source, sent, to)
		if err != nil {
			return "", err
		}
		if sent = made.Name; round > 0 && made.Sent <= sendEnoughBytes {
			break
		}
	}
	return sent, nil
}

func (d *ownership) sendRound(ctx context.Context, c state.Computer, source runtime.Source, base string, to state.NodeID) (runtime.Saved, error) {
	one, ok := d.savings.begin(c.ID, source.Name)
	if !ok {
		return runtime.Saved{}, errSaveGoesOn
	}
	defer one.end()
	return d.sendDisk(ctx, c, source, base, to)
}

// sendDisk sends the disk as it is now.
func (d *ownership) sendDisk(ctx context.Context, c state.Computer, source runtime.Source, base string, to state.NodeID) (runtime.Saved, error) {
	m, err := d.mover()
	if err != nil {
		return runtime.Saved{}, err
	}
	keeper, ok := d.driver.(runtime.Snapshotter)
	if !ok {
		return runtime.Saved{}, fault.New(fault.Unsupported, "this node keeps no snapshots")
	}
	if err := d.held(); err != nil {
		return runtime.Saved{}, err
	}
	begun := d.now()
	made, err := d.still(ctx, keeper, c, source, func() (runtime.Saved, error) {
		return m.SendSnapshot(ctx, source, base, inboxOf{d.remote, to})
	})
	d.metrics.moved(made, d.now().Sub(begun), err)
	if err != nil {
		return made, fmt.Errorf("send the disk to node %s: %w", d.nameOf(to), err)
	}
	return made, nil
}

// nameOf is a node's name for people.
func (d *ownership) nameOf(id state.NodeID) string {
	n, err := applied(d.cluster, func(v *state.View) (state.Node, error) { return v.Node(id) })
	if err != nil {
		return string(id)
	}
	return n.Name
}

// giveDisk sends what is not at the other node yet, of a computer that is down,
// and makes that node the owner. Nobody may write from before the last of it is
// read until the record says so.
func (d *ownership) giveDisk(ctx context.Context, c state.Computer, to state.NodeID, base string) error {
	ctx, cancel := context.WithTimeout(ctx, lastSaveDeadline)
	defer cancel()
	for {
		var err error
		if base, err = d.giveLast(ctx, c, to, base); !errors.Is(err, errSaveGoesOn) && !errors.Is(err, errInUse) {
			return err
		}
		select {
		case <-time.After(lastSavePause):
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the computer's files are in use: %w", ctx.Err()).WithRetry(retryMailbox)
		}
	}
}

// giveLast is one try of giveDisk. It returns the name of what is there then.
func (d *ownership) giveLast(ctx context.Context, c state.Computer, to state.NodeID, base string) (sent string, err error) {
	// Never a name of before: what is sent must be as the disk is now.
	source := runtime.Source{Computer: runtime.ID(c.ID), Name: newID[string](sentNames)}
	one, ok := d.savings.begin(c.ID, source.Name)
	if !ok {
		return base, errSaveGoesOn
	}
	defer one.end()
	quiet := !d.savings.using(c.ID) && d.down(ctx, c)
	made, err := d.sendDisk(ctx, c, source, base, to)
	if err != nil {
		return base, err
	}
	if untouched := one.record(); !untouched || !quiet || !d.down(ctx, c) {
		return made.Name, errInUse
	}
	if err := d.held(); err != nil {
		return made.Name, err
	}
	give := state.GiveDisk{Computer: c.ID, Epoch: c.Epoch, To: to, Sent: state.Sent{Name: made.Name, Image: made.Image, MadeAt: made.MadeAt}}
	if _, err := d.cluster.Apply(ctx, give); err != nil {
		d.savings.doubt(c.ID, doubtGift) // it may be recorded yet
		return made.Name, fmt.Errorf("hand a computer over with its disk: %w", err)
	}
	return made.Name, nil
}

// reclaim begins a new epoch of a computer that may have been given away, and
// nobody knows: what comes late is then refused. It never lets the caller write,
// who acts in the epoch of before.
func (d *ownership) reclaim(ctx context.Context, c state.Computer) error {
	ctx, cancel := context.WithTimeout(ctx, reclaimDeadline)
	defer cancel()
	_, err := d.cluster.Apply(ctx, state.Claim{Computer: c.ID, Node: d.cluster.Self(), Seen: c.Epoch})
	if err != nil {
		return fmt.Errorf("find out who owns a computer: %w", err)
	}
	d.savings.certain(c.ID)
	return fault.New(fault.Moved, "computer %s is in a new epoch", c.ID)
}
