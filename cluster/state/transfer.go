package state

import (
	"errors"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// TransferComputer gives a computer with its snapshots and its bill to another
// account, and ends every way into it
// that the old one gave. What is reserved for its next minutes goes back to the old one; the
// next tick reserves from the new one.
type TransferComputer struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	To       AccountID  `cbor:"3,keyasint"`
}

func (cmd TransferComputer) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil || cmd.To == cmd.Account {
		return err
	}
	to, err := tx.Account(cmd.To, tx.now)
	if err != nil {
		return err
	}
	switch {
	case c.Environment != "":
		return fault.New(fault.Conflict, "computer %s belongs to environment %s", c.ID, c.Environment)
	case c.Wish == WishDeleted:
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	case c.Live > 0 || c.Operations > 0:
		return fault.New(fault.Conflict, "computer %s is busy with %d runs and %d operations; wait for them to end", c.ID, c.Live, c.Operations)
	}
	if err := tx.roomFor(cmd.To); err != nil {
		return err
	}
	if c.Phase.Up() {
		if err := to.Affords(0); err != nil {
			return err
		}
	}
	if _, err := tx.releaseComputer(&c); err != nil {
		return err
	}
	bytes := c.StoredBytes
	if err := errors.Join(tx.ran(&c, c.Phase.Up()), tx.stored(&c, 0)); err != nil {
		return err
	}
	if err := tx.endAccess(c.ID); err != nil {
		return err
	}
	// Keys that the old account let in are not the new one's.
	c.Account, c.AuthorizedKeys = cmd.To, nil
	if err := tx.stored(&c, bytes); err != nil {
		return err
	}
	if err := tx.freeHandle(c); err != nil {
		return err
	}
	if err := tx.moveSnapshots(c); err != nil {
		return err
	}
	return tx.putComputer(c)
}

// moveSnapshots gives a computer's snapshots to its account.
func (tx *Tx) moveSnapshots(c Computer) error {
	var own []Snapshot
	err := snapshots.each(tx.w, "computer", []string{string(c.ID)}, false, func(s Snapshot) bool { own = append(own, s); return true })
	for _, s := range own {
		if err == nil {
			err = tx.moveSnapshot(s, c.Account)
		}
	}
	return err
}

func (tx *Tx) moveSnapshot(s Snapshot, to AccountID) error {
	bytes := s.Bytes
	if err := tx.holds(&s, 0); err != nil {
		return err
	}
	s.Account = to
	if err := tx.holds(&s, bytes); err != nil {
		return err
	}
	return snapshots.put(tx.w, s)
}
