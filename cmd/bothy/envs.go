package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var envColumns = []column[wire.Environment]{
	{head: "id", cell: func(e wire.Environment) string { return e.ID }},
	{head: "name", cell: func(e wire.Environment) string { return e.Name }},
	{head: "default", cell: func(e wire.Environment) string { return yes(e.IsDefault) }},
	{head: "build", cell: func(e wire.Environment) string { return e.BuildStatus }},
	{head: "status", cell: func(e wire.Environment) string { return e.Status }},
	{head: "computer", cell: func(e wire.Environment) string { return e.ComputerID }},
	{head: "updated", cell: func(e wire.Environment) string { return when(&e.UpdatedAt) }},
	{head: "description", cell: func(e wire.Environment) string { return or(e.Description) }, long: true},
	{head: "internet", cell: func(e wire.Environment) string { return yes(e.InternetAccess) }, long: true},
	{head: "build error", cell: func(e wire.Environment) string { return or(e.BuildError) }, long: true},
	{head: "active", cell: func(e wire.Environment) string { return yes(e.IsActive) }, long: true},
	{head: "created", cell: func(e wire.Environment) string { return when(&e.CreatedAt) }, long: true},
}

func newEnvs(t *terminal) *cobra.Command {
	var hard bool
	return noun[wire.Environment]{
		name: "envs", one: "environment", aliases: []string{"env", "environments"}, columns: envColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Environment], error) {
			return c.Environments().List(ctx, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Environment, error) {
			return c.Environments().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error {
			return c.Environments().Delete(ctx, id, hard)
		},
		rmFlags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&hard, "hard", false, "remove its computer and workspace too, for good")
		},
	}.command(t, newEnvBuild(t), newEnvLogs(t), newEnvDockerfile(t))
}
