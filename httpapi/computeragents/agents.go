package computeragents

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) agentRoutes() []door.Route {
	read, write := []string{"agents:read"}, []string{"agents:write"}
	return []door.Route{
		{Method: "GET", Path: "/agents", Scopes: read, Serve: a.Handle(a.listAgents)},
		{Method: "POST", Path: "/agents", Scopes: write, Serve: a.Handle(a.createAgent)},
		{Method: "GET", Path: "/agents/:id", Scopes: read, Serve: a.Handle(a.getAgent)},
		{Method: "PATCH", Path: "/agents/:id", Scopes: write, Serve: a.Handle(a.patchAgent)},
		{Method: "DELETE", Path: "/agents/:id", Scopes: write, Serve: a.Handle(a.deleteAgent)},
	}
}

// listAgents serves GET /agents.
func (a *API) listAgents(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	var keep func(state.Agent) bool
	if app := c.Query("appId"); app != "" {
		keep = func(agent state.Agent) bool { return agent.App == app }
	}
	var list state.List[state.Agent]
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Agents(door.CallerOf(c).Account, page, keep)
		return err
	})
	if err != nil {
		return err
	}
	reply := wire.ListOf([]wire.Agent{}, list.HasMore(page), list.Total)
	for _, agent := range list.Items {
		one, err := a.agentOf(agent)
		if err != nil {
			return err
		}
		reply.Data = append(reply.Data, one)
	}
	a.ok(c, reply)
	return nil
}

// createAgent serves POST /agents.
func (a *API) createAgent(c *gin.Context) error {
	var req wire.WriteAgent
	if err := validation(a.Read(c, &req)); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	agent, err := newAgent(req)
	if err != nil {
		return err
	}
	mcp, err := servers(req.MCPServers.Value)
	if err != nil {
		return err
	}
	agent, err = a.Agents.Create(c.Request.Context(), caller, agent, mcp)
	if err != nil {
		return err
	}
	return a.replyAgent(c, http.StatusCreated, agent)
}

func (a *API) replyAgent(c *gin.Context, status int, agent state.Agent) error {
	w, err := a.agentOf(agent)
	if err == nil {
		c.JSON(status, wire.OneAgent{Agent: w})
	}
	return err
}

// getAgent serves GET /agents/:id.
func (a *API) getAgent(c *gin.Context) error {
	id, err := door.ID(c, "id", "Agent")
	if err != nil {
		return err
	}
	agent, err := get(a, c, func(v *state.View, account state.AccountID) (state.Agent, error) {
		return v.Agent(account, state.AgentID(id))
	})
	if err != nil {
		return err
	}
	return a.replyAgent(c, http.StatusOK, agent)
}

// patchAgent serves PATCH /agents/:id.
func (a *API) patchAgent(c *gin.Context) error {
	id, err := door.ID(c, "id", "Agent")
	if err != nil {
		return err
	}
	var req wire.WriteAgent
	if err := validation(a.Read(c, &req)); err != nil {
		return err
	}
	var mcp *[]actors.MCPServer
	if req.MCPServers.Set {
		list, err := servers(req.MCPServers.Value)
		if err != nil {
			return err
		}
		mcp = &list
	}
	change := func(agent *state.Agent) error { return changeAgent(agent, req) }
	agent, err := a.Agents.Update(c.Request.Context(), door.CallerOf(c), state.AgentID(id), change, mcp)
	if err != nil {
		return err
	}
	return a.replyAgent(c, http.StatusOK, agent)
}

// deleteAgent serves DELETE /agents/:id. Threads that used it go on without.
func (a *API) deleteAgent(c *gin.Context) error {
	id, err := door.ID(c, "id", "Agent")
	if err != nil {
		return err
	}
	if err := a.Agents.Delete(c.Request.Context(), door.CallerOf(c), state.AgentID(id)); err != nil {
		return err
	}
	a.ok(c, wire.Done{Success: true, Deleted: true})
	return nil
}

// validation turns a field of a wrong type into what the agents' pages call a
// validation error; tool servers and execution stay bad requests.
func validation(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field == "" || f.Code != "" {
		return err
	}
	for _, bad := range []string{"mcpServers", "execution"} {
		if strings.HasPrefix(f.Field, bad) {
			return err
		}
	}
	return f.WithCode(codeValidation)
}

// agentOf is an agent on the wire, for its owner.
func (a *API) agentOf(agent state.Agent) (wire.Agent, error) {
	mcp, err := a.Agents.MCPServers(agent)
	if err != nil {
		return wire.Agent{}, err
	}
	w := wire.Agent{
		ID: string(agent.ID), UserID: string(agent.User), Name: agent.Name, Description: maybe(agent.Description),
		AgentType: string(agent.Type), Model: agent.Model, Workspace: agent.Workspace, Instructions: maybe(agent.Instructions),
		MCPServers: serversOf(mcp), Execution: wire.Execution{Debug: agent.Debug, Timeout: agent.Timeout.Milliseconds()},
		Handoffs: []string{}, Metadata: rawObject(agent.Metadata), ReasoningEffort: agent.ReasoningEffort,
		EnabledSkills: some(agent.EnabledSkills), Binary: agent.Binary, DeepResearchModel: agent.ResearchModel,
		AppID: maybe(agent.App), IsActive: true, CreatedAt: wire.At(agent.CreatedAt), UpdatedAt: wire.At(agent.UpdatedAt),
	}
	for _, id := range agent.Handoffs {
		w.Handoffs = append(w.Handoffs, string(id))
	}
	return w, nil
}

// some is never null.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
