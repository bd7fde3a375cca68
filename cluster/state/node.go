package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Node is a member of the cluster.
type Node struct {
	ID          NodeID    `cbor:"1,keyasint"`
	Name        string    `cbor:"2,keyasint"` // display name, unique among members
	KeyHash     []byte    `cbor:"3,keyasint"` // SHA-256 of its public key
	Incarnation uint64    `cbor:"4,keyasint"` // one life of its process; 0 before the first
	Nonce       string    `cbor:"5,keyasint"` // of the TakeIncarnation that began this life
	Renewal     uint64    `cbor:"6,keyasint"` // counts lease renewals, over all lives
	Expired     bool      `cbor:"7,keyasint"` // the lease ran out; only a new incarnation goes on
	RenewedAt   time.Time `cbor:"8,keyasint"`
	PeerAddr    string    `cbor:"9,keyasint"`
	HTTPAddr    string    `cbor:"10,keyasint"`
	GossipAddr  string    `cbor:"11,keyasint"`
	Version     string    `cbor:"12,keyasint"` // of its build
	Commands    int       `cbor:"13,keyasint"` // CommandVersion of its build
	JoinedAt    time.Time `cbor:"14,keyasint"`
	Store       string    `cbor:"15,keyasint,omitempty"` // id of the blob store that it reaches; "" is none
	// DrainingSince is when it was told to give away what it has and to take
	// nothing new; zero otherwise.
	DrainingSince time.Time `cbor:"16,keyasint,omitzero"`
}

// Draining reports whether the node gives away what it has and takes nothing new.
func (n Node) Draining() bool { return !n.DrainingSince.IsZero() }

// Leased reports whether the node may act: it has a life and its lease did not expire.
func (n Node) Leased() bool { return n.Incarnation != 0 && n.Renewal != 0 && !n.Expired }

var nodes = table[Node]{
	name: "node", noun: "Node",
	id: func(n Node) string { return string(n.ID) },
	indexes: []index[Node]{
		{"all", func(n Node) ([]string, string, bool) { return nil, n.Name, true }},
		{"name", func(n Node) ([]string, string, bool) { return []string{n.Name}, "", true }},
	},
}

// Node returns a member.
func (v *View) Node(id NodeID) (Node, error) { return nodes.get(v.r, string(id)) }

// FindNode returns a member, or false when the id is none.
func (v *View) FindNode(id NodeID) (Node, bool, error) { return nodes.find(v.r, string(id)) }

// Nodes lists all members by name.
func (v *View) Nodes() ([]Node, error) {
	all := []Node{}
	err := nodes.each(v.r, "all", nil, false, func(n Node) bool { all = append(all, n); return true })
	return all, err
}

// NodeAddrs is where a node can be reached and what it runs, as it says at each start.
type NodeAddrs struct {
	Peer     string `cbor:"1,keyasint"`
	HTTP     string `cbor:"2,keyasint"`
	Gossip   string `cbor:"3,keyasint"`
	Version  string `cbor:"4,keyasint"`
	Commands int    `cbor:"5,keyasint"`
}

// TakeIncarnation begins a node's next life. The nonce makes it repeatable:
// sent again it answers the same number. It replies with the incarnation.
type TakeIncarnation struct {
	Node  NodeID    `cbor:"1,keyasint"`
	Nonce string    `cbor:"2,keyasint"`
	Addrs NodeAddrs `cbor:"3,keyasint"`
}

func (cmd TakeIncarnation) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if n.Nonce != cmd.Nonce {
		if err := forgetIncarnation(tx.w, n.ID, n.Incarnation); err != nil {
			return err
		}
		n.Incarnation, n.Nonce, n.Expired = n.Incarnation+1, cmd.Nonce, false
		if n.Renewal != 0 {
			// An ExpireLease for the life before must not end this one.
			n.Renewal++
		}
	}
	n.PeerAddr, n.HTTPAddr, n.GossipAddr = cmd.Addrs.Peer, cmd.Addrs.HTTP, cmd.Addrs.Gossip
	n.Version, n.Commands = cmd.Addrs.Version, cmd.Addrs.Commands
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	tx.Reply(n.Incarnation)
	return nodes.put(tx.w, n)
}

// RenewLease lets a node act for another term. It replies with the renewal's
// number. An expired life is refused: the node takes a new incarnation.
type RenewLease struct {
	Node        NodeID `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
}

func (cmd RenewLease) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if n.Incarnation != cmd.Incarnation || n.Expired {
		return fault.New(fault.Moved, "node %s: incarnation %d is over", n.Name, cmd.Incarnation)
	}
	first := n.Renewal == 0
	n.Renewal, n.RenewedAt = n.Renewal+1, tx.now
	if first {
		tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	}
	tx.Reply(n.Renewal)
	return nodes.put(tx.w, n)
}

// ExpireLease ends a node's life from outside. The leader sends it when the
// renewal it names is the last it applied for longer than any holder acts on it.
type ExpireLease struct {
	Node    NodeID `cbor:"1,keyasint"`
	Renewal uint64 `cbor:"2,keyasint"`
}

func (cmd ExpireLease) apply(tx *Tx) error {
	n, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if n.Renewal != cmd.Renewal {
		return fault.New(fault.Conflict, "node %s renewed since: %d, not %d", n.Name, n.Renewal, cmd.Renewal)
	}
	if n.Expired {
		return nil
	}
	n.Expired = true
	if err := releaseComputers(tx, n.ID); err != nil {
		return err
	}
	if err := releaseBuilds(tx, n.ID); err != nil {
		return err
	}
	if err := tx.failPulls(n.ID); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedNode, ID: string(n.ID), Node: n.ID})
	return nodes.put(tx.w, n)
}
