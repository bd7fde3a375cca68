package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// crowds are how many clients write at once.
var crowds = []int{1, 64, 256}

// rates makes a table of rates.
func rates(title string) *measure.Table {
	return measure.NewTable(title, "what", "clients", "per second", "ratio", "failed", "p50 ms", "p95 ms")
}

// rate adds a line; the ratio is to a peer's rate, 0 where there is none.
func rate(t *measure.Table, what string, clients int, s *measure.Samples, took time.Duration, peer float64) float64 {
	n, failed := s.Count()
	mine, ratio := float64(n)/took.Seconds(), "1 (peer)"
	if peer != 0 {
		ratio = measure.Ratio(mine, peer)
	}
	t.Line(what, fmt.Sprint(clients), measure.PerSecond(n, took), ratio, fmt.Sprint(failed), measure.MS(s.Percentile(50)), measure.MS(s.Percentile(95)))
	if err := s.FirstFailure(); err != nil {
		t.Note("%s, %d clients: the first failure: %v", what, clients, err)
	}
	return mine
}

// records creates agents through the API of three nodes, the clients spread
// over them.
func (b *bench) records(ctx context.Context) error {
	t := rates("records per second, three nodes on this machine")
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	disk, took, err := bare.Fsync(dir, entryBytes, b.during)
	if err := errors.Join(err, remove()); err != nil {
		return err
	}
	rate(t, "write+fsync, one file", 1, disk, took, 0)
	peers, err := b.bareRates(ctx, t)
	if err != nil {
		return err
	}
	err = b.in(ctx, house.Shape{Nodes: 3, Memory: 128 << 20}, func(h *house.House) error {
		leader, others, err := h.Leader(ctx)
		if err != nil {
			return err
		}
		// One client: what it sees depends on where it asks.
		for _, at := range []struct {
			what string
			node *house.Node
		}{{"POST /v1/agents at the leader", leader}, {"POST /v1/agents at a follower", others[0]}} {
			s, took := measure.Closed(ctx, 1, b.during, func(ctx context.Context, _ int) error { return newAgent(ctx, h.ClientOf(at.node)) })
			rate(t, at.what, 1, s, took, peers[0])
		}
		for i, n := range crowds[1:] {
			err := b.watched(ctx, leader, func() error {
				s, took := measure.Closed(ctx, n, b.during, func(ctx context.Context, client int) error {
					return newAgent(ctx, h.Client(client%len(h.Nodes)))
				})
				rate(t, "POST /v1/agents at all three", n, s, took, peers[i+1])
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	t.Note("ratio: to the bare raft loop with as many writers")
	return errors.Join(err, t.Write(b.out))
}

// bareRates fills bare raft as it is filled by as many clients as there are in
// each crowd.
func (b *bench) bareRates(ctx context.Context, t *measure.Table) (peers []float64, err error) {
	err = b.inRaft(commit, func(r *bare.Raft) error {
		entry := make([]byte, entryBytes)
		for _, n := range crowds {
			s, took := measure.Closed(ctx, n, b.during, func(context.Context, int) error { return r.Write(entry) })
			peers = append(peers, rate(t, "bare raft, three voters over TCP", n, s, took, 0))
		}
		return nil
	})
	return peers, err
}

func newAgent(ctx context.Context, c *client.Client) error {
	_, err := c.Agents().Create(ctx, wire.WriteAgent{Name: wire.Some("bench"), Model: wire.Some("script"),
		Instructions: wire.Some("Stored to see how fast it is stored.")})
	return err
}
