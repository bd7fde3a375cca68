package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Status is the cluster as one node sees it, for people.
type Status struct {
	Cluster      string        `json:"cluster"` // its uuid
	Self         state.NodeID  `json:"self"`
	Leader       state.NodeID  `json:"leader"` // "" when none is known
	Stale        bool          `json:"stale"`  // no leader confirmed what is shown
	AppliedIndex uint64        `json:"applied_index"`
	LeaseHeld    bool          `json:"lease_held"` // this node may act
	LeaseMargin  time.Duration `json:"lease_margin_ns"`
	DiskFull     bool          `json:"disk_full"`
	Nodes        []NodeStatus  `json:"nodes"`
}

// NodeStatus is one node of a Status.
type NodeStatus struct {
	ID          state.NodeID `json:"id"`
	Name        string       `json:"name"`
	Leader      bool         `json:"leader"`
	Voter       bool         `json:"voter"`
	InRaft      bool         `json:"in_raft"`
	Leased      bool         `json:"leased"`
	Incarnation uint64       `json:"incarnation"`
	RenewedAt   time.Time    `json:"renewed_at"`
	Computers   int          `json:"computers"`
	Peer        string       `json:"peer"`
	HTTP        string       `json:"http"`
	Version     string       `json:"version"`
	JoinedAt    time.Time    `json:"joined_at"`
}

// Status reads how the cluster is; without a leader, as this node last knew it.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	s := Status{Self: c.self, LeaseHeld: c.lease.held(), LeaseMargin: c.lease.margin(), DiskFull: c.full.Load()}
	v, err := c.Read(ctx)
	if err != nil {
		s.Stale = true
		if v, err = c.Stale(); err != nil {
			return s, err
		}
	}
	defer v.Close()
	s.Leader = c.Leader()
	if s.AppliedIndex, err = v.AppliedIndex(); err != nil {
		return s, err
	}
	rec, _, err := v.Cluster()
	if err != nil {
		return s, err
	}
	s.Cluster = rec.ID
	nodes, err := v.Nodes()
	if err != nil {
		return s, err
	}
	servers, err := c.suffrage()
	if err != nil {
		return s, err
	}
	for _, n := range nodes {
		owned, err := v.CountComputersOn(n.ID)
		if err != nil {
			return s, err
		}
		votes, in := servers[n.ID]
		s.Nodes = append(s.Nodes, NodeStatus{
			ID: n.ID, Name: n.Name, Leader: n.ID == s.Leader, Voter: votes, InRaft: in, Leased: n.Leased(),
			Incarnation: n.Incarnation, RenewedAt: n.RenewedAt, Computers: owned,
			Peer: n.PeerAddr, HTTP: n.HTTPAddr, Version: n.Version, JoinedAt: n.JoinedAt,
		})
	}
	return s, nil
}

// suffrage is who is in raft's configuration, and whether it votes.
func (c *Cluster) suffrage() (map[state.NodeID]bool, error) {
	f := c.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, err
	}
	out := map[state.NodeID]bool{}
	for _, s := range f.Configuration().Servers {
		out[state.NodeID(s.ID)] = s.Suffrage == raft.Voter
	}
	return out, nil
}

// Ready reports whether this node serves: it knows a leader and holds its lease.
func (c *Cluster) Ready() bool { return c.Leader() != "" && c.lease.held() }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
