// Package actorstest has a cluster of one process without raft, for tests of
// what stands on the records: commands are applied to memory at once.
package actorstest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

// Records are what the nodes of one test agree on.
type Records struct {
	mu     sync.Mutex
	memory *statetest.Memory
	index  uint64
	now    func() time.Time
	nodes  []*Node
	leader *Node
	led    chan struct{} // closed when another leads
}

// NewRecords makes an empty cluster whose entries are stamped by now.
func NewRecords(now func() time.Time) *Records {
	return &Records{memory: statetest.New(), now: now, led: make(chan struct{})}
}

// Node is one node's way to the records; it is an actors.Cluster, an
// actors.Lease and an actors.Changes.
type Node struct {
	id          state.NodeID
	records     *Records
	incarnation uint64

	mu      sync.Mutex
	counter uint64
	behind  atomic.Pointer[statetest.Memory] // what a node that lags shows; nil is all
	changed map[state.Change]struct{}
	wake    chan struct{}
	watches []*Watch
	life    context.Context
	expire  context.CancelFunc
	// Fail, when set, is asked before each command and may refuse it.
	Fail func(state.Command) error
	// Lose, when set, is asked after each command that was applied, and may take
	// its answer away.
	Lose func(state.Command) error
}

// Join adds a node with a lease that holds until Expire.
func (r *Records) Join(name string) (*Node, error) {
	life, expire := context.WithCancel(context.Background())
	n := &Node{id: state.NodeID("node-" + name), records: r, changed: map[state.Change]struct{}{}, wake: make(chan struct{}, 1), life: life, expire: expire}
	first := len(r.nodes) == 0
	r.mu.Lock()
	if first {
		r.leader = n
	}
	r.nodes = append(r.nodes, n)
	r.mu.Unlock()
	record := state.Node{ID: n.id, Name: name, KeyHash: []byte(name)}
	var admit []state.Command
	if first {
		account := state.Account{ID: "acct_admin", Name: "admin", Unbilled: true}
		user := state.User{ID: "user_admin", Account: account.ID, Name: "admin", Role: "owner"}
		key := state.Key{ID: "key_admin", Hash: "none", Account: account.ID, User: user.ID, Admin: true, NoLimit: true}
		admit = []state.Command{state.Bootstrap{Cluster: "test", Version: state.CommandVersion, Node: record, Account: account, User: user, Key: key}}
	} else {
		admit = []state.Command{state.CreateToken{Hash: name}, state.AdmitNode{Token: name, Node: record}}
	}
	admit = append(admit, state.TakeIncarnation{Node: n.id, Nonce: name}, state.RenewLease{Node: n.id, Incarnation: 1})
	for _, cmd := range admit {
		if _, err := n.Apply(context.Background(), cmd); err != nil {
			return nil, fmt.Errorf("join %s: %T: %w", name, cmd, err)
		}
	}
	n.incarnation = 1
	return n, nil
}

// Expire ends the node's lease, as the leader would.
func (n *Node) Expire(by *Node) error {
	n.expire()
	record, err := func() (state.Node, error) { v := by.Stale(); defer v.Close(); return v.Node(n.id) }()
	if err != nil {
		return err
	}
	_, err = by.Apply(context.Background(), state.ExpireLease{Node: n.id, Renewal: record.Renewal})
	return err
}

// Return gives an expired node its next life.
func (n *Node) Return() error {
	reply, err := n.Apply(context.Background(), state.TakeIncarnation{Node: n.id, Nonce: fmt.Sprint(n.id, " again ", n.incarnation)})
	if err != nil {
		return err
	}
	if err := state.Decode(reply, &n.incarnation); err != nil {
		return err
	}
	if _, err := n.Apply(context.Background(), state.RenewLease{Node: n.id, Incarnation: n.incarnation}); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life, n.expire = context.WithCancel(context.Background())
	return nil
}

// lease is the context of the node's present lease.
func (n *Node) lease() context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// Self is the node's id.
func (n *Node) Self() state.NodeID { return n.id }

