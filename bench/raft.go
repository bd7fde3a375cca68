package main

import (
	"context"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/cluster"
)

const (
	// entryBytes is about what one record is as a command.
	entryBytes = 512
	// commit is how late Bothy lets a follower of three hear of a lone commit.
	commit = 5 * time.Millisecond
)

// inRaft runs do with a bare raft that has Bothy's intervals, and removes it.
func (b *bench) inRaft(commit time.Duration, do func(r *bare.Raft) error) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	t := cluster.DefaultTiming()
	r, err := bare.OpenRaft(bare.RaftOptions{Dir: dir, Commit: commit, Heartbeat: t.Heartbeat, Election: t.Election, Quorum: t.Quorum})
	if err != nil {
		return errors.Join(err, remove())
	}
	return errors.Join(do(r), r.Close(), remove())
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
