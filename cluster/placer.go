package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// claimShows is how long a claim is counted against its node: by then the
	// node's own figures show it.
	claimShows = 15 * time.Second
	// placeTries bounds how often a claim is made anew that lost a race.
	placeTries = 5
)

// Place makes sure that a computer has an owner that may act, and returns it.
// The leader chooses. When its newest data lies on a node that is away, no thread
// runs on it and its save is older, or when the snapshot that it begins as lies
// there alone, it is Unavailable with CodeDataAway; without a node that has room,
// or reaches the save that it needs, with CodeNoRoom.
func (c *Cluster) Place(ctx context.Context, computer state.ComputerID) (state.Placement, error) {
	p, err := insist[placedComputer](ctx, c, c.transport.Call, callPlace, computer)
	if err == nil {
		err = c.fsm.applied.wait(ctx, p.Index)
	}
	if err != nil {
		return state.Placement{}, err
	}
	return p.Placement, nil
}

// placedComputer is a placement and an index that holds it.
type placedComputer struct {
	Placement state.Placement `cbor:"1,keyasint"`
	Index     uint64          `cbor:"2,keyasint"`
}

func (c *Cluster) servePlace(_ context.Context, r *reign, _ state.NodeID, id state.ComputerID) (placedComputer, error) {
	for try := 1; ; try++ {
		p, err := r.place(id, nil)
		if fault.Is(err, fault.Conflict) && codeOf(err) == state.CodeChanged && try < placeTries {
			continue // somebody else claimed it: look again
		}
		return p, err
	}
}

