package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var threadColumns = []column[wire.Thread]{
	{head: "id", cell: func(t wire.Thread) string { return t.ID }},
	{head: "status", cell: func(t wire.Thread) string { return t.Status }},
	{head: "title", cell: func(t wire.Thread) string { return or(t.Title) }},
	{head: "messages", cell: func(t wire.Thread) string { return fmt.Sprint(t.MessageCount) }},
	{head: "tokens", cell: func(t wire.Thread) string { return fmt.Sprint(t.TotalTokens) }},
	{head: "cost", cell: func(t wire.Thread) string { return dollars(t.TotalCost) }},
	{head: "updated", cell: func(t wire.Thread) string { return when(&t.UpdatedAt) }},
	{head: "environment", cell: func(t wire.Thread) string { return t.EnvironmentID }, long: true},
	{head: "agent", cell: func(t wire.Thread) string { return or(t.AgentID) }, long: true},
	{head: "computer", cell: func(t wire.Thread) string { return t.ComputerID }, long: true},
	{head: "run", cell: func(t wire.Thread) string { return or(t.RunID) }, long: true},
	{head: "created", cell: func(t wire.Thread) string { return when(&t.CreatedAt) }, long: true},
}

// dollars is money for people.
func dollars(u wire.USD) string { return "$" + u.String() }

func newThreads(t *terminal) *cobra.Command {
	var filter client.ThreadFilter
	return noun[wire.Thread]{
		name: "threads", one: "thread", aliases: []string{"thread"}, columns: threadColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Thread], error) {
			return c.Threads().List(ctx, filter, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Thread, error) {
			return c.Threads().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error {
			return c.Threads().Delete(ctx, id)
		},
		listFlags: func(flags *pflag.FlagSet) {
			flags.StringVar(&filter.Environment, "env", "", "only those of an environment")
			flags.StringVar(&filter.Agent, "agent", "", "only those of an agent")
			flags.StringVar(&filter.Status, "status", "", "only those that are active, running, completed, failed or cancelled")
		},
	}.command(t, newCancel(t), newLogs(t), newDiffs(t), newSearch(t), newCopy(t))
}

func newCancel(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Stop what a thread is running", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.Threads().Cancel(cmd.Context(), args[0]); err != nil {
				return err
			}
			return t.did(struct {
				Cancelled string `json:"cancelled"`
			}{args[0]}, "cancelling the run of thread %s", args[0])
		},
	}
}
