package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// DurableState is how far a snapshot is safe from the loss of its node.
//
//	pending ──▶ syncing ──▶ ready | failed
type DurableState string

const (
	DurablePending DurableState = "pending"
	DurableSyncing DurableState = "syncing"
	DurableReady   DurableState = "ready"
	DurableFailed  DurableState = "failed"
)

// Why a snapshot will not be durable.
const (
	noStoreText = "no blob store is configured: the snapshot is on its node alone"
	leftText    = "its computer went on elsewhere: the snapshot is on its node alone"
	goneText    = "its computer is gone: the snapshot is on its node alone"
)

// Durability tells how far a snapshot is safe, and why it is not, or not yet.
func (v *View) Durability(s Snapshot) (state DurableState, reason string, err error) {
	switch {
	case s.Phase == SnapshotCreating:
		return DurablePending, "", nil
	case s.Durable == DurableReady || s.Durable == DurableFailed:
		return s.Durable, s.DurableError, nil
	case s.Phase == SnapshotFailed:
		return DurableFailed, s.Error, nil
	}
	n, _, err := v.FindNode(s.Node)
	if err != nil {
		return "", "", err
	}
	c, known, err := v.AnyComputer(s.Computer)
	switch {
	case err != nil:
		return "", "", err
	case s.Kept:
		return DurableFailed, leftText, nil
	case n.Store == "":
		return DurableFailed, noStoreText, nil
	case !known || c.Phase == Deleted:
		return DurableFailed, goneText, nil
	case c.Node != s.Node:
		return DurableFailed, leftText, nil
	case s.Durable == "":
		return DurablePending, s.DurableError, nil
	}
	return s.Durable, s.DurableError, nil
}

// Unsaved reports whether its computer's owner is to put it into a blob store.
func (s Snapshot) Unsaved() bool {
	return s.Phase == SnapshotReady && !s.Kept && s.Durable != DurableReady && s.Durable != DurableFailed
}

// UnsavedSnapshots lists the snapshots of a computer that are on a node and
// not in a blob store yet, the oldest first.
func (v *View) UnsavedSnapshots(computer ComputerID, node NodeID) (list []Snapshot, err error) {
	err = snapshots.each(v.r, "asked", []string{string(computer)}, false, func(s Snapshot) bool {
		if s.Unsaved() && s.Node == node {
			list = append(list, s)
		}
		return true
	})
	return list, err
}

// DurableSnapshots lists the names under which snapshots of a computer are, or
// may be, in a blob store.
func (v *View) DurableSnapshots(computer ComputerID) (names []string, err error) {
	err = snapshots.each(v.r, "asked", []string{string(computer)}, false, func(s Snapshot) bool {
		if s.Durable != "" && s.Durable != DurableFailed && s.Phase == SnapshotReady {
			names = append(names, string(s.ID))
		}
		return true
	})
	return names, err
}

// SnapshotSaved records how far the owner of a computer has put a snapshot of
// it into a blob store. Error is why it is not there yet, or never will be.
type SnapshotSaved struct {
	ID      SnapshotID   `cbor:"1,keyasint"`
	Epoch   Epoch        `cbor:"2,keyasint"` // of its computer
	Durable DurableState `cbor:"3,keyasint"`
	Store   string       `cbor:"4,keyasint,omitempty"`
	Error   string       `cbor:"5,keyasint,omitempty"`
}

func (cmd SnapshotSaved) apply(tx *Tx) error {
	s, ok, err := tx.AnySnapshot(cmd.ID)
	if err != nil || !ok || s.Phase != SnapshotReady || s.Durable == DurableReady {
		return err
	}
	c, err := tx.own(s.Computer, cmd.Epoch)
	if err != nil {
		return err
	}
	if s.Node != c.Node || s.Kept {
		return fault.New(fault.Conflict, "snapshot %s is not on node %s as one that was asked for", s.ID, c.Node)
	}
	s.Durable, s.Store, s.DurableError, s.DurableAt, s.UpdatedAt = cmd.Durable, cmd.Store, cmd.Error, time.Time{}, tx.now
	if cmd.Durable == DurableReady {
		s.DurableAt, s.DurableError = tx.now, ""
	}
	return snapshots.put(tx.w, s)
}
