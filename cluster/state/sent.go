package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Sent is a computer's disk as the owner of before has sent it to a node, which
// is to make the newest disk of it. Until it has, the disk that was sent is as
// new, and stays where it is.
type Sent struct {
	Name   string    `cbor:"1,keyasint"` // in the node's inbox, below its computer; "" is none
	Node   NodeID    `cbor:"2,keyasint"` // who has it
	Epoch  Epoch     `cbor:"3,keyasint"` // in which it was sent
	Image  string    `cbor:"4,keyasint"` // digest of the image that the layer stands on
	MadeAt time.Time `cbor:"5,keyasint"` // the moment that it shows
}

// GiveDisk is HandOver of a computer whose newest data is on its node alone, when
// the other node has all of it in its inbox. It is the owner's word that nobody
// has written to the disk since then.
type GiveDisk struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	To       NodeID     `cbor:"3,keyasint"`
	Sent     Sent       `cbor:"4,keyasint"` // without node and epoch
}

func (cmd GiveDisk) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	switch {
	case err != nil:
		return err
	case cmd.Sent.Name == "":
		return fault.New(fault.Invalid, "a disk that was sent under no name")
	case c.DataNode != c.Node:
		return fault.New(fault.Conflict, "node %s does not have the newest disk of computer %s", c.Node, c.ID)
	}
	c.Sent, c.Saved.Clean, c.SendError, c.ReturnedAt = cmd.Sent, false, "", time.Time{}
	c.Sent.Node, c.Sent.Epoch = cmd.To, c.Epoch
	return tx.handOver(c, cmd.To)
}

// ReturnDisk gives a computer back to the node where its newest disk is, also to
// one that drains: the disk that was sent could not be made, for the reason in
// Error.
type ReturnDisk struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Error    string     `cbor:"3,keyasint"`
}

func (cmd ReturnDisk) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	switch {
	case err != nil:
		return err
	case c.Sent.Name == "":
		return fault.New(fault.Conflict, "computer %s has no disk elsewhere to go back to", c.ID)
	}
	c.SendError, c.ReturnedAt = cmd.Error, tx.now
	return tx.pass(c, c.DataNode)
}
