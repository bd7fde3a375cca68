package state

import (
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// rebuiltText is why what was under way in the backup is not any more.
const rebuiltText = "the cluster was restored from a backup"

// Rebuild makes the records of a backup those of a cluster of one new node. The
// nodes that it had are gone, with their leases, their builds and their join
// tokens; runs that were under way are over, for they would do again what they
// did since; computers begin from their last save when somebody uses them, and
// one that was never saved waits for its node. It is applied once, outside of any
// log, to records that nobody serves.
type Rebuild struct {
	Node Node `cbor:"1,keyasint"`
	// Key lets whoever restores in. Account and User are those of the oldest admin
	// key that there is.
	Key Key `cbor:"2,keyasint"`
}

func (cmd Rebuild) apply(tx *Tx) error {
	gone, err := tx.Nodes()
	if err != nil {
		return err
	}
	if err := tx.homeless(); err != nil {
		return err
	}
	for _, n := range gone {
		if err := tx.forgetNode(n); err != nil {
			return err
		}
	}
	if err := tx.forgetTokens(); err != nil {
		return err
	}
	cmd.Node.JoinedAt = tx.now
	if err := nodes.create(tx.w, cmd.Node); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedCluster})
	admin, err := tx.firstAdmin()
	if err != nil {
		return err
	}
	cmd.Key.Account, cmd.Key.User, cmd.Key.Admin, cmd.Key.NoLimit = admin.Account, admin.User, true, true
	return (CreateKey{Key: cmd.Key}).apply(tx)
}

// firstAdmin is the oldest key that may use the admin routes, or could once.
func (tx *Tx) firstAdmin() (found Key, err error) {
	var all []AccountID
	if err := accounts.each(tx.w, "all", nil, false, func(a Account) bool { all = append(all, a.ID); return true }); err != nil {
		return found, err
	}
	for _, id := range all {
		err := keys.each(tx.w, "account", []string{string(id)}, false, func(k Key) bool {
			if k.Admin && (found.ID == "" || k.CreatedAt.Before(found.CreatedAt)) {
				found = k
			}
			return true
		})
		if err != nil {
			return found, err
		}
	}
	if found.ID == "" {
		return found, fault.New(fault.Invalid, "the backup has no admin key, so there is nobody to make one for")
	}
	return found, nil
}

// homeless takes every computer's owner away.
func (tx *Tx) homeless() error {
	var all []ComputerID
	err := tx.EveryComputer(func(c Computer) bool { all = append(all, c.ID); return true })
	for _, id := range all {
		if err == nil {
			err = tx.unhouse(id)
		}
	}
	return err
}

func (tx *Tx) unhouse(id ComputerID) error {
	c, ok, err := tx.AnyComputer(id)
	if err != nil || !ok {
		return err
	}
	if err := tx.abandonRuns(c, rebuiltText); err != nil {
		return err
	}
	if c, _, err = tx.AnyComputer(id); err != nil { // as its runs left it
		return err
	}
	if _, err := tx.releaseComputer(&c); err != nil {
		return err
	}
	if err := errors.Join(tx.failSnapshots(c), tx.dropDisks(c.ID, "")); err != nil {
		return err
	}
	c.idle()
	if c.Phase.Up() || c.Phase == Stopping {
		c.Phase = Stopped
		c.Wish, c.IdleStopped = WishStopped, true // a request wakes it
	}
	if c.Saved.Name != "" {
		c.DataNode = ""
	}
	c.Node, c.RunFrom, c.RunImage = "", time.Time{}, ""
	return tx.putComputer(c)
}

// forgetNode ends what a node that is gone for ever was doing.
func (tx *Tx) forgetNode(n Node) error {
	if err := releaseBuilds(tx, n.ID); err != nil {
		return err
	}
	if err := tx.failPulls(n.ID); err != nil {
		return err
	}
	if err := forgetIncarnation(tx.w, n.ID, n.Incarnation); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.remove(tx.w, string(n.ID))
}

func (tx *Tx) forgetTokens() error {
	var all []string
	err := tokens.each(tx.w, "expiry", nil, false, func(t JoinToken) bool { all = append(all, t.Hash); return true })
	for _, hash := range all {
		if err == nil {
			err = tokens.remove(tx.w, hash)
		}
	}
	return err
}
