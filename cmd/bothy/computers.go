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
	{head: "wish", cell: func(c wire.Computer) string { return c.Wish }, long: true},
	{head: "error", cell: func(c wire.Computer) string { return or(c.Error) }, long: true},
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
	}.command(t)
}
