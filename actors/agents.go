package actors

import (
	"context"
	"slices"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// maxSwaps bounds how often a change is tried again because another came first.
const maxSwaps = 10

// Agents are the stored definitions of who runs messages.
type Agents struct {
	cluster Cluster
	vault   vault
	models  Models
}

// Create stores an agent. Its model must be one of the list, and of its coding
// CLI's; whether its vendor is configured is only asked when it runs.
func (a *Agents) Create(ctx context.Context, c Caller, agent state.Agent, servers []MCPServer) (state.Agent, error) {
	agent.ID, agent.Account, agent.User = newID[state.AgentID]("agent"), c.Account, c.User
	if err := a.check(agent); err != nil {
		return agent, err
	}
	if err := a.checkSkills(ctx, c.Account, agent.EnabledSkills, nil); err != nil {
		return agent, err
	}
	sealed, err := a.vault.sealServers(c.Account, servers)
	if err != nil {
		return agent, err
	}
	agent.MCPServers = sealed
	made, err := propose[state.Made](ctx, a.cluster, state.CreateAgent{Agent: agent, Idempotency: c.Idempotency})
	if err != nil {
		return agent, err
	}
	return a.get(c.Account, state.AgentID(made.Resource.ID))
}

// Update applies change to the agent as it is now and stores it, again if
// somebody else changed it meanwhile. A nil servers leaves them as they are.
func (a *Agents) Update(ctx context.Context, c Caller, id state.AgentID, change func(*state.Agent) error, servers *[]MCPServer) (state.Agent, error) {
	for range maxSwaps {
		agent, err := view(ctx, a.cluster, func(v *state.View) (state.Agent, error) { return v.Agent(c.Account, id) })
		if err != nil {
			return agent, err
		}
		seen, had := agent.Version, agent.EnabledSkills
		if err := change(&agent); err != nil {
			return agent, err
		}
		if err := a.check(agent); err != nil {
			return agent, err
		}
		if err := a.checkSkills(ctx, c.Account, agent.EnabledSkills, had); err != nil {
			return agent, err
		}
		if servers != nil {
			if agent.MCPServers, err = a.vault.sealServers(c.Account, *servers); err != nil {
				return agent, err
			}
		}
		_, err = a.cluster.Apply(ctx, state.UpdateAgent{Agent: agent, Seen: seen})
		if isChanged(err) {
			continue
		}
		if err != nil {
			return agent, err
		}
		return a.get(c.Account, id)
	}
	return state.Agent{}, fault.New(fault.Conflict, "agent %s is changed by others all the time; try again", id)
}

// Delete removes an agent. Runs in progress keep their copy of it.
func (a *Agents) Delete(ctx context.Context, c Caller, id state.AgentID) error {
	_, err := a.cluster.Apply(ctx, state.DeleteAgent{Account: c.Account, ID: id})
	return err
}

// MCPServers opens an agent's servers for its owner.
func (a *Agents) MCPServers(agent state.Agent) ([]MCPServer, error) {
	return a.vault.openServers(agent.Account, agent.MCPServers)
}

func (a *Agents) check(agent state.Agent) error {
	if agent.Model == "" {
		return nil
	}
	if err := a.models.Listed(agent.Model); err != nil {
		return err
	}
	return a.models.fits(agent)
}

// checkSkills refuses skills that the account does not have, but for those that
// the agent had already: a deleted one does not keep it from being changed.
func (a *Agents) checkSkills(ctx context.Context, account state.AccountID, names, had []string) error {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(had, n) })
	if len(names) == 0 {
		return nil
	}
	_, err := view(ctx, a.cluster, func(v *state.View) ([]state.RunSkill, error) {
		return skillsNamed(v, account, "enabledSkills", names)
	})
	return err
}

func (a *Agents) get(account state.AccountID, id state.AgentID) (state.Agent, error) {
	return applied(a.cluster, func(v *state.View) (state.Agent, error) { return v.Agent(account, id) })
}
