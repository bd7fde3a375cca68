package state

import (
	"bytes"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// TokenLifetime is how long a join token can be used.
const TokenLifetime = time.Hour

// JoinToken admits one node. Only the hash of its secret is kept.
type JoinToken struct {
	Hash      string    `cbor:"1,keyasint"` // SHA-256 of the secret, hexadecimal
	ExpiresAt time.Time `cbor:"2,keyasint"`
	UsedBy    []byte    `cbor:"3,keyasint,omitempty"` // KeyHash of the node it admitted
}

var tokens = table[JoinToken]{
	name: "token", noun: "Join token",
	id: func(t JoinToken) string { return t.Hash },
	indexes: []index[JoinToken]{
		{"expiry", func(t JoinToken) ([]string, string, bool) { return nil, stampText(t.ExpiresAt), true }},
	},
}

// CreateToken keeps a join token's hash for TokenLifetime.
type CreateToken struct {
	Hash string `cbor:"1,keyasint"`
}

func (cmd CreateToken) apply(tx *Tx) error {
	return tokens.put(tx.w, JoinToken{Hash: cmd.Hash, ExpiresAt: tx.now.Add(TokenLifetime)})
}

// AdmitNode consumes a join token and makes its bearer a member. Repeated with
// the same key it answers the same; the display name must be free.
type AdmitNode struct {
	Token string `cbor:"1,keyasint"` // hash
	Node  Node   `cbor:"2,keyasint"`
}

func (cmd AdmitNode) apply(tx *Tx) error {
	token, ok, err := tokens.find(tx.w, cmd.Token)
	if err != nil {
		return err
	}
	if !ok || !tx.now.Before(token.ExpiresAt) {
		return fault.New(fault.Unauthorized, "the join token is unknown or has expired; make a new one with `bothy token`")
	}
	if token.UsedBy != nil {
		if bytes.Equal(token.UsedBy, cmd.Node.KeyHash) {
			return nil
		}
		return fault.New(fault.Unauthorized, "the join token was used by another node; make a new one with `bothy token`")
	}
	if err := nameFree(tx, cmd.Node); err != nil {
		return err
	}
	if old, exists, err := tx.FindNode(cmd.Node.ID); err != nil {
		return err
	} else if exists && !bytes.Equal(old.KeyHash, cmd.Node.KeyHash) {
		return fault.New(fault.Conflict, "node %s is a member with another key", cmd.Node.ID)
	}
	token.UsedBy = cmd.Node.KeyHash
	if err := tokens.put(tx.w, token); err != nil {
		return err
	}
	cmd.Node.JoinedAt = tx.now
	tx.changed(Change{Noun: ChangedNode, ID: string(cmd.Node.ID), Node: cmd.Node.ID})
	return nodes.put(tx.w, cmd.Node)
}

func nameFree(tx *Tx, n Node) error {
	var holder Node
	err := nodes.each(tx.w, "name", []string{n.Name}, false, func(other Node) bool { holder = other; return false })
	if err == nil && holder.ID != "" && holder.ID != n.ID {
		err = fault.New(fault.Conflict, "the name %q belongs to node %s; choose another with --id, or remove that node first", n.Name, holder.ID)
	}
	return err
}
