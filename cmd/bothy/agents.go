package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var agentColumns = []column[wire.Agent]{
	{head: "id", cell: func(a wire.Agent) string { return a.ID }},
	{head: "name", cell: func(a wire.Agent) string { return a.Name }},
	{head: "type", cell: func(a wire.Agent) string { return a.AgentType }},
	{head: "model", cell: func(a wire.Agent) string { return a.Model }},
	{head: "workspace", cell: func(a wire.Agent) string { return a.Workspace }},
	{head: "updated", cell: func(a wire.Agent) string { return when(&a.UpdatedAt) }},
	{head: "description", cell: func(a wire.Agent) string { return or(a.Description) }, long: true},
	{head: "instructions", cell: func(a wire.Agent) string { return or(a.Instructions) }, long: true},
	{head: "mcp servers", cell: func(a wire.Agent) string { return strings.Join(serverNames(a), ", ") }, long: true},
	{head: "handoffs", cell: func(a wire.Agent) string { return strings.Join(a.Handoffs, ", ") }, long: true},
	{head: "reasoning effort", cell: func(a wire.Agent) string { return a.ReasoningEffort }, long: true},
	{head: "created", cell: func(a wire.Agent) string { return when(&a.CreatedAt) }, long: true},
}

func serverNames(a wire.Agent) []string {
	var names []string
	for _, s := range a.MCPServers {
		names = append(names, s.Name)
	}
	return names
}

func newAgents(t *terminal) *cobra.Command {
	return noun[wire.Agent]{
		name: "agents", one: "agent", aliases: []string{"agent"}, columns: agentColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Agent], error) {
			return c.Agents().List(ctx, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Agent, error) {
			return c.Agents().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Agents().Delete(ctx, id) },
	}.command(t, newAgentCreate(t), newAgentUpdate(t))
}