// Apply applies a command at once.
func (n *Node) Apply(ctx context.Context, cmd state.Command) (cbor.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n.Fail != nil {
		if err := n.Fail(cmd); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	n.counter++
	id := state.CommandID{Node: n.id, Incarnation: n.incarnation, Counter: n.counter}
	switch cmd.(type) {
	case state.TakeIncarnation, state.RenewLease:
		id.Incarnation = 0 // they begin and keep a life, and belong to none
	}
	n.mu.Unlock()
	p, err := state.Propose(id, 0, cmd)
	if err != nil {
		return nil, err
	}
	reply, err := n.records.apply(p.For(state.CauseOf(ctx)))
	if err == nil && n.Lose != nil {
		err = n.Lose(cmd)
	}
	if err == nil && asksForBuild(cmd) {
		err = n.Tend(ctx)
	}
	return reply, err
}

func (r *Records) apply(p state.Proposal) (cbor.RawMessage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index++
	entry, err := state.Encode(state.Entry{Stamp: r.now().UnixNano(), Proposals: []state.Proposal{p}})
	if err != nil {
		return nil, err
	}
	done, err := state.Apply(r.memory, r.index, entry)
	if err != nil {
		return nil, err
	}
	for _, node := range r.nodes {
		node.note(done.Changes)
	}
	return done.Results[0].Reply, done.Results[0].Err()
}

func (n *Node) note(changes []state.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		n.changed[c] = struct{}{}
		for _, w := range n.watches {
			w.note(c)
		}
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Wake has a value when there is something to Take.
func (n *Node) Wake() <-chan struct{} { return n.wake }

// Take returns what changed since the last call.
func (n *Node) Take() (changes []state.Change, missed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.changed {
		changes = append(changes, c)
	}
	clear(n.changed)
	return changes, false
}

// Read returns a view of the records as they are.
func (n *Node) Read(context.Context) (*state.View, error) {
	n.behind.Store(nil) // a confirmed read waits until it has caught up
	return n.Stale(), nil
}

// Lag leaves the node behind: until its next Read, Stale shows what is there now.
func (n *Node) Lag() {
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	n.behind.Store(n.records.memory.Clone())
}

// Stale is Read, there being only one copy, unless the node lags.
func (n *Node) Stale() *state.View {
	if b := n.behind.Load(); b != nil {
		return state.NewView(b.Clone(), nil)
	}
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	return state.NewView(n.records.memory.Clone(), nil)
}

// Place claims a computer for this node when it has no owner that may act.
func (n *Node) Place(ctx context.Context, id state.ComputerID) (state.Computer, error) {
	find := func() (state.Computer, bool, error) {
		v := n.Stale()
		defer v.Close()
		c, ok, err := v.AnyComputer(id)
		if err != nil || !ok {
			return c, false, fault.New(fault.NotFound, "Computer not found: %s", id)
		}
		owner, known, err := v.FindNode(c.Node)
		return c, known && owner.Leased(), err
	}
	c, owned, err := find()
	if err != nil || owned {
		return c, err
	}
	if _, err := n.Apply(ctx, state.Claim{Computer: id, Node: n.id, Seen: c.Epoch}); err != nil {
		return c, err
	}
	c, _, err = find()
	return c, err
}

// Elsewhere is the first other node that holds its lease and does not drain.
func (n *Node) Elsewhere(_ context.Context, id state.ComputerID) (state.NodeID, error) {
	v := n.Stale()
	defer v.Close()
	c, ok, err := v.AnyComputer(id)
	if err != nil || !ok {
		return "", fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	nodes, err := v.Nodes()
	for _, at := range nodes {
		if at.ID != c.Node && at.Leased() && !at.Draining() {
			return at.ID, err
		}
	}
	return "", fault.New(fault.Unavailable, "no node can take computer %s", id)
}

// Rebalance evens out by memory alone.
func (n *Node) Rebalance(_ context.Context, most int) (moves []placement.Move, err error) {
	v := n.Stale()
	defer v.Close()
	nodes, err := v.Nodes()
	if err != nil {
		return nil, err
	}
	var places []placement.Node
	for _, at := range nodes {
		places = append(places, placement.Node{ID: at.ID, Leased: at.Leased(), Draining: at.Draining()})
	}
	var residents []placement.Resident
	err = v.EveryComputer(func(c state.Computer) bool {
		residents = append(residents, placement.Resident{Node: c.Node, Up: c.Phase == state.Running,
			Need: placement.Need{Computer: c.ID, MemoryBytes: c.MemoryBytes}})
		return true
	})
	return placement.Rebalance(places, residents, most), err
}

// Leads is true of the node that joined first, until another was made to lead.
func (n *Node) Leads() (bool, <-chan struct{}) {
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	return n.records.leader == n, n.records.led
}

// Lead has the node lead.
func (n *Node) Lead() {
	n.records.mu.Lock()
	defer n.records.mu.Unlock()
	n.records.leader = n
	close(n.records.led)
	n.records.led = make(chan struct{})
}

// Held reports whether the lease holds.
func (n *Node) Held() error {
	if n.lease().Err() != nil {
		return fault.New(fault.Unavailable, "this node's lease does not hold")
	}
	return nil
}

// Context ends with the lease.
func (n *Node) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(n.lease(), cancel)
	return ctx, func() { stop(); cancel() }
}
