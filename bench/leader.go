package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
)

// leader kills the leader's process and times the next write through each of
// the others.
func (b *bench) leader(ctx context.Context) error {
	t := measure.Latencies("leader killed to first write acknowledged")
	n := b.count(5)
	var peer measure.Samples
	for range n {
		err := b.inRaft(commit, func(r *bare.Raft) error {
			if err := r.Write(make([]byte, entryBytes)); err != nil {
				return err
			}
			took, err := r.LoseLeader(make([]byte, entryBytes))
			if err == nil {
				peer.Add(took)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	t.Compare("bare raft with our intervals, its leader cut off", &peer, nil)
	var first, slower measure.Samples
	var err error
	for range n {
		err = errors.Join(err, b.in(ctx, house.Shape{Nodes: 3, Memory: smallMemory}, func(h *house.House) error {
			return loseLeader(ctx, h, &first, &slower)
		}))
	}
	t.Compare("POST /v1/agents through a survivor: the first", &first, &peer)
	t.Compare("the same: through the other survivor", &slower, &peer)
	t.Note("each round is a cluster of its own, and kills -9 the node that leads; the limit is 3 s")
	return errors.Join(err, t.Write(b.out))
}

func loseLeader(ctx context.Context, h *house.House, first, slower *measure.Samples) error {
	leader, others, err := h.Leader(ctx)
	if err != nil {
		return err
	}
	if err := newAgent(ctx, h.ClientOf(others[0])); err != nil {
		return fmt.Errorf("write before: %w", err)
	}
	if err := leader.Kill(); err != nil {
		return err
	}
	s, _ := measure.AtOnce(len(others), func(i int) error { return newAgent(ctx, h.ClientOf(others[i])) })
	if err := s.FirstFailure(); err != nil {
		first.Fail(err)
	} else {
		first.Add(s.Percentile(0))
		slower.Add(s.Percentile(100))
	}
	return s.FirstFailure()
}