// place looks at the computer and claims it for a node if it needs one, which
// is none of those in full.
func (r *reign) place(id state.ComputerID, full map[state.NodeID]bool) (placedComputer, error) {
	v, err := r.c.Stale() // the leader's replica holds all claims, its own included
	if err != nil {
		return placedComputer{}, err
	}
	defer v.Close()
	at, err := v.AppliedIndex()
	if err != nil {
		return placedComputer{}, err
	}
	comp, ok, err := v.AnyComputer(id)
	if err != nil {
		return placedComputer{}, err
	}
	if !ok || comp.Phase == state.Deleted {
		return placedComputer{}, fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	need, done, err := r.need(v, comp)
	if err != nil {
		return placedComputer{}, err
	}
	if done {
		return placedComputer{state.Placement{Node: comp.Node, Epoch: comp.Epoch}, at}, nil
	}
	return r.claim(comp, need, full)
}

// need says what the computer asks of a node, or that it has one.
func (r *reign) need(v *state.View, comp state.Computer) (placement.Need, bool, error) {
	need := placement.Need{
		Computer: comp.ID, MemoryBytes: comp.MemoryBytes, DiskBytes: comp.DiskBytes, Image: r.c.imageKey(comp.Image),
	}
	leased := func(id state.NodeID) (bool, string, error) {
		n, ok, err := v.FindNode(id)
		return ok && n.Leased(), n.Name, err
	}
	if comp.Node != "" {
		if held, _, err := leased(comp.Node); held || err != nil {
			return need, held, err
		}
	}
	if comp.Wish == state.WishDeleted {
		return need, false, nil // any node can say that nothing is there
	}
	if comp.DataNode == "" {
		return begin(v, comp, need, leased)
	}
	if comp.Sent.Name != "" { // as new as what stayed behind
		if held, _, err := leased(comp.Sent.Node); held || err != nil {
			need.Only, need.Home = comp.Sent.Node, comp.Sent.Node
			return need, false, err
		}
	}
	held, name, err := leased(comp.DataNode)
	switch {
	case err != nil:
		return need, false, err
	case held:
		need.Prefer = comp.DataNode
		if comp.Comes() || comp.Live > 0 {
			need.Store = comp.Saved.Store
		} else {
			need.Only = comp.DataNode
		}
		if !comp.Comes() {
			need.Home = comp.DataNode
		}
	case comp.Live == 0 && !comp.Comes():
		return need, false, away(comp, name)
	default: // a run cannot wait: it goes on with what there is
		need.Store = comp.Saved.Store
	}
	return need, false, nil
}

// begin says what a computer without a disk asks of a node: to reach the save or
// the snapshot that it is made from.
func begin(v *state.View, comp state.Computer, need placement.Need, leased func(state.NodeID) (bool, string, error)) (placement.Need, bool, error) {
	if comp.Comes() {
		need.Store = comp.Saved.Store
		return need, false, nil
	}
	if comp.Source == "" {
		return need, false, nil
	}
	s, known, err := v.AnySnapshot(comp.Source)
	if err != nil || !known {
		return need, false, err
	}
	held, name, err := leased(s.Node)
	switch {
	case err != nil:
		return need, false, err
	case s.Store != "":
		need.Prefer, need.Store = s.Node, s.Store
	case held:
		need.Only = s.Node
	case s.Phase == state.SnapshotFailed:
		return need, false, fault.New(fault.Conflict, "the snapshot that computer %s is made from is no more: %s", comp.ID, s.Error)
	default:
		return need, false, fault.New(fault.Unavailable, "the snapshot that computer %s is made from is on node %s, which is away; it can be used when the node returns",
			comp.ID, name).WithCode(CodeDataAway).WithRetry(awayRetry)
	}
	return need, false, nil
}

// awayRetry is when to ask again for what is on a node that is away.
const awayRetry = 5 * time.Second

// away is why a computer waits for a node, and what else can be done.
func away(comp state.Computer, name string) error {
	remedy := ""
	if comp.Saved.Name != "" {
		remedy = fmt.Sprintf(", or now as it was saved at %s, without what changed since: `bothy computers recover %s`, or POST /v1/computers/%[2]s/actions/recover with {\"from\": \"save\"}",
			comp.Saved.MadeAt.UTC().Format(time.RFC3339), comp.ID)
	}
	return fault.New(fault.Unavailable, "the newest data of computer %s is on node %s, which is away; it can be used again when the node returns%s",
		comp.ID, name, remedy).WithCode(CodeDataAway).WithRetry(awayRetry)
}

// claim chooses a node and makes it the owner, in a new epoch.
func (r *reign) claim(comp state.Computer, need placement.Need, full map[state.NodeID]bool) (placedComputer, error) {
	to, why, ok := r.claims.choose(r.c.places(full), need)
	if !ok {
		return placedComputer{}, noRoom(comp.ID, why)
	}
	a, err := r.decree(state.Claim{Computer: comp.ID, Node: to, Seen: comp.Epoch})
	if err == nil {
		err = a.Result.Err()
	}
	if err != nil {
		r.claims.undo(to, comp.ID)
		return placedComputer{}, err
	}
	var epoch state.Epoch
	if err := state.Decode(a.Result.Reply, &epoch); err != nil {
		return placedComputer{}, fmt.Errorf("read the epoch: %w", err)
	}
	return placedComputer{state.Placement{Node: to, Epoch: epoch}, a.Index}, nil
}

// places is the nodes as the placer sees them: their records, and what they
// last told of themselves.
func (c *Cluster) places(full map[state.NodeID]bool) []placement.Node {
	nodes := c.roster.all()
	out := make([]placement.Node, 0, len(nodes))
	for _, n := range nodes {
		p := placement.Node{}
		if c.capacity != nil {
			p, _ = c.capacity(n.ID)
		}
		p.ID, p.Leased, p.Store = n.ID, n.Leased(), n.Store
		p.Draining, p.Full = n.Draining(), full[n.ID]
		out = append(out, p)
	}
	return out
}

// claimShare is which part of its size a computer counts for until the node's
// own figures show what it really takes. Most take far less than they may, so
// counting all of it would refuse the eleventh of a burst on a machine that
// runs hundreds.
const claimShare = 16

// claims are the placements that the nodes' own figures do not show yet.
type claims struct {
	clock Clock
	mu    sync.Mutex
	made  map[state.ComputerID]claimed
}

type claimed struct {
	node         state.NodeID
	memory, disk int64
	at           time.Duration
}

func newClaims(clock Clock) *claims {
	return &claims{clock: clock, made: map[state.ComputerID]claimed{}}
}

// choose chooses a node and counts the claim against it at once, so that
// placements made together spread.
func (cs *claims) choose(nodes []placement.Node, need placement.Need) (state.NodeID, string, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := cs.clock.Boottime()
	slot := make(map[state.NodeID]int, len(nodes))
	for i, n := range nodes {
		slot[n.ID] = i
	}
	for id, c := range cs.made {
		if now-c.at > claimShows {
			delete(cs.made, id)
			continue
		}
		if i, ok := slot[c.node]; ok {
			nodes[i].Claims++
			nodes[i].ClaimedMemory += c.memory / claimShare
			nodes[i].ClaimedDisk += c.disk / claimShare
		}
	}
	to, why, ok := placement.Choose(nodes, need)
	if ok {
		cs.made[need.Computer] = claimed{to, need.MemoryBytes, need.DiskBytes, now}
	}
	return to, why, ok
}

func (cs *claims) undo(node state.NodeID, id state.ComputerID) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.made[id].node == node {
		delete(cs.made, id)
	}
}
