package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// drainLook is how often a drain that is waited for is looked at.
	drainLook = time.Second
	// drainPatience is how long it is waited for, unless said otherwise.
	drainPatience = 15 * time.Minute
)

// draining is how a drain is waited for.
type draining struct {
	wait    bool
	stay    bool
	timeout time.Duration
	hint    string // what to do about computers that stay
}

func newDrain(t *terminal) *cobra.Command {
	how := draining{hint: "\nGive --stay-ok if they may: they outlive a restart of the node"}
	cmd := &cobra.Command{
		Use: "drain NODE", Short: "Move a node's computers to others, and place nothing new on it", Args: cobra.ExactArgs(1),
		Long: `Have a node give away what it has and take nothing new, by its name, and wait
until nothing is left on it. It stays a member and keeps its vote, and a restart
does not end it: "bothy undrain NODE" does.

A run goes on at its next node from the end of a step. A computer's disk is saved
to the blob store, or without one sent to its next node, while the computer goes
on; then it is stopped here and started there: its files and installed programs are
as they were, and what ran in it begins anew. A computer that no other node can
take, for want of room, stays, and the command fails with the reason; with
--stay-ok that is success, since computers outlive a restart of their node's
process. Snapshots that are on the node alone stay there.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			d, err := c.DrainNode(cmd.Context(), args[0])
			if err == nil && how.wait {
				d, err = how.await(cmd.Context(), t, c, args[0], d)
			}
			if err != nil {
				return err
			}
			if d.Done {
				return t.did(d, "%s is drained; `bothy undrain %s` has it take work again", d.Node, d.Node)
			}
			return t.did(d, "%s drains: %s", d.Node, left(d))
		},
	}
	cmd.Flags().BoolVar(&how.wait, "wait", true, "wait until nothing is left on the node")
	cmd.Flags().BoolVar(&how.stay, "stay-ok", false, "succeed although computers stay that cannot move")
	cmd.Flags().DurationVar(&how.timeout, "timeout", drainPatience, "how long to wait; the drain itself goes on")
	return cmd
}

// await looks until the drain is done, or nothing more will move by itself.
func (how draining) await(ctx context.Context, t *terminal, c *client.Client, node string, d wire.Drain) (wire.Drain, error) {
	ctx, cancel := context.WithTimeout(ctx, how.timeout)
	defer cancel()
	shown := ""
	for first := true; ; first = false {
		if d.Done {
			return d, nil
		}
		if !d.Draining {
			return d, fmt.Errorf("%s was undrained meanwhile", d.Node)
		}
		if line := left(d); line != shown && !t.json() {
			shown = line
			fmt.Fprintf(t.err, "%s: %s\n", d.Node, line)
		}
		if stays(d) && !first {
			if how.stay {
				return d, nil
			}
			return d, fmt.Errorf("%d computers stay on %s:\n%s%s", d.Computers, d.Node, reasons(d), how.hint)
		}
		select {
		case <-time.After(drainLook):
		case <-ctx.Done():
			return d, fmt.Errorf("after %s %s is left on %s; it goes on draining", how.timeout, left(d), d.Node)
		}
		next, err := c.Drain(ctx, node)
		if err != nil && ctx.Err() == nil {
			return d, err
		}
		if err == nil {
			d = next
		}
	}
}

// left is what is left on a node, in words.
func left(d wire.Drain) string {
	steps := map[string]int{}
	for _, one := range d.Departures {
		steps[one.Step]++
	}
	text := fmt.Sprintf("%d computers, %d of them up, %d runs, %d builds", d.Computers, d.Running, d.Runs, d.Builds)
	var ways []string
	for _, step := range []string{"saving", "sending", "settling", "moving", "waiting", "staying"} {
		if n := steps[step]; n > 0 {
			ways = append(ways, fmt.Sprintf("%d %s", n, step))
		}
	}
	if !d.Answers {
		ways = append(ways, "the node does not answer")
	}
	if len(ways) > 0 {
		text += " (" + strings.Join(ways, ", ") + ")"
	}
	return text
}

// stays reports whether all that is left cannot go.
func stays(d wire.Drain) bool {
	return d.Answers && d.Builds == 0 && len(d.Departures) == d.Computers &&
		!slices.ContainsFunc(d.Departures, func(one wire.Departure) bool { return one.Step != "staying" })
}

// reasons lists why computers stay, the most frequent first.
func reasons(d wire.Drain) string {
	of := map[string][]string{}
	for _, one := range d.Departures {
		why := strings.NewReplacer("computer "+one.ComputerID, "it", one.ComputerID, "it").Replace(one.Why)
		of[why] = append(of[why], one.ComputerID)
	}
	whys := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(of[b]), len(of[a])), cmp.Compare(a, b))
	})
	var lines []string
	for _, why := range whys {
		lines = append(lines, fmt.Sprintf("  %d: %s (such as %s)", len(of[why]), plain(why), of[why][0]))
	}
	return strings.Join(lines, "\n")
}

func newUndrain(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "undrain NODE", Short: "Have a node that was drained take new work again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			d, err := c.UndrainNode(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.did(d, "%s takes new work; what it gave away stays where it is", d.Node)
		},
	}
}

func newLeave(t *terminal) *cobra.Command {
	how := draining{wait: true}
	cmd := &cobra.Command{
		Use: "leave [NODE]", Short: "Drain a node and take it out of the cluster", Args: cobra.MaximumNArgs(1),
		Long: `Take a node out of the cluster, by its name, or the node that answers: it is
drained, another node takes over its vote where one is needed, and its record goes.
Its process then ends by itself, and "bothy wipe" clears its data directory.

It is refused while computers are left that no other node can take; the node then
takes new work again. Snapshots that are on it alone, without a blob store, are lost. To give them up, end the node's process and use "bothy remove NODE --force".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			node := ""
			if len(args) == 1 {
				node = args[0]
			} else {
				status, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				node = status.Node
			}
			before, err := c.Drain(cmd.Context(), node)
			if err == nil {
				err = how.leave(cmd.Context(), c, t, node, !before.Draining)
			}
			if err != nil {
				return fmt.Errorf("%s did not leave: %w", node, err)
			}
			return t.did(removed{node}, "%s has left the cluster", node)
		},
	}
	cmd.Flags().DurationVar(&how.timeout, "timeout", drainPatience, "how long to wait for the drain")
	return cmd
}

