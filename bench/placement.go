package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

const (
	// simulated is how many nodes there are as records.
	simulated = 1000
	// claimsPerEntry is how many placements ride in one entry.
	claimsPerEntry = 32
	nodeMemory     = 64 << 30
	nodeDisk       = 1 << 40
)

// placement measures choosing among a thousand nodes, claiming in the records
// of a replica, and placing through the leader of real voters.
func (b *bench) placement(ctx context.Context) error {
	t := rates("placements per second")
	nodes := simulatedNodes()
	s, took := measure.Closed(ctx, 1, b.during, func() func(context.Context, int) error {
		var i int
		return func(context.Context, int) error { i++; return choose(nodes, i) }
	}())
	alone := rate(t, fmt.Sprintf("choose among %d nodes, no record", simulated), 1, s, took, 0)
	if err := b.claims(ctx, t, alone); err != nil {
		return err
	}
	if err := b.places(ctx, t, alone); err != nil {
		return err
	}
	t.Note("ratio: to choosing alone")
	return t.Write(b.out)
}

func simulatedNodes() []placement.Node {
	nodes := make([]placement.Node, simulated)
	for i := range nodes {
		nodes[i] = placement.Node{ID: simulatedID(i), Leased: true, Known: true, LoadPercent: i % 70,
			FreeMemoryBytes: nodeMemory - int64(i%40)<<30, FreeDiskBytes: nodeDisk, Images: []uint64{1, uint64(i % 7)}}
	}
	return nodes
}

func simulatedID(i int) state.NodeID { return state.NodeID(fmt.Sprintf("node-%04d", i)) }

func choose(nodes []placement.Node, i int) error {
	_, why, ok := placement.Choose(nodes, placement.Need{Computer: computerID(i), MemoryBytes: 1 << 30, DiskBytes: 1 << 30, Image: 1})
	if !ok {
		return errors.New(why)
	}
	return nil
}

func computerID(i int) state.ComputerID { return state.ComputerID(fmt.Sprintf("computer-%09d", i)) }

// claims chooses, and applies the claims to a store on disk as a replica does.
func (b *bench) claims(ctx context.Context, t *measure.Table, alone float64) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		return errors.Join(err, remove())
	}
	r := &replica{store: st}
	err = r.populate(ctx, b.during)
	if err == nil {
		err = r.claims(ctx, t, b.during, alone)
	}
	return errors.Join(err, st.Close(), remove())
}

// replica applies entries to a store, one after another.
type replica struct {
	store   *store.Store
	index   uint64
	counter uint64
	made    int // computers
	placed  int
}

// apply applies commands as one entry, each by the node it is of.
func (r *replica) apply(by state.NodeID, incarnation uint64, cmds ...state.Command) error {
	entry := state.Entry{Stamp: time.Now().UnixNano()}
	for _, cmd := range cmds {
		r.counter++
		p, err := state.Propose(state.CommandID{Node: by, Incarnation: incarnation, Counter: r.counter}, r.counter-1, cmd)
		if err != nil {
			return err
		}
		entry.Proposals = append(entry.Proposals, p)
	}
	encoded, err := state.Encode(entry)
	if err != nil {
		return err
	}
	r.index++
	return r.store.Update(func(w state.Writer) error {
		done, err := state.Apply(w, r.index, encoded)
		for _, res := range done.Results {
			err = errors.Join(err, res.Err())
		}
		return err
	})
}

// populate makes the nodes, leased, and computers enough to place for a time.
func (r *replica) populate(ctx context.Context, during time.Duration) error {
	first := state.Node{ID: simulatedID(0), Name: "node-0000", KeyHash: []byte{1}}
	cmds := []state.Command{state.Bootstrap{Cluster: "bench", Version: state.CommandVersion, Node: first,
		Account: state.Account{ID: house.CouncilAccount, Name: "bench", Unbilled: true},
		User:    state.User{ID: "user_bench", Account: house.CouncilAccount, Role: "owner"},
		Key:     state.Key{ID: "key_bench", Account: house.CouncilAccount, User: "user_bench", Hash: "bench"}}}
	for i := range simulated {
		id := simulatedID(i)
		if i > 0 {
			token := fmt.Sprint("token-", i)
			cmds = append(cmds, state.CreateToken{Hash: token},
				state.AdmitNode{Token: token, Node: state.Node{ID: id, Name: string(id), KeyHash: []byte(id)}})
		}
		cmds = append(cmds, state.TakeIncarnation{Node: id, Nonce: "1"}, state.RenewLease{Node: id, Incarnation: 1})
	}
	if err := r.apply(first.ID, 0, cmds...); err != nil {
		return err
	}
	return r.makeComputers(ctx, int(during.Seconds()*computersPerSecond))
}

