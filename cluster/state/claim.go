package state

import (
	"github.com/bothy-computer/bothy/cluster/fault"
)

// own returns the computer if the command comes from its owner in its epoch,
// whose lease still holds. It is the records' fence: everything an owner
// proposes passes through it.
func (tx *Tx) own(id ComputerID, epoch Epoch) (Computer, error) {
	c, ok, err := tx.AnyComputer(id)
	if err != nil {
		return c, err
	}
	if !ok || c.Phase == Deleted {
		return c, fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	if !tx.owns(c, epoch) {
		return c, fault.New(fault.Moved, "computer %s is at epoch %d on node %s; this command is of epoch %d on node %s", id, c.Epoch, c.Node, epoch, tx.by.Node)
	}
	return c, nil
}

// owns reports whether the command comes from the computer's owner in its
// epoch. A command without an incarnation comes from nobody: no lease was
// checked for it.
func (tx *Tx) owns(c Computer, epoch Epoch) bool {
	return c.Epoch == epoch && c.Node == tx.by.Node && tx.by.Incarnation != 0
}

// Claim makes a node the owner of a computer and begins a new epoch. Seen is
// the epoch the proposer decided from. While the present owner's lease holds
// it is refused, unless the owner takes it up again: who gives one away says so
// by HandOver. It replies with the new epoch.
type Claim struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Node     NodeID     `cbor:"2,keyasint"`
	Seen     Epoch      `cbor:"3,keyasint"`
}

func (cmd Claim) apply(tx *Tx) error {
	c, ok, err := tx.AnyComputer(cmd.Computer)
	if err != nil {
		return err
	}
	if !ok || c.Phase == Deleted {
		return fault.New(fault.NotFound, "Computer not found: %s", cmd.Computer)
	}
	if c.Epoch != cmd.Seen {
		return fault.New(fault.Conflict, "computer %s is at epoch %d, not %d", c.ID, c.Epoch, cmd.Seen).WithCode(CodeChanged)
	}
	to, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if !to.Leased() {
		return fault.New(fault.Conflict, "node %s has no lease", to.Name)
	}
	if from, held, err := tx.FindNode(c.Node); err != nil {
		return err
	} else if held && from.Leased() && c.Node != cmd.Node {
		return fault.New(fault.Conflict, "computer %s belongs to node %s, whose lease holds", c.ID, from.Name)
	}
	return tx.give(c, cmd.Node)
}
