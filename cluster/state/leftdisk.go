package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// LeftDiskLifetime is how long the disk of a computer that moved away is kept
// on the node it left.
const LeftDiskLifetime = 7 * 24 * time.Hour

// DropDisk forgets a disk that its node has removed. An unknown id is success.
type DropDisk struct {
	ID SnapshotID `cbor:"1,keyasint"`
}

func (cmd DropDisk) apply(tx *Tx) error { return snapshots.remove(tx.w, string(cmd.ID)) }

// DiskKept records that a node keeps a disk that was left behind as a snapshot,
// which a computer can be made from. What it holds is not charged: nobody asked
// for it. An unknown id is refused, since the disk must not go then.
type DiskKept struct {
	ID   SnapshotID `cbor:"1,keyasint"`
	Node NodeID     `cbor:"2,keyasint"`
}

func (cmd DiskKept) apply(tx *Tx) error {
	s, ok, err := tx.AnySnapshot(cmd.ID)
	if err != nil {
		return err
	}
	if ok && s.Node == cmd.Node && s.Kept {
		return nil
	}
	c, known, err := tx.AnyComputer(s.Computer)
	switch {
	case err != nil:
		return err
	case !ok || s.Node != cmd.Node || !s.Left():
		return fault.New(fault.Conflict, "node %s left no disk %s", cmd.Node, cmd.ID)
	case known && c.DataNode == cmd.Node:
		return fault.New(fault.Conflict, "computer %s uses its disk on node %s", c.ID, cmd.Node)
	}
	if known {
		s.Image, s.Size = c.Image, c.Size()
	}
	s.Phase, s.Kept, s.ReadyAt, s.UpdatedAt = SnapshotReady, true, tx.now, tx.now
	return snapshots.put(tx.w, s)
}

// dropDisks forgets the disks that a node kept of a computer which came back to
// it; of node "", those on all nodes.
func (tx *Tx) dropDisks(c ComputerID, node NodeID) error {
	var here []SnapshotID
	err := snapshots.each(tx.w, "computer", []string{string(c)}, true, func(s Snapshot) bool {
		if s.Left() && (s.Node == node || node == "") {
			here = append(here, s.ID)
		}
		return true
	})
	for _, id := range here {
		if err == nil {
			err = snapshots.remove(tx.w, string(id))
		}
	}
	return err
}

// dropKept has nodes delete the disks that they keep of a computer which its user
// has deleted: nobody asked for those, and they hold what was to go.
func (tx *Tx) dropKept(c ComputerID) error {
	var kept []Snapshot
	err := snapshots.each(tx.w, "computer", []string{string(c)}, true, func(s Snapshot) bool {
		if s.Kept && s.Phase == SnapshotReady {
			kept = append(kept, s)
		}
		return true
	})
	for _, s := range kept {
		if err == nil {
			s.Phase, s.UpdatedAt = SnapshotDeleting, tx.now
			tx.changed(Change{Noun: ChangedSnapshot, ID: string(s.ID), Node: s.Node})
			err = snapshots.put(tx.w, s)
		}
	}
	return err
}

// KeepDisk records that a node still holds the disk of a computer that moved
// away. The same node and epoch are recorded once; the disk in use is refused,
// for a record of it would let it expire.
type KeepDisk struct {
	ID       SnapshotID `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	Node     NodeID     `cbor:"3,keyasint"`
	Epoch    Epoch      `cbor:"4,keyasint"`
	Name     string     `cbor:"5,keyasint"`
}

func (cmd KeepDisk) apply(tx *Tx) error {
	c, ok, err := tx.AnyComputer(cmd.Computer)
	if err != nil || !ok || c.Phase == Deleted {
		return err
	}
	if c.Node == cmd.Node && c.Epoch == cmd.Epoch {
		return fault.New(fault.Conflict, "computer %s did not leave node %s", c.ID, cmd.Node)
	}
	if _, kept, err := tx.LeftDisk(c.ID, cmd.Node, cmd.Epoch); err != nil || kept {
		return err
	}
	return snapshots.create(tx.w, Snapshot{ID: cmd.ID, Account: c.Account, Computer: c.ID, Node: cmd.Node, Epoch: cmd.Epoch,
		Name: cmd.Name, ExpiresAt: tx.now.Add(LeftDiskLifetime), CreatedAt: tx.now})
}
