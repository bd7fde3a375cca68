package state

import (
	"github.com/bothy-computer/bothy/cluster/fault"
)

// asked is the phase once its user asked for something: what its owner is
// about to do shows at once. One that failed is given another try.
func (p Phase) asked(w Wish) Phase {
	switch {
	case w == WishRunning && (p == Stopped || p == Stopping || p == Failed):
		return Starting
	case w == WishStopped && p.Up():
		return Stopping
	}
	return p
}

// SetWish says what a computer's user wants; its owner makes it so. Operation
// is the handle that is given for it unless nothing is left to do, or one of its
// kind is open already. It replies with Wished.
type SetWish struct {
	Account   AccountID  `cbor:"1,keyasint"`
	Computer  ComputerID `cbor:"2,keyasint"`
	Wish      Wish       `cbor:"3,keyasint"`
	Operation *Operation `cbor:"4,keyasint,omitempty"` // id and kind
}

// Wished is the reply of a command that asks something of a computer: the
// operation that it began or found open, or "".
type Wished struct {
	Operation OperationID `cbor:"1,keyasint"`
}

func (cmd SetWish) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	switch cmd.Wish {
	case WishDeleted:
		return tx.deleteComputer(c, cmd.Operation)
	case WishStopped, WishRunning:
		return tx.wish(c, cmd.Wish, cmd.Operation)
	}
	return fault.New(fault.Invalid, "no such wish: %q", cmd.Wish)
}

func (tx *Tx) wish(c Computer, w Wish, o *Operation) error {
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	done := c.Rests(w)
	c.Wish, c.Phase, c.IdleStopped = w, c.Phase.asked(w), false
	if o != nil && !done {
		if err := tx.beginOnce(&c, *o); err != nil {
			return err
		}
	}
	return tx.putComputer(c)
}

// Rests reports whether the computer is as wished already. One that was never made,
// or has failed, has nothing to stop.
func (c Computer) Rests(w Wish) bool {
	if w == WishRunning {
		return c.Phase == Running || c.Phase == Updating
	}
	return c.Phase == Stopped || c.Phase == Provisioning || c.Phase == Failed
}

// deleteComputer asks the owner to end the computer's runs and then the
// computer. One that was never claimed, or lost its node for ever, has no owner to
// ask and nothing to clean up: it is gone at once.
func (tx *Tx) deleteComputer(c Computer, o *Operation) error {
	if c.Phase == Deleted || c.Wish == WishDeleted {
		return nil
	}
	if err := tx.endAccess(c.ID); err != nil {
		return err
	}
	if err := tx.cancelRuns(c); err != nil {
		return err
	}
	c.Wish, c.Phase, c.IdleStopped, c.Resize = WishDeleted, Deleting, false, nil
	if c.Node == "" {
		if err := tx.endComputer(&c); err != nil {
			return err
		}
	}
	if o != nil && c.Phase != Deleted {
		if err := tx.beginOnce(&c, *o); err != nil {
			return err
		}
	}
	return tx.putComputer(c)
}

// SetPhase records what the owner found or did. Idle marks a stop that nobody
// asked for: the wish becomes stopped with it, unless a run began meanwhile.
// Runs still in progress when a computer becomes deleted are ended with it.
type SetPhase struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Phase    Phase      `cbor:"3,keyasint"`
	Error    string     `cbor:"4,keyasint"`
	Idle     bool       `cbor:"5,keyasint"`
	HasData  bool       `cbor:"6,keyasint"` // a layer and workspace now exist on the owner
	// Woke marks a start for somebody who uses the computer: the wish becomes
	// running with it, unless the computer is to be deleted.
	Woke bool `cbor:"7,keyasint"`
	// Laid marks a computer that never ran and got its disk for files alone:
	// nobody stopped it, so its first use still starts it.
	Laid bool `cbor:"8,keyasint,omitempty"`
	// Image is what a running computer runs.
	Image string `cbor:"9,keyasint,omitempty"`
}

func (cmd SetPhase) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil {
		return err
	}
	was, idle := c.Phase, c.IdleStopped
	if c.Phase, err = c.Phase.To(cmd.Phase); err != nil {
		return err
	}
	if c.Phase == Deleted {
		if err := tx.endComputer(&c); err != nil {
			return err
		}
	}
	c.Error = cmd.Error
	if err := tx.ran(&c, cmd.Phase.Up()); err != nil {
		return err
	}
	if cmd.HasData && c.DataNode != c.Node {
		c.DataNode, c.Saved.Clean, c.Sent = c.Node, false, Sent{}
	}
	if cmd.Phase.Up() {
		c.Saved.Clean = false
	}
	if cmd.Phase == Running {
		c.IdleStopped = false
		if was != Running && was != Updating {
			c.StartedAt = tx.now
		}
	}
	// A stop that its user asked for meanwhile stands, unless a run needs it.
	asked := c.Wish == WishStopped && !idle && was != Provisioning && was != Starting && c.Live == 0
	if cmd.Woke && c.Wish == WishStopped && !asked {
		c.Wish = WishRunning
	}
	if cmd.Idle && c.Live == 0 && c.Wish != WishDeleted {
		c.Wish, c.IdleStopped = WishStopped, true
	}
	if cmd.Laid && c.Wish == WishStopped {
		c.IdleStopped = true
	}
	if cmd.Image != "" {
		c.RunImage = cmd.Image
	}
	if !cmd.Phase.Up() {
		c.RunImage = ""
		if _, err := tx.releaseComputer(&c); err != nil {
			return err
		}
	}
	if c.Phase != Deleted { // that is told where it ends
		if err := tx.announceComputer(c, was); err != nil {
			return err
		}
	}
	return tx.putComputer(c)
}

// releaseComputer gives back what is held for a computer's next minutes, and
// returns how much that was.
func (tx *Tx) releaseComputer(c *Computer) (held MicroUSD, err error) {
	if c.Reservation == "" {
		return 0, nil
	}
	r, open, err := reservations.find(tx.w, string(c.Reservation))
	c.Reservation = ""
	if err != nil || !open {
		return 0, err
	}
	return r.Amount, tx.release(r)
}

// releaseComputers settles the computers of a node whose lease has run out, at
// their last tick: what was reserved for their next minutes goes back.
func releaseComputers(tx *Tx, node NodeID) error {
	var held []Computer
	err := tx.ComputersOn(node, func(c Computer) bool {
		if c.Reservation != "" {
			held = append(held, c)
		}
		return true
	})
	for _, c := range held {
		if err == nil {
			_, err = tx.releaseComputer(&c)
		}
		if err == nil {
			err = computers.put(tx.w, c)
		}
	}
	return err
}
