// Package mcptest is an MCP server for tests: a test's own program, started
// again with [Variable] set, or a handler over HTTP.
package mcptest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Variable makes a program that calls Main first a server.
const Variable = "BOTHY_MCPTEST"

// Main serves on standard input and output, and never returns, when Variable
// is set. TestMain calls it before all else.
func Main() {
	if os.Getenv(Variable) == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "the clock has begun")
	if err := Server().Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Web serves over HTTP.
type Web struct {
	http.Handler
	server *mcp.Server
}

// Handler makes a server over HTTP.
func Handler() Web {
	server := Server()
	return Web{mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil), server}
}

// Forget ends all sessions, as a server that starts again does.
func (w Web) Forget() {
	for session := range w.server.Sessions() {
		_ = session.Close() // it is gone either way
	}
}

type text struct {
	Text string `json:"text"`
}

func words(said string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}
}

// Server has tools that a test looks at:
//
//	echo     says its text again
//	long     says its text 10,000 times
//	env      says the value of a variable
//	picture  brings an image, a resource and a link
//	fail     ends in an error
//	die      ends the program
func Server() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "clock", Version: "1"}, &mcp.ServerOptions{Instructions: "Echo with care."})
	add := func(name string, do func(said string) (*mcp.CallToolResult, error)) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: "A tool named " + name + "."},
			func(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, any, error) {
				out, err := do(in.Text)
				return out, nil, err
			})
	}
	add("echo", func(said string) (*mcp.CallToolResult, error) { return words(said), nil })
	add("long", func(said string) (*mcp.CallToolResult, error) { return words(strings.Repeat(said, 10_000)), nil })
	add("env", func(said string) (*mcp.CallToolResult, error) { return words(os.Getenv(said)), nil })
	add("fail", func(said string) (*mcp.CallToolResult, error) { return nil, fmt.Errorf("no: %s", said) })
	add("die", func(string) (*mcp.CallToolResult, error) {
		fmt.Fprintln(os.Stderr, "the clock stops")
		os.Exit(3)
		return nil, nil
	})
	add("picture", func(string) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{
			&mcp.ImageContent{Data: []byte("\x89PNG"), MIMEType: "image/png"},
			&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "clock://hand", MIMEType: "text/plain", Text: "at noon"}},
			&mcp.ResourceLink{URI: "clock://face", Name: "face"},
		}}, nil
	})
	s.AddResource(&mcp.Resource{URI: "clock://face", Name: "face", MIMEType: "text/plain"},
		func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "clock://face", MIMEType: "text/plain", Text: "twelve numbers"}}}, nil
		})
	return s
}
