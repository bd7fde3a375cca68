package mcp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
)

// client connects to a served server as a coding CLI does.
func client(t *testing.T, url string) *sdk.ClientSession {
	t.Helper()
	way := &http.Transport{}
	t.Cleanup(way.CloseIdleConnections)
	session, err := sdk.NewClient(&sdk.Implementation{Name: "cli", Version: "1"}, nil).Connect(t.Context(),
		&sdk.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: way}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() }) // a server that keeps no sessions refuses to end one
	return session
}

func said(t *testing.T, r *sdk.CallToolResult, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, c := range r.Content {
		if text, ok := c.(*sdk.TextContent); ok {
			words = append(words, text.Text)
		}
	}
	return strings.Join(words, "\n")
}

func TestServersAreServedToAClientOfTheirProtocol(t *testing.T) {
	behind := mcptest.Handler()
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hush-hush-hush" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(guarded.Close)
	limited := mcp.Server{Name: "the web", URL: guarded.URL, Bearer: "hush-hush-hush", AllowedTools: []string{"echo", "picture"}}
	s := started(t, newDesk(), clock(), limited, mcp.Server{Name: "gone", URL: "http://127.0.0.1:1/"})
	if names := strings.Join(s.Names(), ", "); names != "clock, the web" {
		t.Fatalf("served are %s", names)
	}
	served := httptest.NewServer(s.Handler())
	t.Cleanup(served.Close)

	web := client(t, served.URL+mcp.PathOf("the web"))
	list, err := web.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 2 || web.InitializeResult().Instructions != "Echo with care." {
		t.Fatalf("tools %+v, %v; it says %q", list, err, web.InitializeResult().Instructions)
	}
	ask := func(name, text string) (*sdk.CallToolResult, error) {
		return web.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: map[string]any{"text": text}})
	}
	r, err := ask("echo", "a hush-hush-hush b")
	if got := said(t, r, err); got != "a [hidden] b" {
		t.Errorf("echo says %q", got)
	}
	r, err = ask("picture", "")
	if err != nil || len(r.Content) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if picture, ok := r.Content[0].(*sdk.ImageContent); !ok || string(picture.Data) != "\x89PNG" {
		t.Errorf("the picture came as %+v", r.Content[0])
	}
	if r, err := ask("env", "PATH"); err == nil && !r.IsError {
		t.Errorf("a tool that is not allowed answered %+v", r)
	}

	inside := client(t, served.URL+mcp.PathOf("clock"))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			r, err := inside.CallTool(t.Context(), &sdk.CallToolParams{Name: "env", Arguments: map[string]any{"text": "HAND"}})
			if err != nil || r.IsError || r.Content[0].(*sdk.TextContent).Text != "long" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	group.Wait()
	r, err = inside.CallTool(t.Context(), &sdk.CallToolParams{Name: "fail", Arguments: map[string]any{"text": "why"}})
	if got := said(t, r, err); !r.IsError || !strings.Contains(got, "no: why") {
		t.Errorf("a failure is told as %q", got)
	}
	r, err = inside.CallTool(t.Context(), &sdk.CallToolParams{Name: "die", Arguments: map[string]any{"text": ""}})
	if got := said(t, r, err); !r.IsError || !strings.Contains(got, "ended") {
		t.Errorf("the death of a server is told as %q", got)
	}
	res, err := served.Client().Post(served.URL+mcp.PathOf("gone"), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a server that is not there answers %d", res.StatusCode)
	}
}
