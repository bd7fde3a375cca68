package state

import "github.com/bothy-computer/bothy/cluster/fault"

// ResizeComputer asks for another size; storage can only grow. A computer that
// nobody owns yet has it at once; else its owner makes it so. It replies with
// Wished.
type ResizeComputer struct {
	Account   AccountID  `cbor:"1,keyasint"`
	Computer  ComputerID `cbor:"2,keyasint"`
	Size      Size       `cbor:"3,keyasint"`
	Operation Operation  `cbor:"4,keyasint"` // id
}

func (cmd ResizeComputer) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	switch {
	case c.Wish == WishDeleted:
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	case c.Resize != nil:
		return fault.New(fault.Conflict, "computer %s is being resized", c.ID)
	case cmd.Size.DiskBytes < c.DiskBytes:
		return fault.New(fault.Invalid, "storage can grow and not shrink; it is %d bytes", c.DiskBytes).WithField("requested_storage_bytes")
	case cmd.Size == c.Size():
		return nil
	case c.Node == "":
		return tx.putComputer(c.sized(cmd.Size))
	}
	size := cmd.Size
	c.Resize = &size
	if c.Phase == Running {
		c.Phase = Updating
	}
	cmd.Operation.Kind = ResizeOperation
	if err := tx.begin(&c, cmd.Operation); err != nil {
		return err
	}
	tx.Reply(Wished{Operation: cmd.Operation.ID})
	return tx.putComputer(c)
}

// Resized records that the owner gave a computer the size it was asked for, or
// why it could not: then it keeps the one it has.
type Resized struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Error    string     `cbor:"3,keyasint,omitempty"`
}

func (cmd Resized) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil || c.Resize == nil {
		return err
	}
	if cmd.Error == "" {
		c = c.sized(*c.Resize)
	}
	c.Resize = nil
	if c.Phase == Updating {
		c.Phase = Running
	}
	if err := tx.endAll(&c, ResizeOperation, cmd.Error); err != nil {
		return err
	}
	return tx.putComputer(c)
}

// endAll ends a computer's open operations of a kind.
func (tx *Tx) endAll(c *Computer, kind OperationKind, reason string) error {
	open, err := tx.OpenOperations(c.ID)
	for _, o := range open {
		if err == nil && o.Kind == kind {
			err = tx.end(c, o, reason)
		}
	}
	return err
}
