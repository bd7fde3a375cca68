package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// probeTimeout bounds one look at another node.
	probeTimeout = time.Second
	// configTimeout bounds how long a change of voters waits to be begun.
	configTimeout = 5 * time.Second
	// severAfter is how long a node that is no longer a member keeps its
	// connections: long enough to be told that it has left.
	severAfter = 2 * time.Second
)

// probed is what a node says about itself to the leader.
type probed struct {
	Applied uint64 `cbor:"1,keyasint"`
	Leads   bool   `cbor:"2,keyasint"`
}

func (c *Cluster) serveProbe(context.Context, state.NodeID, struct{}) (probed, error) {
	return probed{Applied: c.fsm.applied.position(), Leads: c.reign.Load() != nil}, nil
}

// census is what the leader has seen of the other nodes in its term.
type census struct {
	answered map[state.NodeID]time.Duration // when a node last answered, by Boottime
	applied  map[state.NodeID]uint64
	mark     uint64 // what was committed at the last look
}

// tendVoters brings raft's configuration nearer to the rules, a step at a time.
func (r *reign) tendVoters() {
	begun := r.c.clock.Boottime()
	seen := &census{answered: map[state.NodeID]time.Duration{}, applied: map[state.NodeID]uint64{}}
	r.every(2*r.c.timing.Duty, func() error {
		servers, conf, err := r.look(seen, begun)
		if err != nil {
			return err
		}
		st := nextStep(servers, r.c.timing.VoterDead)
		if st.Do == stepNone {
			return nil
		}
		r.c.log.Info("changing the voters", "step", string(st.Do), "node", string(st.Node), "name", r.c.nameOf(st.Node))
		return r.take(st, conf)
	})
}

// look asks every node how it is, and puts that beside raft's configuration.
func (r *reign) look(seen *census, begun time.Duration) ([]server, uint64, error) {
	mark := r.c.raft.CommitIndex()
	f := r.c.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, 0, fmt.Errorf("read raft's configuration: %w", err)
	}
	rows := map[state.NodeID]*server{}
	for _, n := range r.c.roster.all() {
		rows[n.ID] = &server{ID: n.ID, Member: !r.isLeaving(n.ID), Draining: n.Draining()}
	}
	for _, s := range f.Configuration().Servers {
		id := state.NodeID(s.ID)
		if rows[id] == nil {
			rows[id] = &server{ID: id}
		}
		rows[id].InRaft, rows[id].Voter = true, s.Suffrage == raft.Voter
	}
	r.probe(rows, seen)
	now := r.c.clock.Boottime()
	var servers []server
	for _, n := range sortedKeys(rows) {
		s := rows[n]
		s.Leader = s.ID == r.c.self
		last, ok := seen.answered[s.ID]
		if !ok {
			last = begun
		}
		s.Silent = now - last
		s.CaughtUp = seen.applied[s.ID] >= seen.mark && seen.mark > 0
		servers = append(servers, *s)
	}
	seen.mark = mark
	return servers, f.Index(), nil
}

// probe asks all nodes at once.
func (r *reign) probe(rows map[state.NodeID]*server, seen *census) {
	ctx, cancel := context.WithTimeout(r.ctx, probeTimeout)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	for id := range rows {
		all.Go(func() {
			p, err := r.c.probeNode(ctx, id)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen.answered[id], seen.applied[id] = r.c.clock.Boottime(), p.Applied
		})
	}
	all.Wait()
}

func (c *Cluster) probeNode(ctx context.Context, id state.NodeID) (p probed, err error) {
	q, err := state.Encode(struct{}{})
	if err != nil {
		return p, err
	}
	b, err := c.transport.Call(ctx, id, callProbe, q)
	if err != nil {
		return p, err
	}
	return p, state.Decode(b, &p)
}

// take makes one change, unless the configuration has changed since.
func (r *reign) take(st step, conf uint64) error {
	id, addr := raft.ServerID(st.Node), raft.ServerAddress(st.Node)
	var f raft.Future
	switch st.Do {
	case stepAdd:
		f = r.c.raft.AddNonvoter(id, addr, conf, configTimeout)
	case stepPromote:
		f = r.c.raft.AddVoter(id, addr, conf, configTimeout)
	case stepDemote:
		f = r.c.raft.DemoteVoter(id, conf, configTimeout)
	case stepRemove:
		f = r.c.raft.RemoveServer(id, conf, configTimeout)
	case stepTransfer:
		f = r.c.raft.LeadershipTransfer()
	case stepYield:
		f = r.c.raft.LeadershipTransferToServer(id, addr)
	default:
		return nil
	}
	if err := f.Error(); err != nil {
		return fmt.Errorf("%s node %s: %w", st.Do, st.Node, err)
	}
	return nil
}

