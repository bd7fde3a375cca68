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

// CreateToken keeps a join token's hash for TokenLifetime. Kept twice, it is
// kept as it was first: a used token stays used.
type CreateToken struct {
	Hash string `cbor:"1,keyasint"`
}

func (cmd CreateToken) apply(tx *Tx) error {
	if _, kept, err := tokens.find(tx.w, cmd.Hash); err != nil || kept {
		return err
	}
	return tokens.create(tx.w, JoinToken{Hash: cmd.Hash, ExpiresAt: tx.now.Add(TokenLifetime)})
}

// AdmitNode consumes a join token and makes its bearer a member. Repeated with
// the same key it answers the same; the display name must be free. A member
// that is admitted again keeps its life: its incarnation, lease and results.
type AdmitNode struct {
	Token string `cbor:"1,keyasint"` // hash
	Node  Node   `cbor:"2,keyasint"`
}

func (cmd AdmitNode) apply(tx *Tx) error {
	if len(cmd.Node.KeyHash) == 0 {
		return fault.New(fault.Invalid, "node %s has no key", cmd.Node.ID)
	}
	token, ok, err := tokens.find(tx.w, cmd.Token)
	if err != nil {
		return err
	}
	if !ok || !tx.now.Before(token.ExpiresAt) {
		return fault.New(fault.Unauthorized, "the join token is unknown or has expired; make a new one with `bothy token`")
	}
	old, member, err := tx.FindNode(cmd.Node.ID)
	if err != nil {
		return err
	}
	if member && !bytes.Equal(old.KeyHash, cmd.Node.KeyHash) {
		return fault.New(fault.Conflict, "node %s is a member with another key", cmd.Node.ID)
	}
	if token.UsedBy != nil {
		if member && bytes.Equal(token.UsedBy, cmd.Node.KeyHash) {
			return nil
		}
		return fault.New(fault.Unauthorized, "the join token was used before; make a new one with `bothy token`")
	}
	if err := nameFree(tx, cmd.Node); err != nil {
		return err
	}
	token.UsedBy = cmd.Node.KeyHash
	if err := tokens.put(tx.w, token); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedNode, ID: string(cmd.Node.ID), Node: cmd.Node.ID})
	if member {
		return nodes.put(tx.w, old.renamed(cmd.Node))
	}
	cmd.Node.JoinedAt = tx.now
	return nodes.create(tx.w, cmd.Node)
}

// renamed is a member with the name and addresses it came back with.
func (n Node) renamed(back Node) Node {
	n.Name, n.PeerAddr, n.HTTPAddr, n.GossipAddr = back.Name, back.PeerAddr, back.HTTPAddr, back.GossipAddr
	n.Version, n.Commands = back.Version, back.Commands
	return n
}

func nameFree(tx *Tx, n Node) error {
	var holder Node
	err := nodes.each(tx.w, "name", []string{n.Name}, false, func(other Node) bool { holder = other; return false })
	if err == nil && holder.ID != "" && holder.ID != n.ID {
		err = fault.New(fault.Conflict, "the name %q belongs to node %s; choose another with --id, or remove that node first", n.Name, holder.ID)
	}
	return err
}
