package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
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

// Pool is the servers of one run, which its agents share: the same server is
// there once, whoever names it.
type Pool struct {
	Options
	life context.Context

	mu    sync.Mutex
	links []*link
}

// New makes a pool and starts nothing. Servers run until Close, or until life
// is done.
func New(life context.Context, o Options) *Pool { return &Pool{Options: o, life: life} }

// link finds the server in the pool, or adds it.
func (p *Pool) link(s Server) *link {
	s.AllowedTools = nil // a matter of who asks
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		if reflect.DeepEqual(l.Server, s) {
			return l
		}
	}
	l := &link{Server: s, pool: p, hidden: hiding(s)}
	p.links = append(p.links, l)
	return l
}

// Close ends all servers and waits until they have ended.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var group errgroup.Group
	for _, l := range p.links {
		group.Go(func() error { l.close(); return nil })
	}
	_ = group.Wait() // nothing of it fails
}

func (p *Pool) startTimeout() time.Duration {
	if p.StartTimeout > 0 {
		return p.StartTimeout
	}
	return StartTimeout
}

// Set is the servers of one agent in a run. Calls are made one at a time.
type Set struct {
	pool    *Pool
	members []member
	started bool
	tools   []agent.Tool
	byName  map[string]Named
	readers map[string]*link // servers whose resources may be read, by name
	notes   []string
}

// member is a server as one agent may use it.
type member struct {
	*link
	allowed []string // tools; none means all
}

// Set makes an agent's set and starts nothing.
func (p *Pool) Set(servers []Server) *Set {
	s := &Set{pool: p, byName: map[string]Named{}, readers: map[string]*link{}}
	for _, server := range servers {
		s.members = append(s.members, member{p.link(server), server.AllowedTools})
	}
	return s
}

// Named is a tool as its server knows it.
type Named struct {
	Server, Tool string
	link         *link
}

// NeedsComputer reports whether a server is a program.
func (s *Set) NeedsComputer() bool {
	return slices.ContainsFunc(s.members, func(m member) bool { return m.URL == "" })
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
	for _, m := range s.members {
		group.Go(func() error {
			_, err := m.ready(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.started = true
	for _, m := range s.members {
		s.take(m)
	}
	if len(s.readers) > 0 {
		s.tools = append(s.tools, readTool(slices.Sorted(maps.Keys(s.readers))))
	}
	return nil
}

// take adds a server's tools to what the model is told.
func (s *Set) take(l member) {
	if l.tools == nil {
		s.note("The MCP server %s could not be started, so its tools are missing: %s", l.Name, l.failure)
		return
	}
	// Who may use only some tools has no use for what the others lead to.
	if init := l.session.InitializeResult(); len(l.allowed) == 0 && init != nil && init.Capabilities != nil && init.Capabilities.Resources != nil {
		s.readers[l.Name] = l.link
	}
	left := 0
	missing := map[string]bool{}
	for _, name := range l.allowed {
		missing[name] = true
	}
	for _, tool := range l.tools {
		if len(l.allowed) > 0 && !slices.Contains(l.allowed, tool.Name) {
			continue
		}
		delete(missing, tool.Name)
		schema, ok := schemaOf(tool.InputSchema)
		name := toolName(l.Name, tool.Name)
		if _, taken := s.byName[name]; taken || !ok || len(s.tools) == MaxTools {
			left++
			continue
		}
		s.byName[name] = Named{l.Name, tool.Name, l.link}
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
	for _, l := range s.members {
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
	return ok || name == ReadTool && len(s.readers) > 0
}

// Run implements agent.Toolkit: it sends a call to its server, once.
func (s *Set) Run(ctx context.Context, call agent.Call) (agent.Result, error) {
	arguments, err := agent.ObjectOf(call)
	if err != nil {
		return agent.Result{Status: agent.Invalid, Text: "error: " + err.Error()}, nil
	}
	if call.Name == ReadTool {
		return s.read(ctx, call.ID, arguments)
	}
	tool := s.byName[call.Name]
	return s.ask(ctx, tool.link, call.ID, tool.Tool, func(ctx context.Context, session *sdk.ClientSession) (*sdk.CallToolResult, error) {
		return session.CallTool(ctx, &sdk.CallToolParams{Name: tool.Tool, Arguments: arguments})
	})
}

// ask sends a call to a server and presents its answer.
func (s *Set) ask(ctx context.Context, l *link, id, what string, send func(context.Context, *sdk.ClientSession) (*sdk.CallToolResult, error)) (agent.Result, error) {
	a, err := l.call(ctx, what, send)
	if err != nil || a.sent == nil {
		return a.result, err
	}
	return s.present(ctx, l, id, a.sent), nil
}
