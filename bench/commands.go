package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"sync/atomic"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/state"
)

// gathering are how many commands are in flight at once. A node gathers its
// own into one entry while the one before is on its way, so each further one
// costs less.
var gathering = []int{1, 64, 256, 2048}

// commands changes records through the cluster alone.
func (b *bench) commands(ctx context.Context) error {
	t := rates("commands per second, three voters in one process, no HTTP")
	peers := map[int]float64{}
	err := b.inRaft(commit, func(r *bare.Raft) error {
		entry := make([]byte, entryBytes)
		for _, n := range gathering {
			s, took := measure.Closed(ctx, n, b.during, func(context.Context, int) error { return r.Write(entry) })
			peers[n] = rate(t, "bare raft, an entry each", n, s, took, 0)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = b.inCouncil(ctx, func(c *house.Council) error {
		leader, _ := c.Leader()
		if leader == nil {
			return errors.New("the council has no leader")
		}
		var made atomic.Int64
		for _, where := range []struct {
			name string
			at   func(client int) *cluster.Cluster
		}{
			{"create-agent, through all three nodes", func(client int) *cluster.Cluster { return c.Seats[client%len(c.Seats)] }},
			{"create-agent, through the leader", func(int) *cluster.Cluster { return leader }},
		} {
			for _, n := range gathering {
				s, took := measure.Closed(ctx, n, b.during, func(ctx context.Context, client int) error {
					return command(ctx, where.at(client), made.Add(1))
				})
				rate(t, where.name, n, s, took, peers[n])
			}
		}
		return nil
	})
	t.Note("ratio: to bare raft with as many writers; each create-agent writes a record, an index and a counter on three replicas, all on this machine's cores")
	return errors.Join(err, t.Write(b.out))
}

func command(ctx context.Context, at *cluster.Cluster, i int64) error {
	_, err := at.Apply(ctx, state.CreateAgent{Agent: state.Agent{
		ID: state.AgentID(fmt.Sprintf("agent_%015d", i)), Account: house.CouncilAccount, Name: "bench",
		Instructions: "Stored to see how fast it is stored.",
	}})
	return err
}

// inCouncil runs do with a council, and removes it.
func (b *bench) inCouncil(ctx context.Context, do func(c *house.Council) error) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	c, err := house.OpenCouncil(ctx, dir)
	if err != nil {
		return errors.Join(err, remove())
	}
	return errors.Join(b.profiled(func() error { return do(c) }), c.Close(), remove())
}

// profileSeconds is how long a node is profiled.
const profileSeconds = 4

// watched runs do while a node is profiled, if a profile is asked for.
func (b *bench) watched(ctx context.Context, n *house.Node, do func() error) error {
	if b.profile == "" {
		return do()
	}
	profiled := make(chan error, 1)
	go func() { profiled <- n.Profile(ctx, profileSeconds, b.profile) }()
	return errors.Join(do(), <-profiled)
}

// profiled runs do with a processor profile of this process, if one is asked for.
func (b *bench) profiled(do func() error) error {
	if b.profile == "" {
		return do()
	}
	f, err := os.Create(b.profile)
	if err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(fmt.Errorf("make the profile: %w", err), f.Close())
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}
