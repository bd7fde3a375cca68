package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// CommandVersion is the newest version of the command set this build knows. A
// command kind newer than the cluster's version is never proposed.
const CommandVersion = 6

// Cluster is the one record about the whole.
type Cluster struct {
	ID        string    `cbor:"1,keyasint"` // a uuid
	Version   int       `cbor:"2,keyasint"` // of the command set, raised when all members support it
	CreatedAt time.Time `cbor:"3,keyasint"`
}

var keyCluster = key("cluster")

// Cluster returns the cluster's record, or false before it was bootstrapped.
func (v *View) Cluster() (c Cluster, ok bool, err error) {
	b, err := v.r.Get(keyCluster)
	if err != nil || b == nil {
		return c, false, err
	}
	return c, true, Decode(b, &c)
}

// Bootstrap makes a cluster out of its first node, with the account, user and
// admin key that everything else is made with. It is repeatable: a cluster
// that exists keeps its id.
type Bootstrap struct {
	Cluster string  `cbor:"1,keyasint"`
	Node    Node    `cbor:"2,keyasint"`
	Account Account `cbor:"3,keyasint"`
	User    User    `cbor:"4,keyasint"`
	Key     Key     `cbor:"5,keyasint"`
	// Version is the proposer's CommandVersion: a node that joins applies the
	// log from its beginning, with whatever build it has.
	Version int `cbor:"6,keyasint,omitempty"`
}

// unversioned is the command version of clusters whose Bootstrap does not say it.
const unversioned = 4

func (cmd Bootstrap) apply(tx *Tx) error {
	have, ok, err := tx.Cluster()
	if err != nil {
		return err
	}
	if ok {
		tx.Reply(have.ID)
		return nil
	}
	version := cmd.Version
	if version == 0 {
		version = unversioned
	}
	b, err := Encode(Cluster{ID: cmd.Cluster, Version: version, CreatedAt: tx.now})
	if err != nil {
		return err
	}
	if err := tx.w.Set(keyCluster, b); err != nil {
		return err
	}
	cmd.Node.JoinedAt = tx.now
	if err := nodes.create(tx.w, cmd.Node); err != nil {
		return err
	}
	if err := (CreateAccount{Account: cmd.Account}).apply(tx); err != nil {
		return err
	}
	if err := (CreateUser{User: cmd.User}).apply(tx); err != nil {
		return err
	}
	if err := (CreateKey{Key: cmd.Key}).apply(tx); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedCluster})
	tx.Reply(cmd.Cluster)
	return nil
}

// RaiseVersion lets commands of a newer set be proposed. The leader sends it
// when every member supports the version.
type RaiseVersion struct {
	Version int `cbor:"1,keyasint"`
}

func (cmd RaiseVersion) apply(tx *Tx) error {
	c, ok, err := tx.Cluster()
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Conflict, "the cluster is not bootstrapped")
	}
	if cmd.Version <= c.Version {
		return nil
	}
	c.Version = cmd.Version
	b, err := Encode(c)
	if err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedCluster})
	return tx.w.Set(keyCluster, b)
}
