package actors

import (
	"context"
	"fmt"
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
	// others are the agents that a task may come to, and notices what is to be
	// told of those that it cannot.
	others  []other
	notices []string

	skills  []state.RunSkill
	unknown []string // skills of the agent that were deleted
}

// configure fixes what a run works with: the message over the agent over the
// environment, sealed values staying sealed.
func (t *Threads) configure(ctx context.Context, c Caller, thread state.Thread, n NewRun) (state.RunConfig, error) {
	r, err := view(ctx, t.cluster, func(v *state.View) (recipe, error) {
		r, err := readRecipe(v, c, thread, n)
		if err == nil {
			r.skills, r.unknown, err = skillsOf(v, c.Account, r.agent, n)
		}
		return r, err
	})
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
	config.Skills = r.skills
	for _, name := range r.unknown {
		config.Notices = append(config.Notices, "The agent's skill "+name+" was deleted; this run goes on without it.")
	}
	override(&config, n)
	if config.Model == "" {
		config.Model = t.models.of(r.agent)
	}
	config.Notices = append(config.Notices, r.notices...)
	if config.Delegates, err = t.delegates(r); err != nil {
		return config, err
	}
	if err := t.models.Ready(config.Model); err != nil {
		return config, err
	}
	if config.Executor, err = t.executor(config.Model, n.Executor, r.agent); err != nil {
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
	if err == nil {
		r.others, r.notices, err = reachable(v, agent)
	}
	return r, err
}

func adoptAgent(config *state.RunConfig, a state.Agent) {
	config.Agent, config.AgentName, config.Model = a.ID, a.Name, a.Model
	config.Instructions, config.ReasoningEffort, config.Debug = a.Instructions, a.ReasoningEffort, a.Debug
	if a.Timeout > 0 {
		config.Timeout = a.Timeout
	}
	config.Workdir = workdir(a.Workspace)
	config.Handoffs = a.Handoffs
}

// other is an agent that a task may come to, with its skills.
type other struct {
	state.Agent
	skills []state.RunSkill
}

// reachable are the agents that an agent's task may come to, nearest first.
// Those that are gone, or too many, are left out, with a notice.
func reachable(v *state.View, from state.Agent) (others []other, notices []string, err error) {
	seen := map[state.AgentID]bool{from.ID: true}
	for queue := []state.Agent{from}; len(queue) > 0; queue = queue[1:] {
		for _, id := range queue[0].Handoffs {
			if seen[id] {
				continue
			}
			seen[id] = true
			a, err := v.Agent(from.Account, id)
			switch {
			case fault.Is(err, fault.NotFound):
				notices = append(notices, fmt.Sprintf("The agent %q hands tasks to an agent that was deleted (%s); that handoff is left out.", queue[0].Name, id))
				continue
			case err != nil:
				return nil, nil, err
			case len(others) == maxDelegates:
				return others, append(notices, fmt.Sprintf("A run's task may come to %d agents; handoffs to more are left out.", maxDelegates)), nil
			}
			one := other{Agent: a}
			if one.skills, _, err = skillsOf(v, from.Account, &a, NewRun{}); err != nil {
				return nil, nil, err
			}
			others, queue = append(others, one), append(queue, a)
		}
	}
	return others, notices, nil
}

// delegates are the configurations of the agents that a task may come to. Of
// the message they are given only its task, variables and secrets.
func (t *Threads) delegates(r recipe) ([]state.Delegate, error) {
	var all []state.Delegate
	for _, a := range r.others {
		config := state.RunConfig{Timeout: DefaultTimeout}
		adoptAgent(&config, a.Agent)
		if config.Model == "" {
			config.Model = t.models.of(&a.Agent)
		}
		executor, err := t.executor(config.Model, "", &a.Agent)
		if err != nil {
			return nil, err
		}
		all = append(all, state.Delegate{Agent: a.ID, Executor: executor, Skills: a.skills, Name: a.Name, Description: a.Description, Model: config.Model,
			Instructions: config.Instructions, ReasoningEffort: config.ReasoningEffort, Timeout: config.Timeout, Workdir: config.Workdir,
			MCPServers: byName(serverName, r.env.MCPServers, a.MCPServers), Handoffs: a.Handoffs})
	}
	return all, nil
}

// delegated is what a delegate works with.
func delegated(d state.Delegate) state.RunConfig {
	return state.RunConfig{Agent: d.Agent, AgentName: d.Name, Model: d.Model, Instructions: d.Instructions, ReasoningEffort: d.ReasoningEffort,
		Timeout: d.Timeout, Workdir: d.Workdir, MCPServers: d.MCPServers, Handoffs: d.Handoffs, Executor: d.Executor, Skills: d.Skills}
}

func serverName(m state.MCPServer) string { return m.Name }

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
		config.NoInternet, config.OwnInternet = !*n.InternetAccess, true
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
	config.MCPServers = byName(serverName, r.env.MCPServers, ofAgent, servers)
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
