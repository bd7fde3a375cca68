package actors

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// DefaultTimeout is how long a run may take when its agent does not say.
	DefaultTimeout = 10 * time.Minute
	// maxVariables bounds the variables and secrets of one run.
	maxVariables = 500
)

// recipe is what a run's configuration is made from.
type recipe struct {
	env   state.Environment
	agent *state.Agent  // nil when none is named, or it was deleted
	told  string        // a task's computer's own instructions
	gone  state.AgentID // that was deleted
}

// configure fixes what a run works with: the message over the agent over the
// environment, sealed values staying sealed.
func (t *Threads) configure(ctx context.Context, c Caller, thread state.Thread, n NewRun) (state.RunConfig, error) {
	r, err := view(ctx, t.cluster, func(v *state.View) (recipe, error) { return readRecipe(v, c, thread, n) })
	if err != nil {
		return state.RunConfig{}, err
	}
	config := state.RunConfig{Timeout: DefaultTimeout, SetupScripts: n.SetupScripts, Files: n.Files, NoInternet: r.env.NoInternet, Instructions: r.told}
	if r.agent != nil {
		adoptAgent(&config, *r.agent)
	}
	if r.gone != "" {
		config.Notices = append(config.Notices, "Agent "+string(r.gone)+" was deleted; this run goes on without its model, instructions and tools.")
	}
	override(&config, n)
	if config.Model == "" {
		config.Model = t.models.Default()
	}
	if err := t.models.Ready(config.Model); err != nil {
		return config, err
	}
	return config, t.entrust(&config, c.Account, r, n)
}

// readRecipe reads what a run's configuration is made from; a task has no
// environment, and its computer's instructions are its own.
func readRecipe(v *state.View, c Caller, thread state.Thread, n NewRun) (r recipe, err error) {
	if thread.Task != nil {
		on, _, err := v.AnyComputer(thread.Computer) // not there yet, when it is made with the task
		r.told = on.Instructions
		return r, err
	}
	if r.env, err = v.Environment(c.Account, thread.Environment); err != nil {
		if fault.Is(err, fault.NotFound) && n.Create == nil {
			err = fault.New(fault.Conflict, "the environment of thread %s was deleted", thread.ID)
		}
		return r, err
	}
	if _, err := unbuilt(r.env); err != nil || thread.Agent == "" {
		return r, err
	}
	agent, err := v.Agent(c.Account, thread.Agent)
	if fault.Is(err, fault.NotFound) {
		r.gone = thread.Agent
		return r, nil // a deleted agent's threads go on without it
	}
	r.agent = &agent
	return r, err
}

func adoptAgent(config *state.RunConfig, a state.Agent) {
	config.Agent, config.AgentName, config.Model = a.ID, a.Name, a.Model
	config.Instructions, config.ReasoningEffort, config.Debug = a.Instructions, a.ReasoningEffort, a.Debug
	if a.Timeout > 0 {
		config.Timeout = a.Timeout
	}
	config.Workdir = workdir(a.Workspace)
}

// workdir turns a computer agent's workspace into a directory of the
// computer: /projects/x is /workspace/projects/x.
func workdir(workspace string) string {
	if workspace == "" {
		return ""
	}
	clean := path.Clean("/" + workspace)
	for _, root := range []string{"/workspace", "/home/node/workspace", "/code"} {
		if clean == root || strings.HasPrefix(clean, root+"/") {
			return "/workspace" + strings.TrimPrefix(clean, root)
		}
	}
	return path.Join("/workspace", clean)
}

func override(config *state.RunConfig, n NewRun) {
	if n.Model != "" {
		config.Model = n.Model
	}
	if n.Instructions != "" {
		config.Instructions = n.Instructions
	}
	if n.ReasoningEffort != "" {
		config.ReasoningEffort = n.ReasoningEffort
	}
	if n.InternetAccess != nil {
		config.NoInternet = !*n.InternetAccess
	}
}

// entrust adds the variables and tool servers, the later by name over the
// earlier: environment, agent, message.
func (t *Threads) entrust(config *state.RunConfig, account state.AccountID, r recipe, n NewRun) error {
	own, err := t.vault.sealPairs(account, n.Variables)
	if err != nil {
		return err
	}
	config.Variables = byName(func(s state.Sealed) string { return s.Key }, r.env.Variables, r.env.Secrets, own)
	if len(config.Variables) > maxVariables {
		return fault.New(fault.TooLarge, "a run is given %d variables and secrets; the limit is %d", len(config.Variables), maxVariables).WithField("envVars")
	}
	servers, err := t.vault.sealServers(account, n.MCPServers)
	if err != nil {
		return err
	}
	var ofAgent []state.MCPServer
	if r.agent != nil {
		ofAgent = r.agent.MCPServers
	}
	config.MCPServers = byName(func(m state.MCPServer) string { return m.Name }, r.env.MCPServers, ofAgent, servers)
	if n := len(config.MCPServers); n > mcp.MaxServers {
		return fault.New(fault.TooLarge, "a run is given %d MCP servers by its environment, agent and message; the limit is %d", n, mcp.MaxServers).WithField("mcpServers")
	}
	return nil
}

// byName merges lists: a later value takes the place of an earlier one with its name.
func byName[T any](name func(T) string, lists ...[]T) []T {
	var merged []T
	for _, list := range lists {
		for _, v := range list {
			at := slices.IndexFunc(merged, func(m T) bool { return name(m) == name(v) })
			if at < 0 {
				merged = append(merged, v)
			} else {
				merged[at] = v
			}
		}
	}
	return merged
}
