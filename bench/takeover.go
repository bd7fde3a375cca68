package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// steps and stepTime make a run that is far from its end when its owner dies,
	// and below what a run may have of steps.
	steps    = 40
	stepTime = "1"
	// underWay is how many results the run has before.
	underWay = 3
	// takeoverPatience bounds how long a run may stand still.
	takeoverPatience = time.Minute
)

// takeover kills the owner of a running thread and times until its stream goes
// on at the others.
func (b *bench) takeover(ctx context.Context) error {
	t := measure.Latencies("owner of a running thread killed")
	var lease, next, result measure.Samples
	lease.Add(cluster.DefaultTiming().Expire)
	n := b.count(3)
	var err error
	for range n {
		err = errors.Join(err, b.in(ctx, house.Shape{Nodes: 3, Memory: smallMemory}, func(h *house.House) error {
			led, err := loseOwner(ctx, h, &next, &result)
			if led {
				t.Note("one of the owners was the leader too")
			}
			return err
		}))
	}
	t.Compare("the time after which the leader expires a lease", &lease, nil)
	t.Compare("the stream's next event, at another node", &next, &lease)
	t.Compare("the next result of a command, in a computer started anew", &result, &lease)
	t.Note("each round is a cluster of its own, and kills -9 the node that owns the computer; the limit is 20 s")
	return errors.Join(err, t.Write(b.out))
}

// watcher notes what a thread's stream brings.
type watcher struct {
	mu      sync.Mutex
	event   time.Time // the newest
	result  time.Time // the newest result of a tool that worked
	results int
	seq     uint64
	broken  error // an event twice, or out of order
}

func (w *watcher) see(e client.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Seq < w.seq {
		w.broken = fmt.Errorf("event %d came after %d", e.Seq, w.seq)
	}
	w.event, w.seq = time.Now(), e.Seq
	if e.Type == wire.ItemCompleted && e.Item != nil && e.Item.Tool != nil && strings.Contains(e.Item.Tool.Output, "step") {
		w.result, w.results = w.event, w.results+1
	}
	return nil
}

func (w *watcher) look() (event, result time.Time, results int, broken error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.event, w.result, w.results, w.broken
}

// await waits until what the watcher saw is enough.
func (w *watcher) await(ctx context.Context, what string, enough func(event, result time.Time, results int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, takeoverPatience)
	defer cancel()
	for {
		event, result, results, broken := w.look()
		if broken != nil || enough(event, result, results) {
			return broken
		}
		if err := pause(ctx, deliveryPoll); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

func longRun() string {
	var b strings.Builder
	for i := range steps {
		fmt.Fprintf(&b, "```bash retry\nsleep %s; echo step %d\n```\n\n", stepTime, i)
	}
	return b.String()
}

func loseOwner(ctx context.Context, h *house.House, next, result *measure.Samples) (led bool, err error) {
	started, err := startLong(ctx, h)
	if err != nil {
		return false, err
	}
	computer, err := h.Client(0).Computers().Get(ctx, started.ComputerID)
	if err != nil || computer.Node == nil {
		return false, fmt.Errorf("find the owner: %w", errors.Join(err, errors.New("none")))
	}
	owner, others := h.Named(*computer.Node)
	leader, _, err := h.Leader(ctx)
	if err != nil {
		return false, err
	}
	w := &watcher{}
	following, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- h.ClientOf(others...).Follow(following, started.ID, 0, w.see) }()
	err = w.times(ctx, owner, next, result)
	stop()
	<-followed // ended by stop
	return leader == owner, err
}

// startLong starts a run and leaves it to itself.
func startLong(ctx context.Context, h *house.House) (wire.Thread, error) {
	c := h.Client(0)
	env, err := c.Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench")})
	if err != nil {
		return wire.Thread{}, fmt.Errorf("make an environment: %w", err)
	}
	r, err := c.Run(ctx, client.Message{Environment: env.ID, Content: longRun()}, func(e client.Event) error {
		if e.Item != nil && e.Item.Type == "tool_call" {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		return wire.Thread{}, fmt.Errorf("start a run: %w", err)
	}
	return c.Threads().Get(ctx, r.Thread)
}

func (w *watcher) times(ctx context.Context, owner *house.Node, next, result *measure.Samples) error {
	if err := w.await(ctx, "the run's first results", func(_, _ time.Time, n int) bool { return n >= underWay }); err != nil {
		return err
	}
	if err := owner.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	// What the dead owner had sent still arrives, at the latest from the next
	// leader; nobody else owns the thread before the lease has run out.
	settled := killed.Add(cluster.DefaultTiming().Act / 2)
	if err := w.await(ctx, "the next event", func(event, _ time.Time, _ int) bool { return event.After(settled) }); err != nil {
		next.Fail(err)
		return err
	}
	at, _, _, _ := w.look()
	next.Add(at.Sub(killed))
	if err := w.await(ctx, "the next result", func(_, got time.Time, _ int) bool { return got.After(settled) }); err != nil {
		result.Fail(err)
		return err
	}
	_, at, _, _ = w.look()
	result.Add(at.Sub(killed))
	return nil
}
