package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxSnapshots bounds the snapshots of one computer.
const MaxSnapshots = 100

// Snapshot is a computer's disk as it was: one that was asked for, or one that
// stayed on a node when the computer went on elsewhere (Left).
type Snapshot struct {
	ID        SnapshotID `cbor:"1,keyasint"`
	Account   AccountID  `cbor:"2,keyasint"`
	Computer  ComputerID `cbor:"3,keyasint"`
	Node      NodeID     `cbor:"4,keyasint"` // where it lies
	Epoch     Epoch      `cbor:"5,keyasint"` // in which it was written
	Name      string     `cbor:"6,keyasint"`
	ExpiresAt time.Time  `cbor:"7,keyasint"`
	CreatedAt time.Time  `cbor:"8,keyasint"`
	// Phase is "" for a disk that was left behind, until its node keeps it as a snapshot.
	Phase     SnapshotPhase `cbor:"9,keyasint"`
	Error     string        `cbor:"10,keyasint"` // why it is failed
	Image     string        `cbor:"11,keyasint"` // that its computer was made of
	Size      Size          `cbor:"12,keyasint"` // of its computer, then
	Bytes     int64         `cbor:"13,keyasint"` // that it holds
	ReadyAt   time.Time     `cbor:"14,keyasint"` // zero before
	UpdatedAt time.Time     `cbor:"15,keyasint"`
	// Kept is set of a disk that was left behind and is now kept as the others are.
	Kept bool `cbor:"16,keyasint,omitempty"`
	// Durable is how far it is in a blob store, whose id is Store; DurableError
	// why it is not there, DurableAt since when it is.
	Durable      DurableState `cbor:"17,keyasint,omitempty"`
	DurableError string       `cbor:"18,keyasint,omitempty"`
	DurableAt    time.Time    `cbor:"19,keyasint,omitzero"`
	Store        string       `cbor:"20,keyasint,omitempty"`
}

// SnapshotPhase is where a snapshot is in its life.
//
//	creating ──▶ ready | failed ──▶ deleting ──▶ (no record)
type SnapshotPhase string

const (
	SnapshotCreating SnapshotPhase = "creating"
	SnapshotReady    SnapshotPhase = "ready"
	SnapshotFailed   SnapshotPhase = "failed"
	SnapshotDeleting SnapshotPhase = "deleting"
)

// Left reports whether it is a disk that a computer left behind, and that its
// node does not keep as a snapshot yet.
func (s Snapshot) Left() bool { return s.Phase == "" }

var snapshots = table[Snapshot]{
	name: "snapshot", noun: "Snapshot",
	id: func(s Snapshot) string { return string(s.ID) },
	indexes: []index[Snapshot]{
		{"computer", func(s Snapshot) ([]string, string, bool) {
			return []string{string(s.Computer)}, stampText(s.CreatedAt), true
		}},
		{"asked", func(s Snapshot) ([]string, string, bool) {
			return []string{string(s.Computer)}, stampText(s.CreatedAt), !s.Left()
		}},
		{"node", func(s Snapshot) ([]string, string, bool) {
			return []string{string(s.Node)}, stampText(s.CreatedAt), true
		}},
	},
}

// Snapshot returns a snapshot of an account that was asked for, or a disk that
// was left and can be used like one.
func (v *View) Snapshot(account AccountID, id SnapshotID) (Snapshot, error) {
	s, err := snapshots.get(v.r, string(id))
	return owned(s, err, s.Account == account && !s.Left(), snapshots.noun, string(id))
}

// AnySnapshot returns a snapshot of any account, for those who act on records.
func (v *View) AnySnapshot(id SnapshotID) (Snapshot, bool, error) {
	return snapshots.find(v.r, string(id))
}

// Snapshots lists a computer's snapshots and the disks it left, newest first.
func (v *View) Snapshots(computer ComputerID, p Page) (List[Snapshot], error) {
	return snapshots.page(v.r, "computer", []string{string(computer)}, p, nil)
}

// AskedSnapshots lists the snapshots of a computer that were asked for, and the
// disks it left that can be used like them, newest first.
func (v *View) AskedSnapshots(computer ComputerID, p Page) (List[Snapshot], error) {
	return snapshots.page(v.r, "asked", []string{string(computer)}, p, nil)
}

