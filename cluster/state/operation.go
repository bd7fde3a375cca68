package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// OperationLifetime is how long the record of an operation that ended is kept.
const OperationLifetime = 24 * time.Hour

// MaxOperations bounds the operations that may be open on one computer, besides
// the one that stops and the one that deletes it: those always have room.
const MaxOperations = 64

// Operation is the handle of something slow that was asked of a computer. It
// ends with what it asked for, in the same command, or at its deadline.
type Operation struct {
	ID        OperationID     `cbor:"1,keyasint"`
	Account   AccountID       `cbor:"2,keyasint"`
	Kind      OperationKind   `cbor:"3,keyasint"`
	Computer  ComputerID      `cbor:"4,keyasint"`
	Snapshot  SnapshotID      `cbor:"5,keyasint,omitempty"` // for the kinds that are about one
	Status    OperationStatus `cbor:"6,keyasint"`
	Error     string          `cbor:"7,keyasint,omitempty"`
	CreatedAt time.Time       `cbor:"8,keyasint"`
	UpdatedAt time.Time       `cbor:"9,keyasint"`
	StartedAt time.Time       `cbor:"10,keyasint"` // zero before
	EndedAt   time.Time       `cbor:"11,keyasint"` // zero before
	Deadline  time.Time       `cbor:"12,keyasint"`
}

// OperationKind is what was asked.
type OperationKind string

const (
	CreateOperation         OperationKind = "computer.create"
	StartOperation          OperationKind = "computer.start"
	StopOperation           OperationKind = "computer.stop"
	ResizeOperation         OperationKind = "computer.resize"
	DeleteOperation         OperationKind = "computer.delete"
	RestoreOperation        OperationKind = "snapshot.restore"
	CreateSnapshotOperation OperationKind = "snapshot.create"
	DeleteSnapshotOperation OperationKind = "snapshot.delete"
)

// Limit is how long an operation may take. Creating may have to make an image
// first; of the others a client that polls knows the outcome within two minutes.
func (k OperationKind) Limit() time.Duration {
	switch k {
	case CreateOperation, RestoreOperation:
		return 10 * time.Minute
	}
	return 110 * time.Second
}

// OperationStatus is where an operation is.
//
//	pending ──▶ running ──▶ succeeded | failed   (pending may end at once)
type OperationStatus string

const (
	OperationPending   OperationStatus = "pending"
	OperationRunning   OperationStatus = "running"
	OperationSucceeded OperationStatus = "succeeded"
	OperationFailed    OperationStatus = "failed"
)

// Over reports whether nothing more will happen.
func (s OperationStatus) Over() bool { return s == OperationSucceeded || s == OperationFailed }

var operations = table[Operation]{
	name: "operation", noun: "Operation",
	id: func(o Operation) string { return string(o.ID) },
	indexes: []index[Operation]{
		{"open", func(o Operation) ([]string, string, bool) {
			return []string{string(o.Computer)}, stampText(o.CreatedAt), !o.Status.Over()
		}},
		{"deadline", func(o Operation) ([]string, string, bool) { return nil, stampText(o.Deadline), !o.Status.Over() }},
		{"ended", func(o Operation) ([]string, string, bool) { return nil, stampText(o.EndedAt), o.Status.Over() }},
	},
}

// Operation returns an operation of an account.
func (v *View) Operation(account AccountID, id OperationID) (Operation, error) {
	o, err := operations.get(v.r, string(id))
	return owned(o, err, o.Account == account, operations.noun, string(id))
}

// OpenOperations lists what is open on a computer, oldest first.
func (v *View) OpenOperations(id ComputerID) (open []Operation, err error) {
	err = operations.each(v.r, "open", []string{string(id)}, false, func(o Operation) bool { open = append(open, o); return true })
	return open, err
}

// beginOnce replies with the open operation of the same kind on a computer, or
// opens this one. The caller stores the computer.
func (tx *Tx) beginOnce(c *Computer, o Operation) error {
	open, err := tx.OpenOperations(c.ID)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(open, func(other Operation) bool { return other.Kind == o.Kind }); i >= 0 {
		o.ID = open[i].ID
	} else if err := tx.begin(c, o); err != nil {
		return err
	}
	tx.Reply(Wished{Operation: o.ID})
	return nil
}

// begin opens an operation on a computer. The caller stores the computer.
func (tx *Tx) begin(c *Computer, o Operation) error {
	if c.Operations >= MaxOperations && o.Kind != StopOperation && o.Kind != DeleteOperation {
		return fault.New(fault.Conflict, "%d operations are open on computer %s; wait for some to end", c.Operations, c.ID)
	}
	limit, err := tx.limitOn(*c, o.Kind)
	if err != nil {
		return err
	}
	o.Account, o.Computer, o.Status, o.Error = c.Account, c.ID, OperationPending, ""
	o.CreatedAt, o.UpdatedAt, o.Deadline = tx.now, tx.now, tx.now.Add(limit)
	o.StartedAt, o.EndedAt = time.Time{}, time.Time{}
	c.Operations++
	tx.changed(Change{Noun: ChangedOperation, ID: string(o.ID)})
	return operations.create(tx.w, o)
}

