package computeragents

import (
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Bounds of an agent's execution.
const (
	defaultTimeout = 10 * time.Minute
	minTimeout     = time.Second
	maxTimeout     = 24 * time.Hour
	maxHandoffs    = 32
)

// newAgent makes an agent of what a client sent, or says what is wrong with it.
func newAgent(req wire.WriteAgent) (state.Agent, error) {
	agent := state.Agent{Timeout: defaultTimeout}
	if req.Name.Value == "" {
		return agent, unprocessable("name", "Missing required field: name")
	}
	if req.Model.Value == "" && req.Workspace.Value == "" {
		return agent, unprocessable("model", "Either 'model' or 'workspace' must be provided")
	}
	var err error
	if agent.Type, err = agentType(req); err != nil {
		return agent, err
	}
	err = writeAgent(&agent, req)
	return agent, err
}

func unprocessable(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField(field).WithCode(codeValidation)
}

// agentType is what the client says, or what it gives: a workspace makes a
// computer agent, a model alone an llm agent. Contradictions are refused.
func agentType(req wire.WriteAgent) (state.AgentType, error) {
	workspace := req.Workspace.Value != ""
	switch state.AgentType(req.AgentType.Value) {
	case "":
		if workspace {
			return state.AgentComputer, nil
		}
		return state.AgentLLM, nil
	case state.AgentLLM:
		if workspace {
			return "", invalid("agentType", "agentType llm contradicts workspace: an llm agent has none")
		}
		return state.AgentLLM, nil
	case state.AgentComputer:
		if !workspace {
			return "", invalid("agentType", "agentType computer needs a workspace")
		}
		return state.AgentComputer, nil
	}
	return "", unprocessable("agentType", "agentType must be llm or computer")
}

// changeAgent applies a PATCH to an agent as it is.
func changeAgent(agent *state.Agent, req wire.WriteAgent) error {
	if req.Name.Set && req.Name.Value == "" {
		return unprocessable("name", "name must not be empty")
	}
	if req.Workspace.Value != "" && agent.Type == state.AgentLLM {
		return invalid("workspace", "workspace is for computer agents; this is an llm agent")
	}
	if req.AgentType.Given() && state.AgentType(req.AgentType.Value) != agent.Type {
		return invalid("agentType", "agentType cannot change: this is a %s agent", agent.Type)
	}
	if err := writeAgent(agent, req); err != nil {
		return err
	}
	switch {
	case agent.Type == state.AgentLLM && agent.Model == "":
		return unprocessable("model", "an llm agent needs a model")
	case agent.Type == state.AgentComputer && agent.Workspace == "":
		return unprocessable("workspace", "a computer agent needs a workspace")
	}
	return nil
}

// writeAgent takes over every field that the request has.
func writeAgent(agent *state.Agent, req wire.WriteAgent) error {
	for _, f := range []struct {
		field string
		from  wire.Optional[string]
		into  *string
		check func(field, text string) error
	}{
		{"name", req.Name, &agent.Name, name},
		{"description", req.Description, &agent.Description, long},
		{"model", req.Model, &agent.Model, name},
		{"workspace", req.Workspace, &agent.Workspace, workspacePath},
		{"instructions", req.Instructions, &agent.Instructions, long},
		{"reasoningEffort", req.ReasoningEffort, &agent.ReasoningEffort, effort},
		{"binary", req.Binary, &agent.Binary, name},
		{"deepResearchModel", req.DeepResearchModel, &agent.ResearchModel, name},
		{"appId", req.AppID, &agent.App, name},
	} {
		if !f.from.Set {
			continue
		}
		if err := f.check(f.field, f.from.Value); err != nil {
			return badUnless(f.field == "workspace", err)
		}
		*f.into = f.from.Value
	}
	return writeAgentLists(agent, req)
}

// badUnless makes a wrong field a validation error, but for those that are a
// bad request.
func badUnless(bad bool, err error) error {
	if bad {
		return err
	}
	return validation(err)
}

func writeAgentLists(agent *state.Agent, req wire.WriteAgent) error {
	if req.Metadata.Set {
		m, err := object("metadata", req.Metadata.Value)
		if err != nil {
			return validation(err)
		}
		agent.Metadata = m
	}
	if req.EnabledSkills.Set {
		if err := names("enabledSkills", req.EnabledSkills.Value); err != nil {
			return validation(err)
		}
		agent.EnabledSkills = req.EnabledSkills.Value
	}
	if req.Handoffs.Set {
		if err := handoffs(agent, req.Handoffs.Value); err != nil {
			return validation(err)
		}
	}
	return execution(agent, req.Execution)
}

func handoffs(agent *state.Agent, list []string) error {
	if len(list) > maxHandoffs {
		return invalid("handoffs", "handoffs must have at most %d items", maxHandoffs)
	}
	agent.Handoffs = nil
	for i, id := range list {
		at := fmt.Sprintf("handoffs[%d]", i)
		if id == "" || identifier(at, id) != nil {
			return invalid(at, "%s is not an agent's id", at)
		}
		agent.Handoffs = append(agent.Handoffs, state.AgentID(id))
	}
	return nil
}

func execution(agent *state.Agent, req wire.Optional[wire.WriteExecution]) error {
	if !req.Set {
		return nil
	}
	if req.Null {
		agent.Debug, agent.Timeout = false, defaultTimeout
		return nil
	}
	if t := req.Value.Timeout; t != nil {
		// Compared as numbers: a large one would overflow a duration.
		if *t < minTimeout.Milliseconds() || *t > maxTimeout.Milliseconds() {
			return invalid("execution.timeout", "execution.timeout must be %d to %d milliseconds", minTimeout.Milliseconds(), maxTimeout.Milliseconds())
		}
		agent.Timeout = time.Duration(*t) * time.Millisecond
	}
	if req.Value.Debug != nil {
		agent.Debug = *req.Value.Debug
	}
	return nil
}

// workspacePath refuses a working directory that leaves the workspace.
func workspacePath(field, path string) error {
	for _, part := range strings.Split(path, "/") {
		if part == ".." {
			return invalid(field, "%s must not contain ..", field)
		}
	}
	return name(field, path)
}
