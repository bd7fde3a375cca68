package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// departuresPath is where a node tells which of its computers are to leave it.
	departuresPath = "/node/departures"
	// maxDeparturesBytes bounds the answer.
	maxDeparturesBytes = 4 << 20
)

// Drains are nodes that give away what they have, to be stopped or to leave.
// Every method works on any node.
type Drains struct {
	cluster    Cluster
	remote     *wire
	departures *departures
	// leave begins the departure of a computer of this node.
	leave func(placement.Move) error
}

// Drain is a node that drains, or not, and what is left on it.
type Drain struct {
	Node      state.Node
	Computers int // that it owns, those that are being deleted too
	Up        int // of them
	Runs      int // in progress on them
	Builds    int // that it makes
	// Departures are those that have begun or could not. Asked is false when the
	// node did not answer: then there are none.
	Departures []Departure
	Asked      bool
}

// Done reports whether nothing is left on the node.
func (d Drain) Done() bool { return d.Node.Draining() && d.Computers+d.Builds == 0 }

// Begin has a node drain. Done again it is success.
func (s *Drains) Begin(ctx context.Context, node state.NodeID) (Drain, error) {
	if _, err := s.cluster.Apply(ctx, state.DrainNode{Node: node}); err != nil {
		return Drain{}, err
	}
	return s.Of(ctx, node)
}

// End has a node take new work again.
func (s *Drains) End(ctx context.Context, node state.NodeID) (Drain, error) {
	if _, err := s.cluster.Apply(ctx, state.UndrainNode{Node: node}); err != nil {
		return Drain{}, err
	}
	return s.Of(ctx, node)
}

// Of tells what is left on a node.
func (s *Drains) Of(ctx context.Context, node state.NodeID) (Drain, error) {
	d, err := view(ctx, s.cluster, func(v *state.View) (d Drain, err error) {
		if d.Node, err = v.Node(node); err != nil {
			return d, err
		}
		err = v.ComputersOn(node, func(c state.Computer) bool {
			d.Computers++
			d.Runs += c.Live
			if c.Phase.Up() {
				d.Up++
			}
			return true
		})
		if err == nil {
			err = v.BuildsOn(node, func(state.Build) bool { d.Builds++; return true })
		}
		return d, err
	})
	if err != nil {
		return d, err
	}
	if node == s.cluster.Self() {
		d.Departures, d.Asked = s.departures.list(), true
		return d, nil
	}
	if d.Node.Leased() {
		if list, err := s.remote.departures(ctx, node); err == nil {
			d.Departures, d.Asked = list, true
		}
	}
	return d, nil
}

// departures asks a node which of its computers are to leave it.
func (w *wire) departures(ctx context.Context, node state.NodeID) (list []Departure, err error) {
	if w.client == nil {
		return nil, fault.New(fault.Unavailable, "this node reaches no other")
	}
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+string(node)+departuresPath, nil)
	if err != nil {
		return nil, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask node %s: %w", node, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fault.New(fault.Unavailable, "node %s answered %s", node, res.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxDeparturesBytes)).Decode(&list); err != nil {
		return nil, fmt.Errorf("read what leaves node %s: %w", node, err)
	}
	return list, nil
}

// serveDepartures answers another node.
func (s *Drains) serveDepartures(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// An asker that is gone reads nothing.
	_ = json.NewEncoder(w).Encode(s.departures.list())
}