// computersPerSecond is more than can be placed.
const computersPerSecond = 4000

func (r *replica) makeComputers(ctx context.Context, n int) error {
	for end := r.made + n; r.made < end; {
		var cmds []state.Command
		for ; len(cmds) < claimsPerEntry; r.made++ {
			cmds = append(cmds, newComputer(r.made))
		}
		if err := r.apply(simulatedID(0), 0, cmds...); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) claims(ctx context.Context, t *measure.Table, during time.Duration, alone float64) error {
	nodes := simulatedNodes()
	var s measure.Samples
	begun := time.Now()
	for time.Since(begun) < during && r.placed+claimsPerEntry <= r.made && ctx.Err() == nil {
		at := time.Now()
		var cmds []state.Command
		for range claimsPerEntry {
			id, why, ok := placement.Choose(nodes, placement.Need{Computer: computerID(r.placed), MemoryBytes: 1 << 30, Image: 1})
			if !ok {
				return errors.New(why)
			}
			cmds = append(cmds, state.Claim{Computer: computerID(r.placed), Node: id})
			r.placed++
		}
		if err := r.apply(simulatedID(0), 0, cmds...); err != nil {
			return err
		}
		for range claimsPerEntry {
			s.Add(time.Since(at) / claimsPerEntry)
		}
	}
	rate(t, fmt.Sprintf("choose among %d, claim in one replica's store, %d to an entry", simulated, claimsPerEntry), 1, &s, time.Since(begun), alone)
	return ctx.Err()
}

// placers are how many callers ask the leader at once, and how many computers
// each crowd has placed.
var placers = []struct{ callers, computers int }{{1, 500}, {64, 6000}, {256, 12000}}

// places asks the leader of three real voters to place new computers.
func (b *bench) places(ctx context.Context, t *measure.Table, alone float64) error {
	return b.inCouncil(ctx, func(c *house.Council) error {
		_, other := c.Leader()
		made := 0
		for _, p := range placers {
			if err := newComputers(ctx, other, made, p.computers); err != nil {
				return err
			}
			next, end := atomic.Int64{}, int64(made+p.computers)
			next.Store(int64(made))
			s, took := measure.AtOnceEach(p.callers, func(s *measure.Samples) {
				for i := next.Add(1) - 1; i < end && ctx.Err() == nil; i = next.Add(1) - 1 {
					_ = s.Time(func() error { _, err := other.Place(ctx, computerID(int(i))); return err })
				}
			})
			made = int(end)
			rate(t, "place at the leader of three voters, a claim in raft each", p.callers, s, took, alone)
		}
		return ctx.Err()
	})
}

// makers are how many computers are made at once, before they are placed.
const makers = 512

func newComputers(ctx context.Context, at *cluster.Cluster, from, n int) error {
	next, end := atomic.Int64{}, int64(from+n)
	next.Store(int64(from))
	s, _ := measure.AtOnceEach(makers, func(s *measure.Samples) {
		for i := next.Add(1) - 1; i < end && ctx.Err() == nil; i = next.Add(1) - 1 {
			_ = s.Time(func() error { _, err := at.Apply(ctx, newComputer(int(i))); return err })
		}
	})
	return errors.Join(s.FirstFailure(), ctx.Err())
}

func newComputer(i int) state.Command {
	id := state.EnvironmentID(fmt.Sprintf("env_%09d", i))
	return state.CreateEnvironment{
		Environment: state.Environment{ID: id, Account: house.CouncilAccount, Name: string(id), Computer: computerID(i)},
		Computer: state.Computer{ID: computerID(i), Account: house.CouncilAccount, Environment: id, Image: "host",
			MemoryBytes: 1 << 30, DiskBytes: 1 << 30},
	}
}
