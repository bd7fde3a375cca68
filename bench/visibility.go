package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// quiet is the least time between two lone writes: longer than any commit
	// timeout, so that none rides on the one before.
	quiet = 120 * time.Millisecond
	// seenPatience bounds how long a write may stay unseen.
	seenPatience = 5 * time.Second
	// seenPoll is how often the follower is asked, which costs it a little.
	seenPoll = 200 * time.Microsecond
)

// visibility writes one record at a time at the leader and watches a follower.
func (b *bench) visibility(ctx context.Context) error {
	t := measure.Latencies("a lone write, from when it is sent")
	n := b.count(100)
	ours, _, err := b.bareSeen(ctx, t, n, commit, "bare raft, commit timeout as ours (5 ms)")
	if err != nil {
		return err
	}
	if _, _, err = b.bareSeen(ctx, t, n, 50*time.Millisecond, "bare raft, commit timeout as raft's default (50 ms)"); err != nil {
		return err
	}
	err = b.in(ctx, house.Shape{Nodes: 3, Memory: 128 << 20}, func(h *house.House) error {
		return b.seen(ctx, h, t, n, ours)
	})
	t.Note("ratios: to bare raft's follower with our commit timeout")
	t.Note("a follower is polled every %s with ?consistency=stale, which reads its own replica", seenPoll)
	return errors.Join(err, t.Write(b.out))
}

func (b *bench) bareSeen(ctx context.Context, t *measure.Table, n int, commit time.Duration, name string) (seen, acked *measure.Samples, err error) {
	seen, acked = &measure.Samples{}, &measure.Samples{}
	err = b.inRaft(commit, func(r *bare.Raft) error {
		for range n {
			a, s, err := r.WriteSeen(make([]byte, entryBytes))
			if err != nil {
				return err
			}
			acked.Add(a)
			seen.Add(s)
			if err := pause(ctx, quiet); err != nil {
				return err
			}
		}
		return nil
	})
	t.Compare(name+": acknowledged", acked, seen)
	t.Compare(name+": applied at a follower", seen, nil)
	return seen, acked, err
}

// seen gives a thread one title after another.
func (b *bench) seen(ctx context.Context, h *house.House, t *measure.Table, n int, peer *measure.Samples) error {
	leader, others, err := h.Leader(ctx)
	if err != nil {
		return err
	}
	at, from := h.ClientOf(leader), others[0]
	thread, err := at.Threads().Create(ctx, wire.CreateThread{Title: "none"})
	if err != nil {
		return fmt.Errorf("make a thread: %w", err)
	}
	if err := readTitle(ctx, h.ClientOf(from), thread.ID, "none"); err != nil { // its replica has it now
		return err
	}
	var acked, seen, read measure.Samples
	for i := range n {
		title := fmt.Sprintf("title %d", i)
		begun := time.Now()
		found := make(chan error, 1)
		go func() { found <- awaitTitle(ctx, h, from, thread.ID, title) }()
		if err := acked.Time(func() error { return retitle(ctx, at, thread.ID, title) }); err != nil {
			return errors.Join(err, <-found)
		}
		if err := <-found; err != nil {
			return err
		}
		seen.Add(time.Since(begun))
		if err := read.Time(func() error { return readTitle(ctx, h.ClientOf(from), thread.ID, title) }); err != nil {
			return err
		}
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	t.Compare("PATCH /v1/threads/:id at the leader: acknowledged", &acked, peer)
	t.Compare("the same: seen in a follower's replica", &seen, peer)
	t.Compare("a linearizable read at the follower afterwards", &read, peer)
	return nil
}

func retitle(ctx context.Context, c *client.Client, thread, title string) error {
	_, err := c.Threads().Patch(ctx, thread, wire.PatchThread{Title: &title})
	return err
}

func readTitle(ctx context.Context, c *client.Client, thread, want string) error {
	got, err := c.Threads().Get(ctx, thread)
	if err == nil && (got.Title == nil || *got.Title != want) {
		err = fmt.Errorf("a linearizable read missed the write %q", want)
	}
	return err
}

// awaitTitle asks a node's own replica until it has the title.
func awaitTitle(ctx context.Context, h *house.House, n *house.Node, thread, want string) error {
	ctx, cancel := context.WithTimeout(ctx, seenPatience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/v1/threads/"+thread+"?consistency=stale", nil)
		if err != nil {
			return err
		}
		var one wire.OneThread
		if err := h.Read(req, &one); err != nil {
			return err
		}
		if one.Thread.Title != nil && *one.Thread.Title == want {
			return nil
		}
		if err := pause(ctx, seenPoll); err != nil {
			return fmt.Errorf("the follower has not seen %q: %w", want, err)
		}
	}
}