// PendingSnapshots lists the snapshots of a computer that are to be made, the
// oldest first.
func (v *View) PendingSnapshots(computer ComputerID) (pending []Snapshot, err error) {
	err = snapshots.each(v.r, "asked", []string{string(computer)}, false, func(s Snapshot) bool {
		if s.Phase == SnapshotCreating {
			pending = append(pending, s)
		}
		return true
	})
	return pending, err
}

// SnapshotsOn visits the snapshots that lie on a node.
func (v *View) SnapshotsOn(node NodeID, visit func(Snapshot) bool) error {
	return snapshots.each(v.r, "node", []string{string(node)}, false, visit)
}

// LeftDisk returns what is recorded of a disk that stayed on a node, or false.
func (v *View) LeftDisk(computer ComputerID, node NodeID, epoch Epoch) (found Snapshot, ok bool, err error) {
	err = snapshots.each(v.r, "computer", []string{string(computer)}, true, func(s Snapshot) bool {
		ok = (s.Left() || s.Kept) && s.Node == node && s.Epoch == epoch
		found = s
		return !ok
	})
	return found, ok, err
}

// CreateSnapshot asks the owner of a computer to keep its disk as it is. It
// replies with Wished.
type CreateSnapshot struct {
	Account     AccountID    `cbor:"1,keyasint"`
	Computer    ComputerID   `cbor:"2,keyasint"`
	ID          SnapshotID   `cbor:"3,keyasint"`
	Operation   Operation    `cbor:"4,keyasint"` // id
	Idempotency *Idempotency `cbor:"5,keyasint,omitempty"`
}

func (cmd CreateSnapshot) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	if done, err := tx.once(cmd.Account, cmd.Idempotency, Resource{"snapshot", string(cmd.ID)}); err != nil || done {
		return err
	}
	have, err := snapshots.count(tx.w, "asked", string(c.ID))
	switch {
	case err != nil:
		return err
	case c.Wish == WishDeleted:
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	case c.DataNode == "":
		return fault.New(fault.Conflict, "computer %s has no disk yet", c.ID)
	case have >= MaxSnapshots:
		return fault.New(fault.Conflict, "computer %s has %d snapshots, which is the limit", c.ID, have)
	}
	s := Snapshot{ID: cmd.ID, Account: c.Account, Computer: c.ID, Node: c.DataNode, Epoch: c.Epoch, Phase: SnapshotCreating,
		Image: c.Image, Size: c.Size(), CreatedAt: tx.now, UpdatedAt: tx.now}
	if err := snapshots.create(tx.w, s); err != nil {
		return err
	}
	cmd.Operation.Kind, cmd.Operation.Snapshot = CreateSnapshotOperation, s.ID
	if err := tx.begin(&c, cmd.Operation); err != nil {
		return err
	}
	return tx.putComputer(c)
}

// SnapshotMade records that the owner keeps a computer's disk, or why it
// cannot.
type SnapshotMade struct {
	ID    SnapshotID `cbor:"1,keyasint"`
	Epoch Epoch      `cbor:"2,keyasint"` // of its computer
	Bytes int64      `cbor:"3,keyasint"`
	Error string     `cbor:"4,keyasint,omitempty"`
}

func (cmd SnapshotMade) apply(tx *Tx) error {
	s, ok, err := tx.AnySnapshot(cmd.ID)
	if err != nil || !ok || s.Phase != SnapshotCreating {
		return err
	}
	c, err := tx.own(s.Computer, cmd.Epoch)
	if err != nil {
		return err
	}
	s.Node, s.Epoch, s.Phase, s.ReadyAt, s.UpdatedAt = c.Node, cmd.Epoch, SnapshotReady, tx.now, tx.now
	if cmd.Error != "" {
		s.Phase, s.Error, s.ReadyAt = SnapshotFailed, cmd.Error, time.Time{}
	}
	if err := tx.holds(&s, cmd.Bytes); err != nil {
		return err
	}
	if err := snapshots.put(tx.w, s); err != nil {
		return err
	}
	return tx.endSnapshot(s, CreateSnapshotOperation, cmd.Error)
}

// holds notes how many bytes a snapshot has, for itself and its account.
func (tx *Tx) holds(s *Snapshot, bytes int64) error {
	if bytes == s.Bytes {
		return nil
	}
	a, err := tx.Account(s.Account, tx.now)
	if err != nil {
		return err
	}
	a.SnapshotBytes += bytes - s.Bytes
	s.Bytes = bytes
	return accounts.put(tx.w, a)
}