func newRemove(t *terminal) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use: "remove NODE", Short: "Take a node that is gone for ever out of the cluster", Args: cobra.ExactArgs(1),
		Long: `Take a node out of the cluster that does not come back, by its name: its vote
first, then its record. Its name is free then, and if it comes back all the same it
is told that it is no member any more.

It is refused while the node owns computers. With --force those begin on other
nodes from their last save, or empty where there is none: what the node alone had is
lost, and so are snapshots that were only there.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			remove := c.RemoveNode
			if force {
				remove = c.AbandonNode
			}
			if err := remove(cmd.Context(), args[0]); err != nil {
				return err
			}
			return t.did(removed{args[0]}, "%s is no member of the cluster any more", args[0])
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "give up what the node alone has of its computers")
	return cmd
}

var moveColumns = []column[wire.Move]{
	{head: "computer", cell: func(m wire.Move) string { return m.ComputerID }},
	{head: "from", cell: func(m wire.Move) string { return m.From }},
	{head: "to", cell: func(m wire.Move) string { return m.To }},
	{head: "not begun", cell: func(m wire.Move) string { return m.Why }},
}

func newRebalance(t *terminal) *cobra.Command {
	var ask wire.Rebalance
	most := 0
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Even out what the nodes have, such as after one has joined", Args: cobra.NoArgs,
		Long: `Move computers from the fullest nodes to the emptiest, as when a node drains:
those that are down first, few at a time, none when the nodes are about even. It
does not wait for them; "bothy status" shows how many each node has.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if most > 0 {
				ask.Max = &most
			}
			done, err := c.Rebalance(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(done)
			}
			if len(done.Moves) == 0 {
				_, err := fmt.Fprintln(t.out, "the nodes are about even; nothing moves")
				return err
			}
			return table(t.out, done.Moves, moveColumns)
		},
	}
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "only say what would move")
	cmd.Flags().IntVar(&most, "max", 0, "how many at most (default 20)")
	return cmd
}

// leave drains a node and takes it out. With undo, one whose computers cannot all
// go takes new work again, as it did before.
func (how draining) leave(ctx context.Context, c *client.Client, t *terminal, node string, undo bool) error {
	d, err := c.DrainNode(ctx, node)
	if err == nil {
		d, err = how.await(ctx, t, c, node, d)
	}
	if err == nil {
		return c.RemoveNode(ctx, node)
	}
	if undo && stays(d) {
		_, undone := c.UndrainNode(ctx, node)
		err = errors.Join(err, undone)
	}
	return err
}
