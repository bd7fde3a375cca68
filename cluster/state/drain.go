package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// DrainNode has a node give away what it has and take nothing new. It stays a
// member and keeps its vote. Draining again is success, and does not begin anew.
type DrainNode struct {
	Node NodeID `cbor:"1,keyasint"`
}

func (cmd DrainNode) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil || n.Draining() {
		return err
	}
	n.DrainingSince = tx.now
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.put(tx.w, n)
}

// UndrainNode ends a drain: the node takes new work again. What it gave away
// stays where it is.
type UndrainNode struct {
	Node NodeID `cbor:"1,keyasint"`
}

func (cmd UndrainNode) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil || !n.Draining() {
		return err
	}
	n.DrainingSince = time.Time{}
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.put(tx.w, n)
}

// HandOver makes another node a computer's owner, in a new epoch. It is the
// present owner's word that nothing of the computer runs there any more and that
// what it wrote is where the other finds it. A run in progress goes on there from
// its last committed step. It replies with the new epoch.
type HandOver struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	To       NodeID     `cbor:"3,keyasint"`
}

func (cmd HandOver) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	switch {
	case err != nil:
		return err
	case c.Sent.Name != "":
		return fault.New(fault.Conflict, "the disk of computer %s was sent to its node and is not made yet", c.ID)
	case c.DataNode == c.Node && !c.Restores():
		return fault.New(fault.Conflict, "the newest data of computer %s is on its node alone", c.ID)
	}
	return tx.handOver(c, cmd.To)
}

// handOver gives a computer to a node that takes new work.
func (tx *Tx) handOver(c Computer, node NodeID) error {
	if to, err := tx.Node(node); err == nil && to.Draining() && to.Leased() && to.ID != c.Node && c.Wish != WishDeleted {
		return fault.New(fault.Conflict, "node %s is draining", to.Name)
	}
	return tx.pass(c, node)
}

// pass gives a computer to another node, which goes on with it.
func (tx *Tx) pass(c Computer, node NodeID) error {
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	to, err := tx.Node(node)
	switch {
	case err != nil:
		return err
	case to.ID == c.Node:
		return fault.New(fault.Conflict, "computer %s is on node %s already", c.ID, to.Name)
	case !to.Leased():
		return fault.New(fault.Conflict, "node %s has no lease", to.Name)
	}
	if err := tx.ran(&c, false); err != nil {
		return err
	}
	if _, err := tx.releaseComputer(&c); err != nil {
		return err
	}
	switch {
	case c.Phase.Up() || c.Phase == Stopping && c.Wish == WishRunning:
		c.Phase = Starting
	case c.Phase == Stopping:
		c.Phase = Stopped
	}
	return tx.give(c, to.ID)
}

// give makes a node the owner and begins a new epoch.
func (tx *Tx) give(c Computer, to NodeID) error {
	if err := tx.dropDisks(c.ID, to); err != nil {
		return err
	}
	// Its last tick was its last owner's last word: what it ran after that
	// nobody knows.
	c.Node, c.Epoch, c.RunFrom, c.RunImage = to, c.Epoch+1, time.Time{}, ""
	if c.Sent.Node != to {
		c.Sent = Sent{}
	}
	if err := tx.runsChanged(c); err != nil {
		return err
	}
	tx.Reply(c.Epoch)
	return tx.putComputer(c)
}
