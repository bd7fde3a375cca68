package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

var nodeColumns = []column[wire.NodeStatus]{
	{head: "node", cell: func(n wire.NodeStatus) string { return n.Name }},
	{head: "role", cell: role},
	{head: "alive", cell: func(n wire.NodeStatus) string { return yes(n.Alive) }},
	{head: "lease", cell: lease},
	{head: "computers", cell: func(n wire.NodeStatus) string { return fmt.Sprint(n.Computers) }},
	{head: "http", cell: func(n wire.NodeStatus) string { return n.HTTP }},
	{head: "peer", cell: func(n wire.NodeStatus) string { return n.Peer }},
	{head: "takes work", cell: takes},
	{head: "life", cell: func(n wire.NodeStatus) string { return fmt.Sprint(n.Incarnation) }},
	{head: "version", cell: func(n wire.NodeStatus) string { return n.Version }},
}

// role is a node's part in consensus.
func role(n wire.NodeStatus) string {
	switch {
	case n.Leader:
		return "leader"
	case n.Voter:
		return "voter"
	}
	return "replica"
}

// takes says whether a node takes new work.
func takes(n wire.NodeStatus) string {
	if n.DrainingSince != nil {
		return "no: draining"
	}
	return "yes"
}

// lease is how long a node may still act, where the answering node knows it.
func lease(n wire.NodeStatus) string {
	switch left := time.Duration(n.LeaseLeftMS) * time.Millisecond; {
	case !n.Leased:
		return "expired"
	case left > 0:
		return left.Round(100 * time.Millisecond).String()
	}
	return "held"
}

func newStatus(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show nodes, leader, voters, leases and who owns how many computers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			status, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return showStatus(t, status)
		},
	}
}

func showStatus(t *terminal, s wire.ClusterStatus) error {
	if t.json() {
		return t.print(s)
	}
	leader := s.Leader
	if leader == "" {
		leader = "none: writes wait"
	}
	fmt.Fprintf(t.out, "leader %s · %d computers · %d runs, %d waiting · as %s sees it (bothy %s)\n\n",
		leader, s.Computers, s.RunsRunning, s.RunsPending, s.Node, s.Version)
	if err := table(t.out, s.Nodes, nodeColumns); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(t.out, "\n%s\n", safety(s)); err != nil {
		return err
	}
	if k := s.SecretsKey; k != nil {
		if _, err := fmt.Fprintf(t.out, "\nthe secrets key is being replaced (%s): %d values sealed anew, %s unreadable\n", k.Phase, k.Resealed, unreadable(*k)); err != nil {
			return err
		}
	}
	if !s.Ready {
		_, err := fmt.Fprintf(t.out, "\n%s is not ready: %s\n", s.Node, s.Problem)
		return err
	}
	return nil
}

// safety says what the loss of a node would cost.
func safety(s wire.ClusterStatus) string {
	var without []string
	for _, n := range s.Nodes {
		if n.Store == "" {
			without = append(without, n.Name)
		}
	}
	saves := s.Saves
	if len(without) == len(s.Nodes) {
		return fmt.Sprintf("no blob store: the disks of %d computers are on their nodes alone, and die with them; `bothy drain` moves them first", saves.Disks)
	}
	text := fmt.Sprintf("saved off their nodes: %d of %d disks whole, %d never, %d behind; the oldest change on %s that is not saved is %s old",
		saves.Whole, saves.Disks, saves.Never, saves.Behind, s.Node, (time.Duration(saves.OldestMS) * time.Millisecond).Round(time.Second))
	if saves.Failing > 0 {
		text += fmt.Sprintf("\n%d cannot be saved: %s", saves.Failing, saves.Reason)
	}
	if len(without) > 0 {
		text += "\nno blob store on " + strings.Join(without, ", ") + ": what was saved cannot be restored there, nor what is there saved"
	}
	return text
}

func newToken(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "token", Short: "Make a token that lets one node join this cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			token, err := c.Token(cmd.Context())
			if err != nil {
				return err
			}
			if t.json() {
				return t.print(token)
			}
			if _, err := fmt.Fprintln(t.out, token.Token); err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.err, "good for one node until %s: bothy join TOKEN\n", when(&token.ExpiresAt))
			return err
		},
	}
}
