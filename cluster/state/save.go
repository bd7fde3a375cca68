package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// CodeNoSave marks the Conflict of asking for a saved copy that there is none of.
const CodeNoSave = "NO_SAVE"

// Save is a computer's disk in a blob store, where every node that reaches the
// store finds it. A save that is there and that no record names means nothing.
type Save struct {
	Name   string    `cbor:"1,keyasint"` // in the store, below its computer; "" is no save
	Store  string    `cbor:"2,keyasint"` // the store's own id
	Node   NodeID    `cbor:"3,keyasint"` // who saved it
	Epoch  Epoch     `cbor:"4,keyasint"` // in which it was last said to be the newest
	Image  string    `cbor:"5,keyasint"` // digest of the image that the layer stands on
	MadeAt time.Time `cbor:"6,keyasint"` // the moment that it shows
	Bytes  int64     `cbor:"7,keyasint"` // logical
	// Clean is set while nothing can have been written since: then it is as good
	// as the disk, wherever that is.
	Clean bool `cbor:"8,keyasint,omitempty"`
}

// Restored tells of the last time that a computer's disk was made from a save.
type Restored struct {
	Epoch  Epoch     `cbor:"1,keyasint"` // in which
	At     time.Time `cbor:"2,keyasint"`
	MadeAt time.Time `cbor:"3,keyasint"` // of the save
	Clean  bool      `cbor:"4,keyasint,omitempty"`
	// Bared is set when the image was another one, so that the workspace alone came back.
	Bared bool `cbor:"5,keyasint,omitempty"`
}

// Restores reports whether the disk is to be made from what was sent, or from its
// save, on a node that does not have the newest: that is as good, or its user
// chose it.
func (c Computer) Restores() bool { return c.Sent.Name != "" || c.Comes() }

// Comes is Restores from a save, which any node can that reaches the store.
func (c Computer) Comes() bool { return c.Saved.Name != "" && (c.DataNode == "" || c.Saved.Clean) }

// begins is the save that the disk is made from, and whether it is as good as the
// newest disk.
func (c Computer) begins() (name string, madeAt time.Time, clean bool) {
	if c.Sent.Name != "" {
		return c.Sent.Name, c.Sent.MadeAt, true
	}
	return c.Saved.Name, c.Saved.MadeAt, c.Saved.Clean
}

// SaveDisk records the newest save of a computer, or why it could not be saved.
// Only the owner in its epoch can; Base is the save that its record named when
// this one began, so that of two the later one never gives way to the earlier.
type SaveDisk struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Base     string     `cbor:"3,keyasint"`
	Save     Save       `cbor:"4,keyasint"`
	Error    string     `cbor:"5,keyasint,omitempty"`
}

func (cmd SaveDisk) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil {
		return err
	}
	if cmd.Error != "" {
		c.SaveError = cmd.Error
		return tx.putComputer(c)
	}
	switch {
	case cmd.Save.Name == "" || cmd.Save.Store == "":
		return fault.New(fault.Invalid, "a save without a name or a store")
	case c.DataNode != c.Node:
		return fault.New(fault.Conflict, "node %s does not have the newest disk of computer %s", c.Node, c.ID)
	case c.Saved.Name != cmd.Base && c.Saved.Name != cmd.Save.Name:
		return fault.New(fault.Conflict, "computer %s was saved as %s meanwhile", c.ID, c.Saved.Name).WithCode(CodeChanged)
	}
	s := cmd.Save
	s.Node, s.Epoch, s.Clean = c.Node, c.Epoch, s.Clean && !c.Phase.Up()
	c.Saved, c.SaveError = s, ""
	return tx.putComputer(c)
}

// DirtyDisk says that a computer's disk is about to be written to, so that its
// save is no longer all there is. The owner waits for it before it lets anybody.
type DirtyDisk struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
}

func (cmd DirtyDisk) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil || !c.Saved.Clean {
		return err
	}
	c.Saved.Clean = false
	return tx.putComputer(c)
}

// RestoreDisk records that the owner has made the disk from a save, or from what was sent to it: from now on
// that disk is the newest, wherever there are others.
type RestoreDisk struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Save     string     `cbor:"3,keyasint"`
	Bared    bool       `cbor:"4,keyasint,omitempty"`
}

func (cmd RestoreDisk) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil || c.DataNode == c.Node {
		return err
	}
	name, madeAt, clean := c.begins()
	if name != cmd.Save {
		return fault.New(fault.Conflict, "the newest save of computer %s is %q, not %q", c.ID, name, cmd.Save)
	}
	c.Restored = Restored{Epoch: c.Epoch, At: tx.now, MadeAt: madeAt, Clean: clean, Bared: cmd.Bared}
	c.DataNode, c.Saved.Clean = c.Node, !cmd.Bared && c.Sent.Name == "" // it is what the disk now is
	c.Sent = Sent{}
	return tx.putComputer(c)
}

// RecoverComputer takes the last save of a computer for its newest disk, whose
// node is away: what changed since is given up.
type RecoverComputer struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
}

func (cmd RecoverComputer) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	if c.DataNode == "" && c.Saved.Name != "" {
		return nil // it was asked for before
	}
	if c.DataNode == "" {
		return fault.New(fault.Conflict, "computer %s has no disk yet", c.ID)
	}
	n, known, err := tx.FindNode(c.DataNode)
	switch {
	case err != nil:
		return err
	case known && n.Leased():
		return fault.New(fault.Conflict, "the newest disk of computer %s is on node %s, which is not away", c.ID, n.Name)
	case c.Saved.Name == "":
		return fault.New(fault.Conflict, "computer %s was never saved off its node", c.ID).WithCode(CodeNoSave)
	}
	c.DataNode = ""
	return tx.putComputer(c)
}

// ReachStore records which blob store a node reaches; "" is none.
type ReachStore struct {
	Node  NodeID `cbor:"1,keyasint"`
	Store string `cbor:"2,keyasint"`
}

func (cmd ReachStore) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil || n.Store == cmd.Store {
		return err
	}
	n.Store = cmd.Store
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.put(tx.w, n)
}
