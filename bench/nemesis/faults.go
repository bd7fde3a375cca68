package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
)

// fault is something that happens to the first of some nodes, or to several.
type fault struct {
	name        string
	least, most time.Duration // that it lasts
	do          func(ctx context.Context, p *game, nodes []*house.Node) (undo func() error, err error)
}

// leastOperations and mostOperations are bounds of what a slow disk does in a second,
// reads and writes each. A write that is synced takes two of them or more.
const (
	leastOperations = 2
	mostOperations  = 20
)

// drainFor is how long a node drains before it is restarted, done or not.
const drainFor = 5 * time.Second

// faults are those that a cluster of three survives, and two that it waits for.
var faults = []fault{
	{"kill -9", 2 * time.Second, 25 * time.Second, kill},
	{"kill -9 and at once start", time.Millisecond, 10 * time.Millisecond, kill},
	{"SIGSTOP", 2 * time.Second, 25 * time.Second, pause},
	{"cut off", 5 * time.Second, 25 * time.Second, cut},
	{"hears nothing of the others:", 5 * time.Second, 20 * time.Second, deafen},
	{"full disk of", 5 * time.Second, 15 * time.Second, fill},
	{"slow disk of", 5 * time.Second, 25 * time.Second, slow},
	{"lost, and a new one in its place:", time.Second, 20 * time.Second, replace},
	{"lost, and a new one beside it:", time.Second, 20 * time.Second, succeed},
	{"restart", time.Millisecond, 3 * time.Second, restart},
	{"drain", 5 * time.Second, 25 * time.Second, drain},
	{"rolling restart of all, first", time.Millisecond, 10 * time.Millisecond, roll},
	{"kill -9 of all, first", time.Second, 5 * time.Second, killAll},
	{"two SIGSTOPs, first", 2 * time.Second, 15 * time.Second, pauseTwo},
	{"wrong clock of the leader or", 5 * time.Second, 25 * time.Second, jump},
}

func start(ctx context.Context, nodes ...*house.Node) func() error {
	return func() (err error) {
		for _, n := range nodes {
			err = errors.Join(err, n.Launch())
		}
		for _, n := range nodes {
			err = errors.Join(err, n.Ready(ctx))
		}
		return err
	}
}

func kill(ctx context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	return start(ctx, nodes[0]), nodes[0].Kill()
}

func killAll(ctx context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	var err error
	for _, n := range nodes {
		err = errors.Join(err, n.Kill())
	}
	return start(ctx, nodes...), err
}

func restart(ctx context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	return start(ctx, nodes[0]), nodes[0].End()
}

func pause(_ context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	return nodes[0].Resume, nodes[0].Pause()
}

func pauseTwo(_ context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	undo := func() error { return errors.Join(nodes[0].Resume(), nodes[1].Resume()) }
	return undo, errors.Join(nodes[0].Pause(), nodes[1].Pause())
}

func cut(_ context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	undo := func() error { return errors.Join(nodes[0].Deafen(), nodes[1].Deafen(), nodes[2].Deafen()) }
	return undo, errors.Join(nodes[0].Deafen(nodes[1], nodes[2]), nodes[1].Deafen(nodes[0]), nodes[2].Deafen(nodes[0]))
}

func deafen(_ context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	return func() error { return nodes[0].Deafen() }, nodes[0].Deafen(nodes[1], nodes[2])
}

func drain(ctx context.Context, p *game, nodes []*house.Node) (func() error, error) {
	undo := func() error {
		_, err := p.admin.UndrainNode(ctx, nodes[0].Name)
		return err
	}
	_, err := p.admin.DrainNode(ctx, nodes[0].Name)
	return undo, err
}

// roll is an upgrade as an operator does it: each node in turn drains for a while,
// ends, starts, and takes work again.
func roll(ctx context.Context, p *game, nodes []*house.Node) (func() error, error) {
	for _, n := range nodes {
		undrain, err := drain(ctx, p, []*house.Node{n})
		if err == nil {
			err = sleep(ctx, drainFor)
		}
		if err == nil {
			err = n.End()
		}
		if err == nil {
			err = start(ctx, n)()
		}
		if err = errors.Join(err, undrain()); err != nil {
			return nil, err
		}
		if err := p.house.Settle(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func fill(_ context.Context, _ *game, nodes []*house.Node) (func() error, error) {
	return nodes[0].Empty, nodes[0].Fill()
}

func slow(_ context.Context, p *game, nodes []*house.Node) (func() error, error) {
	return nodes[0].Quicken, nodes[0].Slow(leastOperations + p.random.IntN(mostOperations-leastOperations))
}

func replace(ctx context.Context, p *game, nodes []*house.Node) (func() error, error) {
	return func() error { return p.house.Replace(ctx, nodes[0]) }, nodes[0].Lose(ctx)
}

func succeed(ctx context.Context, p *game, nodes []*house.Node) (func() error, error) {
	return func() error { return p.house.Succeed(ctx, nodes[0]) }, nodes[0].Lose(ctx)
}

const (
	// mostSlip is how far a clock jumps as one that is corrected does, and mostLeap
	// as one that was set wrongly does.
	mostSlip = 30 * time.Second
	mostLeap = 2 * time.Hour
)

// leap is a clock that was wrong.
type leap struct {
	ahead    time.Duration
	from, to time.Time
}

func jump(ctx context.Context, p *game, nodes []*house.Node) (func() error, error) {
	if !house.ClocksMove {
		fmt.Fprintln(p.Out, "         no clock can be set on this machine")
		return nil, nil
	}
	n, most := nodes[0], mostLeap
	if p.random.IntN(2) == 0 {
		most = mostSlip
	}
	ahead := (time.Duration(p.random.Int64N(int64(2*most))) - most).Truncate(time.Second)
	if p.random.IntN(2) == 0 {
		leader, _, err := p.house.Leader(ctx)
		if err != nil {
			return nil, err
		}
		n = leader
	}
	fmt.Fprintf(p.Out, "         %s is %s ahead\n", n.Name, ahead)
	p.leaps = append(p.leaps, leap{ahead: ahead, from: time.Now()})
	undo := func() error {
		p.leaps[len(p.leaps)-1].to = time.Now()
		return n.MoveClock(0)
	}
	return undo, n.MoveClock(ahead)
}