func (r *reign) isLeaving(id state.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving[id]
}

func (r *reign) setLeaving(id state.NodeID, leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leaving {
		r.leaving[id] = true
	} else {
		delete(r.leaving, id)
	}
}

// Leave takes this node out of the cluster: its vote first, then its record.
// It is refused while the node owns computers. Close the cluster afterwards;
// the data directory is then of no further use.
func (c *Cluster) Leave(ctx context.Context) error { return c.Remove(ctx, c.self) }

// Remove takes a node out of the cluster, also one that is gone for ever. It is
// refused while the node owns computers.
func (c *Cluster) Remove(ctx context.Context, node state.NodeID) error {
	_, err := insist[struct{}](ctx, c, c.transport.Call, callLeave, node)
	return err
}

// Abandon is Remove for a node that is gone for ever with what it alone had. It
// is refused while the node holds its lease.
func (c *Cluster) Abandon(ctx context.Context, node state.NodeID) error {
	_, err := insist[struct{}](ctx, c, c.transport.Call, callAbandon, node)
	return err
}

func (c *Cluster) serveLeave(ctx context.Context, r *reign, _ state.NodeID, node state.NodeID) (struct{}, error) {
	return struct{}{}, c.leave(ctx, r, state.RemoveNode{Node: node})
}

func (c *Cluster) serveAbandon(ctx context.Context, r *reign, _ state.NodeID, node state.NodeID) (struct{}, error) {
	return struct{}{}, c.leave(ctx, r, state.RemoveNode{Node: node, Abandon: true})
}

// leave waits until raft can do without the node, then removes its record.
func (c *Cluster) leave(ctx context.Context, r *reign, cmd state.RemoveNode) error {
	node := cmd.Node
	if err := c.mayLeave(cmd); err != nil {
		return err
	}
	r.setLeaving(node, true)
	defer r.setLeaving(node, false)
	for {
		in, err := c.inRaft(node)
		if err != nil {
			return err
		}
		if !in {
			break
		}
		select {
		case <-time.After(c.timing.Duty):
		case <-r.ctx.Done():
			return errNotLeader
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errNotLeader // the leader changed under the question
			}
			return fault.New(fault.Unavailable, "node %s cannot be spared yet: no other node can take over its vote", node).WithRetry(retryAfter)
		}
	}
	a, err := r.decreeFor(ctx, cmd)
	if err != nil {
		return err
	}
	return a.Result.Err()
}

func (c *Cluster) mayLeave(cmd state.RemoveNode) error {
	v, err := c.Stale()
	if err != nil {
		return err
	}
	defer v.Close()
	n, ok, err := v.FindNode(cmd.Node)
	if err != nil || !ok {
		return err // gone already: that is what was asked for
	}
	if len(c.roster.all()) == 1 {
		return fault.New(fault.Conflict, "node %s is the only one: without it there is no cluster", n.Name)
	}
	owned, err := v.CountComputersOn(cmd.Node)
	switch {
	case err != nil || owned == 0:
		return err
	case n.Leased():
		return fault.New(fault.Conflict, "node %s still owns %d computers and is alive; drain it first, or end its process if they may be lost", n.Name, owned)
	case !cmd.Abandon:
		return fault.New(fault.Conflict, "node %s is away and still owns %d computers; what it alone has of them is lost when it is removed: say so with --force", n.Name, owned)
	}
	return nil
}

func (c *Cluster) inRaft(node state.NodeID) (bool, error) {
	f := c.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return false, fmt.Errorf("read raft's configuration: %w", err)
	}
	for _, s := range f.Configuration().Servers {
		if s.ID == raft.ServerID(node) {
			return true, nil
		}
	}
	return false, nil
}

// severStrangers ends the connections of nodes that were members, a little
// after they left.
func (c *Cluster) severStrangers(ctx context.Context) {
	w := c.Watch(func(ch state.Change) bool { return ch.Noun == state.ChangedNode })
	defer w.Close()
	known := map[state.NodeID]bool{}
	for {
		for _, n := range c.roster.all() {
			known[n.ID] = true
		}
		for id := range known {
			if _, ok := c.roster.node(id); !ok {
				delete(known, id)
				c.work.Go(func() {
					pause(ctx, severAfter)
					c.transport.Sever(id)
				})
			}
		}
		select {
		case <-w.Wake():
			w.Take()
		case <-ctx.Done():
			return
		}
	}
}