// limitOn is how long an operation on a computer may take: one whose disk has to
// be fetched from the blob store first has the time that a restore has.
func (tx *Tx) limitOn(c Computer, k OperationKind) (time.Duration, error) {
	if c.Saved.Name == "" {
		return k.Limit(), nil
	}
	n, known, err := tx.FindNode(c.DataNode)
	if err == nil && known && n.Leased() {
		return k.Limit(), nil
	}
	return max(k.Limit(), RestoreOperation.Limit()), err
}

// end closes an operation that is open, failed when there is a reason. The
// caller stores the computer.
func (tx *Tx) end(c *Computer, o Operation, reason string) error {
	o.Status, o.Error = OperationSucceeded, reason
	if reason != "" {
		o.Status = OperationFailed
	}
	if o.StartedAt.IsZero() {
		o.StartedAt = tx.now
	}
	o.EndedAt, o.UpdatedAt = tx.now, tx.now
	c.Operations = max(0, c.Operations-1)
	tx.changed(Change{Noun: ChangedOperation, ID: string(o.ID)})
	return operations.put(tx.w, o)
}

// settleOperations ends or advances the operations on a computer as it is now.
func (tx *Tx) settleOperations(c *Computer) error {
	if c.Operations == 0 {
		return nil
	}
	open, err := tx.OpenOperations(c.ID)
	if err != nil {
		return err
	}
	for _, o := range open {
		status, reason := o.judge(*c)
		switch {
		case status.Over():
			err = tx.end(c, o, reason)
		case status != o.Status:
			o.Status, o.StartedAt, o.UpdatedAt = status, tx.now, tx.now
			err = operations.put(tx.w, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// judge says where an operation is by the computer it is about. Those of
// snapshots and sizes are ended by their own commands, unless the computer ends.
func (o Operation) judge(c Computer) (OperationStatus, string) {
	switch {
	case o.Kind == DeleteSnapshotOperation: // a snapshot outlives its computer
		return OperationRunning, ""
	case o.Kind == DeleteOperation && c.Phase == Deleted:
		return OperationSucceeded, ""
	case o.Kind == DeleteOperation:
		return OperationRunning, ""
	}
	if c.Wish == WishDeleted {
		return OperationFailed, "the computer was deleted"
	}
	switch o.Kind {
	case CreateOperation, StartOperation, RestoreOperation:
		switch {
		case c.Wish == WishStopped:
			return OperationFailed, "the computer was asked to stop"
		case c.Phase == Failed:
			return OperationFailed, orElse(c.Error, "the computer did not start")
		case c.Phase == Running || c.Phase == Updating:
			return OperationSucceeded, ""
		}
	case StopOperation:
		switch {
		case c.Wish == WishRunning:
			return OperationFailed, "the computer was asked to start"
		case c.Phase == Stopped || c.Phase == Provisioning || c.Phase == Failed:
			return OperationSucceeded, ""
		}
	case ResizeOperation:
		if c.Resize == nil {
			return OperationSucceeded, ""
		}
	}
	if c.Node != "" {
		return OperationRunning, ""
	}
	return o.Status, ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// expireOperations fails up to n operations whose time is over.
func expireOperations(tx *Tx, n int) (int, error) {
	due, err := operations.before(tx.w, "deadline", tx.now, n)
	if err != nil {
		return 0, err
	}
	for i, o := range due {
		c, ok, err := tx.AnyComputer(o.Computer)
		if err != nil {
			return i, err
		}
		if !ok {
			c = Computer{ID: o.Computer}
		}
		if err := tx.end(&c, o, "it did not end within "+o.Deadline.Sub(o.CreatedAt).String()); err != nil {
			return i, err
		}
		if o.Kind == ResizeOperation {
			c.Resize = nil
		}
		if err := tx.overdue(o); err != nil {
			return i, err
		}
		if ok {
			if err := tx.putComputer(c); err != nil {
				return i, err
			}
		}
	}
	return len(due), nil
}

// overdue fails the snapshot that an operation did not make in time.
func (tx *Tx) overdue(o Operation) error {
	if o.Kind != CreateSnapshotOperation {
		return nil
	}
	s, ok, err := tx.AnySnapshot(o.Snapshot)
	if err != nil || !ok || s.Phase != SnapshotCreating {
		return err
	}
	s.Phase, s.Error, s.UpdatedAt = SnapshotFailed, "it was not made within "+o.Kind.Limit().String(), tx.now
	return snapshots.put(tx.w, s)
}
