package state

import (
	"errors"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// RemoveNode takes a member out of the cluster. It is refused while the node
// still owns computers that exist. With Abandon those lose it all the same, which
// a node must not be able to notice: one that may act is refused. Their newest
// data is then lost with it, unless a save has it.
type RemoveNode struct {
	Node    NodeID `cbor:"1,keyasint"`
	Abandon bool   `cbor:"2,keyasint,omitempty"`
}

func (cmd RemoveNode) apply(tx *Tx) error {
	n, ok, err := tx.FindNode(cmd.Node)
	if err != nil || !ok {
		return err
	}
	owned, err := computers.count(tx.w, "node", string(n.ID))
	switch {
	case err != nil:
		return err
	case owned > 0 && !cmd.Abandon:
		return fault.New(fault.Conflict, "node %s still owns %d computers", n.Name, owned)
	case owned > 0 && n.Leased():
		return fault.New(fault.Conflict, "node %s still owns %d computers and holds its lease", n.Name, owned)
	}
	if err := tx.orphanComputers(n); err != nil {
		return err
	}
	if err := tx.freeStranded(n, cmd.Abandon); err != nil {
		return err
	}
	return tx.forgetNode(n)
}

// strandedVersion is the command version since which a node that is removed lets go
// of computers that others own.
const strandedVersion = 6

// freeStranded has computers of other nodes wait no longer for the disk that a node
// had of them: they went to another one for a run, which has not touched them yet. A
// node that is not given up keeps them from being lost by a Conflict.
func (tx *Tx) freeStranded(n Node, abandon bool) error {
	cluster, _, err := tx.Cluster()
	if err != nil || cluster.Version < strandedVersion {
		return err
	}
	var all []Computer
	err = tx.EveryComputer(func(c Computer) bool {
		if c.DataNode == n.ID && !c.Restores() && c.Wish != WishDeleted {
			all = append(all, c)
		}
		return true
	})
	if err == nil && !abandon && len(all) > 0 {
		return fault.New(fault.Conflict, "node %s has the newest disks of %d computers that other nodes own; they are theirs once they were started", n.Name, len(all))
	}
	for _, c := range all {
		switch {
		case err != nil:
		case c.Saved.Name != "": // its owner begins from that
			c.DataNode = ""
			err = tx.putComputer(c)
		case c.Live == 0: // a run is told when it goes on
			err = tx.orphan(c, map[NodeID]string{n.ID: n.Name})
		}
	}
	return err
}

// forgetNode ends what a node that is gone for ever had besides computers.
func (tx *Tx) forgetNode(n Node) error {
	if err := tx.loseSnapshots(n); err != nil {
		return err
	}
	if err := forgetIncarnation(tx.w, n.ID, n.Incarnation); err != nil {
		return err
	}
	if err := tx.failPulls(n.ID); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.remove(tx.w, string(n.ID))
}

// orphanComputers takes a node's computers from it: the next to need one has it
// placed, and nobody waits for what the node alone had. One begins from its last
// save, or has failed, with the reason, and begins empty when it is started again.
// Those that were to be deleted are.
func (tx *Tx) orphanComputers(n Node) error {
	var owned []Computer
	err := tx.ComputersOn(n.ID, func(c Computer) bool { owned = append(owned, c); return true })
	for _, c := range owned {
		if err == nil {
			err = tx.orphan(c, map[NodeID]string{n.ID: n.Name})
		}
	}
	return err
}

// orphan takes the owner from one computer; lost are the names of nodes that are
// gone for ever.
func (tx *Tx) orphan(c Computer, lost map[NodeID]string) error {
	if _, err := tx.releaseComputer(&c); err != nil {
		return err
	}
	if c.Phase.Up() || c.Phase == Stopping {
		c.Phase = Stopped
	}
	if c.Wish == WishDeleted {
		c.Node = ""
		if err := tx.endComputer(&c); err != nil {
			return err
		}
		return tx.putComputer(c)
	}
	was := c.Phase
	switch name, gone := lost[c.DataNode]; {
	case !gone:
	case c.Saved.Name != "":
		c.DataNode = ""
	case c.Live == 0: // a run is told when it goes on
		c.DataNode, c.Phase, c.Wish = "", Failed, WishStopped
		c.Error = "its disk was lost with node " + name + "; started again it begins with an empty one"
	}
	if c.Phase == Failed {
		if err := tx.announceComputer(c, was); err != nil {
			return err
		}
	}
	return tx.give(c, "")
}

// endComputer makes a computer a deleted one, of which nothing is left.
func (tx *Tx) endComputer(c *Computer) error {
	if err := tx.abandonRuns(*c, "the computer was deleted"); err != nil {
		return err
	}
	c.Wish, c.Phase, c.DeletedAt, c.Sent = WishDeleted, Deleted, tx.now, Sent{}
	c.idle()
	if err := tx.announceComputer(*c, ""); err != nil {
		return err
	}
	return errors.Join(tx.stored(c, 0), tx.failSnapshots(*c), tx.dropKept(c.ID))
}

// loseSnapshots says of the snapshots that lay on a node alone that they are gone.
func (tx *Tx) loseSnapshots(n Node) error {
	var there []Snapshot
	err := tx.SnapshotsOn(n.ID, func(s Snapshot) bool { there = append(there, s); return true })
	for _, s := range there {
		switch {
		case err != nil:
			return err
		case s.Left():
			err = snapshots.remove(tx.w, string(s.ID))
		case s.Phase == SnapshotDeleting:
			err = SnapshotGone{ID: s.ID, Node: n.ID}.apply(tx)
		case s.Phase == SnapshotReady && s.Store == "":
			s.Phase, s.Error, s.UpdatedAt = SnapshotFailed, "it was lost with node "+n.Name, tx.now
			if err = tx.holds(&s, 0); err == nil {
				err = snapshots.put(tx.w, s)
			}
		}
	}
	return err
}
