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

// enlist prepares the run's MCP servers. None is started.
func (w *work) enlist() error {
	w.kit = builtIn()
	sealed := slices.DeleteFunc(slices.Clone(w.run.Config.MCPServers), func(m state.MCPServer) bool { return m.Disabled })
	if len(sealed) == 0 {
		return nil
	}
	open, err := w.vault.openServers(w.run.Account, sealed)
	if err != nil {
		return err
	}
	servers := make([]mcp.Server, 0, len(open))
	for _, m := range open {
		servers = append(servers, mcp.Server{Name: m.Name, Command: m.Command, Args: m.Args, Env: m.Env, Cwd: m.Cwd,
			URL: m.URL, Bearer: m.Bearer, Headers: m.Headers, AllowedTools: m.AllowedTools})
	}
	w.pool = mcp.New(w.ctx, mcp.Options{Computer: w.machine.ready, Way: w.way, Version: w.version})
	w.servers = w.pool.Set(servers)
	return nil
}

// equip starts the run's servers before the first model call, which must tell
// their tools. What is missing is told to the user and to the model.
func (w *work) equip() error {
	if w.servers == nil || w.equipped {
		return nil
	}
	if err := w.servers.Start(w.ctx); err != nil {
		return w.toolless(err)
	}
	w.equipped = true
	for _, note := range w.servers.Notes() {
		w.journal.push(notice("%s", note))
	}
	w.debug("%d tools of MCP servers", len(w.servers.Tools()))
	w.kit.tools = slices.Concat(w.kit.tools, w.servers.Tools())
	w.kit.about = strings.Join(slices.Concat(w.servers.Advice(), w.servers.Notes()), "\n")
	w.grown = true
	return nil
}

// more are the tools of a run beside the built-in ones.
func (w *work) more() []agent.Toolkit {
	if w.servers == nil {
		return nil
	}
	return []agent.Toolkit{w.servers}
}

// ascribe notes on calls of servers' tools whose they are.
func (w *work) ascribe(events []state.Event) {
	for _, e := range events {
		if w.servers == nil || e.Type != state.ItemToolCall {
			continue
		}
		if tool, ok := w.servers.Lookup(e.Tool.Name); ok {
			e.Tool.Server, e.Tool.ServerTool = tool.Server, tool.Tool
		}
	}
}

// disband ends the run's servers.
func (w *work) disband() {
	if w.pool != nil {
		w.pool.Close()
	}
}
