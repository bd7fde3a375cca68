package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bothy-computer/bothy/actors/agent"
)

// Bounds of what servers bring into a run.
const (
	// MaxServers is how many a run may have.
	MaxServers = 32
	// MaxTools is how many of their tools a model is told about; vendors take
	// little more.
	MaxTools = 100
	// maxListed is how many tools of one server are looked at.
	maxListed = 512
	// maxSchemaBytes and maxAboutBytes bound what is told of one tool: one with
	// a longer schema is left out, a longer description cut.
	maxSchemaBytes = 16 << 10
	maxAboutBytes  = 4 << 10
	// maxAdviceBytes bounds what a server says of itself.
	maxAdviceBytes = 4 << 10
	// startsAtOnce bounds how many servers are being started.
	startsAtOnce = 8
)

// Options say what a run's servers are reached by.
type Options struct {
	Servers []Server
	// Computer gives the run's computer, starting it if need be. It is asked for
	// by servers that are programs, and for files that results bring.
	Computer func(context.Context) (agent.Computer, error)
	// Way leads to servers over HTTP. It must refuse addresses that a tenant
	// may not reach, at each connection.
	Way     http.RoundTripper
	Version string // of this program, told to servers
	// StartTimeout is 0 for the constant of that name.
	StartTimeout time.Duration
}

// Set is the servers of one run. Calls are made one at a time.
type Set struct {
	Options
	life    context.Context
	links   []*link
	started bool
	tools   []agent.Tool
	byName  map[string]Named
	notes   []string
}

// Named is a tool as its server knows it.
type Named struct {
	Server, Tool string
	link         *link
}

// New makes a set and starts nothing. Servers run until Close, or until life
// is done.
func New(life context.Context, o Options) *Set {
	s := &Set{Options: o, life: life, byName: map[string]Named{}}
	for _, server := range o.Servers {
		s.links = append(s.links, newLink(s, server))
	}
	return s
}

func (s *Set) startTimeout() time.Duration {
	if s.StartTimeout > 0 {
		return s.StartTimeout
	}
	return StartTimeout
}

// Start starts all servers and learns their tools; doing it again does
// nothing. A server that cannot be started is told by Notes. An error means
// that there is no computer, or that ctx is done.
func (s *Set) Start(ctx context.Context) error {
	if s.started {
		return nil
	}
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for _, l := range s.links {
		group.Go(func() error {
			_, err := l.ready(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.started = true
	for _, l := range s.links {
		s.take(l)
	}
	return nil
}

// take adds a server's tools to what the model is told.
func (s *Set) take(l *link) {
	if l.tools == nil {
		s.note("The MCP server %s could not be started, so its tools are missing: %s", l.Name, l.failure)
		return
	}
	left := 0
	missing := map[string]bool{}
	for _, name := range l.AllowedTools {
		missing[name] = true
	}
	for _, tool := range l.tools {
		if len(l.AllowedTools) > 0 && !slices.Contains(l.AllowedTools, tool.Name) {
			continue
		}
		delete(missing, tool.Name)
		schema, ok := schemaOf(tool.InputSchema)
		name := toolName(l.Name, tool.Name)
		if _, taken := s.byName[name]; taken || !ok || len(s.tools) == MaxTools {
			left++
			continue
		}
		s.byName[name] = Named{l.Name, tool.Name, l}
		s.tools = append(s.tools, agent.Tool{Name: name, Description: about(tool.Title, tool.Description), Schema: schema})
	}
	if left > 0 {
		s.note("%d tools of the MCP server %s are left out: a run may have %d tools of servers, each with a name of its own and a schema of at most %d bytes.", left, l.Name, MaxTools, maxSchemaBytes)
	}
	if len(missing) > 0 {
		s.note("The MCP server %s has no tools with these names, which allowedTools has: %s", l.Name, strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
}

func (s *Set) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// about describes a tool to a model.
func about(title, description string) string {
	if description == "" {
		description = title
	}
	return cut(description, maxAboutBytes)
}

// schemaOf is a tool's schema in the form that every vendor takes: an object
// with properties.
func schemaOf(given any) (map[string]any, bool) {
	schema, ok := given.(map[string]any)
	if !ok {
		schema = map[string]any{}
	}
	schema = maps.Clone(schema)
	delete(schema, "$schema")
	schema["type"] = "object"
	if _, ok := schema["properties"].(map[string]any); !ok {
		schema["properties"] = map[string]any{}
	}
	encoded, err := json.Marshal(schema)
	return schema, err == nil && len(encoded) <= maxSchemaBytes
}

// Tools are what the model is told of, after Start.
func (s *Set) Tools() []agent.Tool { return s.tools }

// Notes say what is missing, for the user and for the model.
func (s *Set) Notes() []string { return s.notes }

// Advice is what servers say of how they are to be used, for the model.
func (s *Set) Advice() []string {
	var advice []string
	for _, l := range s.links {
		if l.session == nil || l.session.InitializeResult() == nil {
			continue
		}
		if said := strings.TrimSpace(l.session.InitializeResult().Instructions); said != "" {
			advice = append(advice, fmt.Sprintf("The MCP server %s says of itself: %s", l.Name, l.hide(cut(said, maxAdviceBytes))))
		}
	}
	return advice
}

// Lookup finds the tool that a model calls by a name.
func (s *Set) Lookup(name string) (Named, bool) {
	t, ok := s.byName[name]
	return t, ok
}

// Has implements agent.Toolkit.
func (s *Set) Has(name string) bool {
	_, ok := s.byName[name]
	return ok
}

// Run implements agent.Toolkit: it sends a call to its server, once.
func (s *Set) Run(ctx context.Context, call agent.Call) (agent.Result, error) {
	arguments, err := agent.ObjectOf(call)
	if err != nil {
		return agent.Result{Status: agent.Invalid, Text: "error: " + err.Error()}, nil
	}
	tool := s.byName[call.Name]
	a, err := tool.link.call(ctx, tool.Tool, arguments)
	if err != nil || a.sent == nil {
		return a.result, err
	}
	return s.present(ctx, tool.link, call.ID, a.sent), nil
}

// Close ends all servers and waits until they have ended.
func (s *Set) Close() {
	var group errgroup.Group
	for _, l := range s.links {
		group.Go(func() error { l.close(); return nil })
	}
	_ = group.Wait() // nothing of it fails
}
