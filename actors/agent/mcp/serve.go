package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// ServePath begins the paths of served servers; a server's name follows.
	ServePath = "/mcp/"
	// maxAskedBytes bounds a request to a served server.
	maxAskedBytes = 4 << 20
	// maxServedBytes bounds what one call brings.
	maxServedBytes = 8 << 20
)

// Names are the servers that can be used, after Start.
func (s *Set) Names() []string {
	var names []string
	for _, t := range s.tools {
		if named, ok := s.byName[t.Name]; ok && !slices.Contains(names, named.Server) {
			names = append(names, named.Server)
		}
	}
	return names
}

// PathOf is where Handler has a server.
func PathOf(name string) string { return ServePath + url.PathEscape(name) }

// Handler serves the servers to a program that is an MCP client itself, over
// streamable HTTP: each at its PathOf, with the tools that the set has of it
// and by their own names. What is secret of a server stays here. It is for use
// after Start.
func (s *Set) Handler() http.Handler {
	served := map[string]http.Handler{}
	for _, name := range s.Names() {
		server := s.serve(name)
		served[name] = sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server },
			&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxAskedBytes})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := served[strings.TrimPrefix(r.URL.Path, ServePath)]
		if server == nil {
			http.NotFound(w, r)
			return
		}
		server.ServeHTTP(w, r)
	})
}

// serve makes a server of one of the set's.
func (s *Set) serve(name string) *sdk.Server {
	options := &sdk.ServerOptions{}
	for _, m := range s.members {
		if m.Name == name && m.session != nil && m.session.InitializeResult() != nil {
			options.Instructions = m.hide(cut(m.session.InitializeResult().Instructions, maxAdviceBytes))
		}
	}
	server := sdk.NewServer(&sdk.Implementation{Name: name, Version: s.pool.Version}, options)
	for _, t := range s.tools {
		named, ok := s.byName[t.Name]
		if !ok || named.Server != name {
			continue
		}
		tool := &sdk.Tool{Name: named.Tool, Description: t.Description, InputSchema: t.Schema}
		if err := addTool(server, tool, named.forward); err != nil {
			s.note("The tool %s of the MCP server %s is left out: %v", named.Tool, name, err)
		}
	}
	return server
}

// addTool adds a tool that somebody else described: the library panics where
// it does not like a description.
func addTool(to *sdk.Server, tool *sdk.Tool, call sdk.ToolHandler) (err error) {
	defer func() {
		if said := recover(); said != nil {
			err = fmt.Errorf("it cannot be served: %v", said)
		}
	}()
	to.AddTool(tool, call)
	return nil
}

// forward sends a call on to the tool's own server, once.
func (n Named) forward(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	arguments := req.Params.Arguments
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	a, err := n.link.call(ctx, n.Tool, func(ctx context.Context, session *sdk.ClientSession) (*sdk.CallToolResult, error) {
		return session.CallTool(ctx, &sdk.CallToolParams{Name: n.Tool, Arguments: arguments})
	})
	switch {
	case err != nil:
		return nil, err
	case a.sent == nil:
		return failed(a.result.Text), nil
	}
	return n.link.without(a.sent), nil
}

// failed is a result that tells why there is none.
func failed(text string) *sdk.CallToolResult {
	return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}

// without is a result without what is secret of its server.
func (l *link) without(sent *sdk.CallToolResult) *sdk.CallToolResult {
	whole, err := json.Marshal(sent)
	if err != nil {
		return failed("error: the result has no JSON form")
	}
	if len(whole) > maxServedBytes {
		return failed(fmt.Sprintf("error: the result has %d bytes, the limit is %d", len(whole), maxServedBytes))
	}
	var shown sdk.CallToolResult
	if err := json.Unmarshal([]byte(l.hide(string(whole))), &shown); err != nil {
		return failed("error: the result cannot be shown without a secret of its server")
	}
	return &shown
}
