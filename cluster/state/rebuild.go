package state

import (
	"errors"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// rebuiltText is why what was under way in the backup is not any more.
const rebuiltText = "the cluster was restored from a backup"

// Rebuild makes the records of a backup those of a cluster of one new node. The
// nodes that it had are gone, with their leases, their builds and their join
// tokens; runs that were under way are over, for they would do again what they
// did since; computers begin from their last save when somebody uses them, and
// one that was never saved has failed. It is applied once, outside of any
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
	if err := tx.orphanAll(gone); err != nil {
		return err
	}
	for _, n := range gone {
		if err := errors.Join(releaseBuilds(tx, n.ID), tx.forgetNode(n)); err != nil {
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

// orphanAll ends every run, and takes every computer's owner away.
func (tx *Tx) orphanAll(gone []Node) error {
	lost := map[NodeID]string{}
	for _, n := range gone {
		lost[n.ID] = n.Name
	}
	var all []Computer
	if err := tx.EveryComputer(func(c Computer) bool { all = append(all, c); return true }); err != nil {
		return err
	}
	for _, c := range all {
		if err := tx.abandonRuns(c, rebuiltText); err != nil {
			return err
		}
		c, _, err := tx.AnyComputer(c.ID) // as its runs left it
		if err == nil {
			err = errors.Join(tx.failSnapshots(c), tx.orphan(c, lost))
		}
		if err != nil {
			return err
		}
	}
	return nil
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
