package actors

import (
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/cluster/state"
)

// kit is what a model works with beside its transcript.
type kit struct {
	tools []agent.Tool
	about string // what is to be known of the tools, beside their descriptions
}

// builtIn is the kit of a run without servers.
func builtIn() kit { return kit{tools: agent.Tools()} }

// enlist prepares the agent's MCP servers. None is started.
func (s *stint) enlist() error {
	sealed := slices.DeleteFunc(slices.Clone(s.config.MCPServers), func(m state.MCPServer) bool { return m.Disabled })
	if len(sealed) == 0 {
		return nil
	}
	open, err := s.vault.openServers(s.run.Account, sealed)
	if err != nil {
		return err
	}
	servers := make([]mcp.Server, 0, len(open))
	for _, m := range open {
		server := mcp.Server{Name: m.Name, URL: m.URL, Bearer: m.Bearer, Headers: m.Headers, AllowedTools: m.AllowedTools}
		if m.URL == "" {
			server.Command, server.Args, server.Env, server.Cwd = m.Command, m.Args, m.Env, inDir(s.config.Workdir, m.Cwd)
		}
		servers = append(servers, server)
	}
	s.servers = s.pool.Set(servers)
	return nil
}

// equip starts the agent's servers before its first model call, which must
// tell their tools. What is missing is told to the user and to the model.
func (s *stint) equip() error {
	if s.servers == nil || s.equipped {
		return nil
	}
	if s.config.Workdir != "" && s.servers.NeedsComputer() {
		if _, err := s.computer(s.ctx); err != nil { // it makes the directory that they start in
			return s.toolless(err)
		}
	}
	if err := s.servers.Start(s.ctx); err != nil {
		return s.toolless(err)
	}
	s.equipped = true
	for _, note := range s.servers.Notes() {
		s.journal.push(s.voice.said(notice("%s", note)))
	}
	s.debug("%d tools of MCP servers", len(s.servers.Tools()))
	s.kit.tools = slices.Concat(s.kit.tools, s.servers.Tools())
	s.kit.about = strings.Join(slices.Concat(s.servers.Advice(), s.servers.Notes()), "\n")
	s.grown = true
	return nil
}

// more are the agent's tools beside the built-in ones.
func (s *stint) more() []agent.Toolkit {
	if s.servers == nil {
		return nil
	}
	return []agent.Toolkit{s.servers}
}

// ascribe notes on calls of servers' tools whose they are.
func (s *stint) ascribe(events []state.Event) {
	for _, e := range events {
		if s.servers == nil || e.Type != state.ItemToolCall {
			continue
		}
		if tool, ok := s.servers.Lookup(e.Tool.Name); ok {
			e.Tool.Server, e.Tool.ServerTool = tool.Server, tool.Tool
		}
	}
}