// endSnapshot ends the operations of a kind that are about a snapshot. Its
// computer may be gone long since.
func (tx *Tx) endSnapshot(s Snapshot, kind OperationKind, reason string) error {
	open, err := tx.OpenOperations(s.Computer)
	if err != nil {
		return err
	}
	c, known, err := tx.AnyComputer(s.Computer)
	if err != nil {
		return err
	}
	for _, o := range open {
		if o.Kind == kind && o.Snapshot == s.ID {
			if err := tx.end(&c, o, reason); err != nil {
				return err
			}
		}
	}
	if !known {
		return nil
	}
	return tx.putComputer(c)
}

// DeleteSnapshot asks the node that has a snapshot to delete it. It replies
// with Wished.
type DeleteSnapshot struct {
	Account   AccountID  `cbor:"1,keyasint"`
	ID        SnapshotID `cbor:"2,keyasint"`
	Operation Operation  `cbor:"3,keyasint"` // id
}

func (cmd DeleteSnapshot) apply(tx *Tx) error {
	s, err := tx.Snapshot(cmd.Account, cmd.ID)
	if err != nil || s.Phase == SnapshotDeleting {
		return err
	}
	if s.Phase == SnapshotCreating {
		return fault.New(fault.Conflict, "snapshot %s is being made; delete it when that has ended", s.ID)
	}
	c, known, err := tx.AnyComputer(s.Computer)
	if err != nil {
		return err
	}
	if !known {
		c = Computer{ID: s.Computer, Account: s.Account}
	}
	s.Phase, s.UpdatedAt = SnapshotDeleting, tx.now
	tx.changed(Change{Noun: ChangedSnapshot, ID: string(s.ID), Node: s.Node})
	if err := snapshots.put(tx.w, s); err != nil {
		return err
	}
	cmd.Operation.Kind, cmd.Operation.Snapshot = DeleteSnapshotOperation, s.ID
	if err := tx.begin(&c, cmd.Operation); err != nil {
		return err
	}
	tx.Reply(Wished{Operation: cmd.Operation.ID})
	if known {
		if err := tx.putComputer(c); err != nil {
			return err
		}
	}
	if _, member, err := tx.FindNode(s.Node); err != nil || member {
		return err
	}
	return SnapshotGone{ID: s.ID, Node: s.Node}.apply(tx) // there is nobody to delete it
}

// SnapshotGone records that the node which had a snapshot has deleted it. An
// unknown one is success.
type SnapshotGone struct {
	ID   SnapshotID `cbor:"1,keyasint"`
	Node NodeID     `cbor:"2,keyasint"`
}

func (cmd SnapshotGone) apply(tx *Tx) error {
	s, ok, err := tx.AnySnapshot(cmd.ID)
	if err != nil || !ok {
		return err
	}
	if s.Node != cmd.Node || s.Phase != SnapshotDeleting {
		return fault.New(fault.Conflict, "snapshot %s is %s on node %s", s.ID, s.Phase, s.Node)
	}
	if err := tx.holds(&s, 0); err != nil {
		return err
	}
	if err := snapshots.remove(tx.w, string(s.ID)); err != nil {
		return err
	}
	return tx.endSnapshot(s, DeleteSnapshotOperation, "")
}

// restore makes a computer begin as a snapshot: of its image, and in no less
// room than it had.
func (tx *Tx) restore(c *Computer) error {
	s, err := tx.Snapshot(c.Account, c.Source)
	if err != nil {
		return err
	}
	if s.Phase != SnapshotReady {
		return fault.New(fault.Conflict, "snapshot %s is %s; only a ready one can be restored", s.ID, s.Phase)
	}
	if c.DiskBytes < s.Size.DiskBytes {
		return fault.New(fault.Invalid, "the snapshot's computer had %d bytes of storage; the new one must have as many", s.Size.DiskBytes).WithField("requested_storage_bytes")
	}
	c.Image = s.Image
	return nil
}

// failSnapshots fails what is being made of a computer that is gone.
func (tx *Tx) failSnapshots(c Computer) error {
	making, err := tx.PendingSnapshots(c.ID)
	for _, s := range making {
		if err == nil {
			s.Phase, s.Error, s.UpdatedAt = SnapshotFailed, "the computer was deleted", tx.now
			err = snapshots.put(tx.w, s)
		}
	}
	return err
}
