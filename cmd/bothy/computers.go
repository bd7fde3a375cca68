package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var computerColumns = []column[wire.Computer]{
	{head: "id", cell: func(c wire.Computer) string { return c.ID }},
	{head: "name", cell: func(c wire.Computer) string { return c.Name }},
	{head: "phase", cell: func(c wire.Computer) string { return c.Phase }},
	{head: "node", cell: func(c wire.Computer) string { return or(c.Node) }},
	{head: "epoch", cell: func(c wire.Computer) string { return fmt.Sprint(c.Epoch) }},
	{head: "image", cell: func(c wire.Computer) string { return c.Image }},
	{head: "runs", cell: func(c wire.Computer) string { return fmt.Sprint(c.Runs) }},
	{head: "started", cell: func(c wire.Computer) string { return when(c.StartedAt) }},
	{head: "saved", cell: savedCell},
	{head: "wish", cell: func(c wire.Computer) string { return c.Wish }, long: true},
	{head: "error", cell: func(c wire.Computer) string { return or(c.Error) }, long: true},
	{head: "save error", cell: func(c wire.Computer) string { return or(c.SaveError) }, long: true},
	{head: "restored", cell: restoredCell, long: true},
	{head: "environment", cell: func(c wire.Computer) string { return or(c.EnvironmentID) }, long: true},
	{head: "account", cell: func(c wire.Computer) string { return c.AccountID }, long: true},
	{head: "memory", cell: func(c wire.Computer) string { return Bytes(c.MemoryBytes).String() }, long: true},
	{head: "cores", cell: func(c wire.Computer) string { return fmt.Sprintf("%g", float64(c.MilliCPU)/1000) }, long: true},
	{head: "disk", cell: func(c wire.Computer) string { return Bytes(c.DiskBytes).String() }, long: true},
	{head: "internet", cell: func(c wire.Computer) string { return yes(c.Internet) }, long: true},
	{head: "created", cell: func(c wire.Computer) string { return when(&c.CreatedAt) }, long: true},
}

func newComputers(t *terminal) *cobra.Command {
	var account string
	return noun[wire.Computer]{
		name: "computers", one: "computer", aliases: []string{"computer"}, columns: computerColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Computer], error) {
			return c.Computers().List(ctx, account, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Computer, error) {
			return c.Computers().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Computers().Remove(ctx, id) },
		listFlags: func(flags *pflag.FlagSet) {
			flags.StringVar(&account, "account", "", "those of another account")
		},
	}.command(t,
		computerVerb(t, "save", "Save computers' disks off their nodes, as they are now",
			func(ctx context.Context, c *client.Client, id string) (wire.Computer, error) {
				return c.Computers().Save(ctx, id)
			}, func(c wire.Computer) string { return "saved " + savedCell(c) }),
		computerVerb(t, "recover", "Go on with the last save of computers whose node is away; what changed since is given up",
			func(ctx context.Context, c *client.Client, id string) (wire.Computer, error) {
				return c.Computers().Recover(ctx, id)
			}, func(c wire.Computer) string {
				return fmt.Sprintf("on node %s, as it was saved at %s", or(c.Node), when(c.SavedAt))
			}))
}

// savedCell is when the newest save was made, or that it is all there is.
func savedCell(c wire.Computer) string {
	switch {
	case c.SavedAt == nil:
		return "no"
	case c.SavedWhole:
		return "whole"
	}
	return when(c.SavedAt)
}

func restoredCell(c wire.Computer) string {
	if c.RestoredAt == nil {
		return "-"
	}
	return fmt.Sprintf("%s, as of %s", when(c.RestoredAt), when(c.RestoredFrom))
}

// computerVerb does something with each computer that is named.
func computerVerb(t *terminal, verb, short string, do func(context.Context, *client.Client, string) (wire.Computer, error), told func(wire.Computer) string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " COMPUTER...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			for _, id := range args {
				computer, err := do(cmd.Context(), c, id)
				if err != nil {
					return fmt.Errorf("%s computer %s: %w", verb, id, err)
				}
				if err := t.did(computer, "%s: %s", id, told(computer)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
