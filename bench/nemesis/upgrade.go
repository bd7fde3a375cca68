package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	refusal "github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
)

const (
	// drainPatience bounds how long a node drains, and drainPoll is how often it is
	// asked how far it is.
	drainPatience = 3 * time.Minute
	drainPoll     = 250 * time.Millisecond
)

// Upgrade plays no faults: nodes of an older binary become nodes of g.Bothy one by
// one, as README tells operators to do it, while the same clients are at work. g.During
// is how long they go on afterwards.
func Upgrade(ctx context.Context, g Game, from string) error {
	fmt.Fprintf(g.Out, "upgrade: from %s to %s\n", from, g.Bothy)
	return (&game{Game: g, gentle: true}).open(ctx, from, (*game).upgrade)
}

func (p *game) upgrade(ctx context.Context) error {
	if err := errors.Join(sleep(ctx, calm), p.house.Use(p.Bothy)); err != nil {
		return err
	}
	begun := time.Now()
	for _, n := range p.house.Nodes {
		if err := p.renew(ctx, n); err != nil {
			return fmt.Errorf("upgrade %s: %w", n.Name, err)
		}
		if err := sleep(ctx, calm); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.Out, "  all nodes upgraded after %s\n", time.Since(begun).Round(time.Second))
	if err := sleep(ctx, p.During); err != nil {
		return err
	}
	for a, err := range p.admin.Audit().Find(ctx, client.AuditQuery{Action: "cluster.raise"}, 0) {
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Out, "  %4.0f s all nodes knew newer commands: %s\n", a.At.Sub(begun).Seconds(), *a.Detail)
	}
	return nil
}

// renew has one node drain, end, start with the newer binary and take work again.
func (p *game) renew(ctx context.Context, n *house.Node) error {
	begun := time.Now()
	told, err := p.emptied(ctx, n)
	drained := time.Since(begun)
	if err == nil {
		err = n.End()
	}
	if err == nil {
		err = start(ctx, n)()
	}
	if err == nil && told {
		_, err = p.admin.UndrainNode(ctx, n.Name)
	}
	if err == nil {
		err = p.house.Settle(ctx)
	}
	if err == nil {
		fmt.Fprintf(p.Out, "  %s: drained in %s, and restarted in %s\n", n.Name, drained.Round(time.Millisecond), (time.Since(begun) - drained).Round(time.Millisecond))
	}
	return err
}

// emptied drains a node. A cluster that is too old for drains is told none: its
// computers outlive the restart.
func (p *game) emptied(ctx context.Context, n *house.Node) (told bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	d, err := p.admin.DrainNode(ctx, n.Name)
	if refusal.Is(err, refusal.Unsupported) || refusal.Is(err, refusal.NotFound) {
		fmt.Fprintf(p.Out, "  %s is restarted without a drain: %v\n", n.Name, err)
		return false, nil
	}
	for err == nil && !d.Done {
		if err = sleep(ctx, drainPoll); err == nil {
			d, err = p.admin.Drain(ctx, n.Name)
		}
	}
	if err != nil {
		return true, fmt.Errorf("drain it: %w; %d computers, %d runs are left: %v", err, d.Computers, d.Runs, d.Departures)
	}
	return true, nil
}
