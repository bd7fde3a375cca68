package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bothy-computer/bothy/actors/agent"
)

// ReadTool reads what servers' results name without bringing it. No tool of a
// server has this name: its own have two more underscores.
const ReadTool = "mcp__read_resource"

func readTool(servers []string) agent.Tool {
	text := func(about string) map[string]any { return map[string]any{"type": "string", "description": about} }
	server := text("The MCP server that named it.")
	server["enum"] = servers
	return agent.Tool{Name: ReadTool, Description: "Read a resource that a result of an MCP server names by its URI.", Schema: map[string]any{
		"type": "object", "required": []string{"server", "uri"}, "additionalProperties": false,
		"properties": map[string]any{"server": server, "uri": text("The resource's URI.")},
	}}
}

// read reads a resource as if it had come with a tool's result.
func (s *Set) read(ctx context.Context, id string, arguments json.RawMessage) (agent.Result, error) {
	var args struct{ Server, URI string }
	if err := json.Unmarshal(arguments, &args); err != nil {
		return agent.Result{Status: agent.Invalid, Text: "error: the arguments do not fit the tool's schema: " + err.Error()}, nil
	}
	l, ok := s.readers[args.Server]
	if !ok || args.URI == "" {
		return agent.Result{Status: agent.Invalid, Text: fmt.Sprintf("error: server must be one of %s, and uri a resource's URI", strings.Join(slices.Sorted(maps.Keys(s.readers)), ", "))}, nil
	}
	return s.ask(ctx, l, id, "the reading of "+args.URI, func(ctx context.Context, session *sdk.ClientSession) (*sdk.CallToolResult, error) {
		read, err := session.ReadResource(ctx, &sdk.ReadResourceParams{URI: args.URI})
		if err != nil {
			return nil, err
		}
		sent := &sdk.CallToolResult{}
		for _, c := range read.Contents {
			sent.Content = append(sent.Content, &sdk.EmbeddedResource{Resource: c})
		}
		return sent, nil
	})
}
