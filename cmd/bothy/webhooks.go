package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var webhookColumns = []column[wire.Webhook]{
	{head: "id", cell: func(w wire.Webhook) string { return w.ID }},
	{head: "url", cell: func(w wire.Webhook) string { return w.URL }},
	{head: "events", cell: func(w wire.Webhook) string { return strings.Join(w.Events, " ") }},
	{head: "active", cell: func(w wire.Webhook) string { return yes(w.IsActive) }},
	{head: "failures", cell: func(w wire.Webhook) string { return strconv.Itoa(w.FailureCount) }},
	{head: "last", cell: func(w wire.Webhook) string { return when(w.LastTriggeredAt) }},
	{head: "description", cell: func(w wire.Webhook) string { return or(w.Description) }, long: true},
	{head: "secret", cell: func(w wire.Webhook) string { return yes(w.HasSecret) }, long: true},
}

func newWebhooks(t *terminal) *cobra.Command {
	return noun[wire.Webhook]{
		name: "webhooks", one: "webhook", aliases: []string{"webhook"}, columns: webhookColumns,
		list: func(ctx context.Context, c *client.Client, _ client.Page) (wire.List[wire.Webhook], error) {
			all, err := c.Webhooks().List(ctx)
			return wire.ListOf(all.Data, false, all.Total), err
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Webhook, error) {
			return c.Webhooks().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Webhooks().Delete(ctx, id) },
	}.command(t, newCreateWebhook(t))
}

func newCreateWebhook(t *terminal) *cobra.Command {
	var w wire.WriteWebhook
	cmd := &cobra.Command{
		Use: "create URL", Short: "Have an https address told what becomes of tasks, runs, computers and builds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			w.URL = args[0]
			made, err := c.Webhooks().Create(cmd.Context(), w)
			if err != nil {
				return err
			}
			return showOne(t, made, webhookColumns)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&w.Events, "events", []string{"task.completed", "task.failed", "task.canceled"}, "what it is told of; others are task.created, task.running, and those of run., computer. and build.")
	flags.StringVar(&w.Description, "description", "", "what it is for")
	flags.StringVar(&w.Secret, "secret", "", "sent in the header X-Webhook-Secret")
	return cmd
}
