package cluster

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// roster is the members as this replica knows them, kept in memory because
// every connection asks. Renewals of leases do not show in it.
type roster struct {
	self   state.NodeID
	peers  []identity.Peer                           // that admitted this node
	hint   func(state.NodeID) (addr string, ok bool) // from gossip; may be nil
	latest atomic.Pointer[membership]
	// announced are the members that the log names and the records do not yet:
	// a replica that was killed is behind its log, learns from a leader how far
	// the log counts, and has to know that leader before.
	announced atomic.Pointer[map[state.NodeID]state.Node]
}

// membership is never changed, only replaced.
type membership struct {
	cluster state.Cluster
	nodes   []state.Node // by name
	byID    map[state.NodeID]state.Node
}

func newRoster(self state.NodeID, peers []identity.Peer, hint func(state.NodeID) (string, bool)) *roster {
	r := &roster{self: self, peers: peers, hint: hint}
	r.latest.Store(&membership{})
	return r
}

// load reads the members from the store.
func (r *roster) load(st *store.Store) error {
	reader, done, err := st.View()
	if err != nil {
		return err
	}
	v := state.NewView(reader, done)
	defer v.Close()
	m := &membership{byID: map[state.NodeID]state.Node{}}
	if m.cluster, _, err = v.Cluster(); err != nil {
		return fmt.Errorf("read the cluster's record: %w", err)
	}
	if m.nodes, err = v.Nodes(); err != nil {
		return fmt.Errorf("read the members: %w", err)
	}
	for _, n := range m.nodes {
		m.byID[n.ID] = n
	}
	r.latest.Store(m)
	return nil
}

func (r *roster) all() []state.Node { return r.latest.Load().nodes }

// others lists the other members, or, on a new node, those that admitted it.
func (r *roster) others() (out []state.NodeID) {
	for _, n := range r.all() {
		if n.ID != r.self {
			out = append(out, n.ID)
		}
	}
	if r.young() {
		for _, p := range r.peers {
			out = append(out, p.Node)
		}
	}
	return out
}

func (r *roster) version() int { return r.latest.Load().cluster.Version }

func (r *roster) node(id state.NodeID) (state.Node, bool) {
	n, ok := r.latest.Load().byID[id]
	return n, ok
}

// young reports whether this replica does not yet know of its own node: it has
// been admitted and has not received the log.
func (r *roster) young() bool {
	_, ok := r.node(r.self)
	return !ok
}

// announce takes in the members that the log's end names.
func (r *roster) announce(nodes map[state.NodeID]state.Node) { r.announced.Store(&nodes) }

// named is a member that the log names and the records do not.
func (r *roster) named(id state.NodeID) (state.Node, bool) {
	if nodes := r.announced.Load(); nodes != nil {
		n, ok := (*nodes)[id]
		return n, ok
	}
	return state.Node{}, false
}

// resolve says where a node takes others: by its record, by what admitted this
// node, or by gossip. The transport checks that it is the right node.
func (r *roster) resolve(id state.NodeID) (string, bool) {
	if n, ok := r.node(id); ok && n.PeerAddr != "" {
		return n.PeerAddr, true
	}
	if n, ok := r.named(id); ok && n.PeerAddr != "" {
		return n.PeerAddr, true
	}
	for _, p := range r.peers {
		if p.Node == id && r.young() {
			return p.Addr, true
		}
	}
	if r.hint != nil {
		return r.hint(id)
	}
	return "", false
}

// member reports whether a node with this key belongs to the cluster. Until
// its own records say so, a new node knows those who admitted it.
func (r *roster) member(id state.NodeID, keyHash [32]byte) bool {
	if n, ok := r.node(id); ok {
		return bytes.Equal(n.KeyHash, keyHash[:])
	}
	if n, ok := r.named(id); ok && bytes.Equal(n.KeyHash, keyHash[:]) {
		return true
	}
	if !r.young() {
		return false
	}
	for _, p := range r.peers {
		if p.Node == id {
			return true
		}
	}
	return false
}
