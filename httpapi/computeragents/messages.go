package computeragents

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// listMessages serves GET /threads/:id/messages.
func (a *API) listMessages(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	order := c.DefaultQuery("order", "asc")
	if order != "asc" && order != "desc" {
		return invalid("order", "order must be asc or desc")
	}
	list, err := get(a, c, func(v *state.View, account state.AccountID) (state.List[state.Message], error) {
		t, err := v.Thread(account, id)
		if err != nil {
			return state.List[state.Message]{}, err
		}
		if err := a.Owner(c, v, t.Computer); err != nil {
			return state.List[state.Message]{}, err
		}
		return v.Messages(account, id, page, order == "desc")
	})
	if err != nil {
		return err
	}
	a.ok(c, listOf(list, page, messageOf))
	return nil
}

func messageOf(m state.Message) wire.Message {
	return wire.Message{
		ID: string(m.ID), ThreadID: string(m.Thread), Role: m.Role, Content: m.Content, RunID: maybe(m.Run),
		Attachments: m.Attachments, Metadata: json.RawMessage("{}"), Timestamp: wire.At(m.CreatedAt), CreatedAt: wire.At(m.CreatedAt),
	}
}

// postMessage serves POST /threads/:id/messages: a run, always streamed.
func (a *API) postMessage(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	var req wire.PostMessage
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	content := req.Content
	if content == "" {
		content = req.Task
	}
	run, err := a.newRun(req, content, "content")
	if err != nil {
		return err
	}
	run.Thread = id
	return a.stream(c, caller, run)
}

// newRun checks what a message asks for.
func (a *API) newRun(req wire.PostMessage, content, field string) (actors.NewRun, error) {
	run := actors.NewRun{Content: content, SetupScripts: req.SetupScripts, InternetAccess: req.InternetAccess}
	if strings.TrimSpace(content) == "" {
		return run, invalid(field, "Missing required field: %s", field)
	}
	if len(content) > state.MaxMessageBytes {
		return run, fault.New(fault.TooLarge, "%s is %d bytes; the limit is %d", field, len(content), state.MaxMessageBytes).WithField(field)
	}
	var err error
	if run.Variables, err = variables(req); err != nil {
		return run, err
	}
	if err := scripts("setupScripts", req.SetupScripts); err != nil {
		return run, err
	}
	if err := names("enabledSkills", req.EnabledSkills); err != nil {
		return run, err
	}
	run.Skills = req.EnabledSkills
	if run.MCPServers, err = servers(req.MCPServers); err != nil {
		return run, err
	}
	if run.Attachments, err = attachments(req.Attachments); err != nil {
		return run, err
	}
	err = a.override(&run, req.AgentConfig)
	return run, err
}

// override takes over what the message says of its agent.
func (a *API) override(run *actors.NewRun, config *wire.AgentConfig) error {
	if config == nil {
		return nil
	}
	if config.Model != "" {
		if err := a.Models.Listed(config.Model); err != nil {
			return err
		}
		if err := a.Models.Ready(config.Model); err != nil {
			return err
		}
	}
	if err := effort("agentConfig.reasoningEffort", config.ReasoningEffort); err != nil {
		return err
	}
	if err := long("agentConfig.instructions", config.Instructions); err != nil {
		return err
	}
	run.Model, run.Instructions, run.ReasoningEffort = config.Model, config.Instructions, config.ReasoningEffort
	return nil
}

// variables are a message's envVars and secrets, in a fixed order: secrets win.
func variables(req wire.PostMessage) ([]actors.KeyValue, error) {
	var all []wire.KeyValue
	for _, k := range sorted(req.EnvVars) {
		all = append(all, wire.KeyValue{Key: k, Value: req.EnvVars[k]})
	}
	if err := pairs("envVars", all, byName); err != nil {
		return nil, err
	}
	if err := pairs("secrets", req.Secrets, byIndex); err != nil {
		return nil, err
	}
	var out []actors.KeyValue
	for _, kv := range append(all, req.Secrets...) {
		out = append(out, actors.KeyValue{Key: kv.Key, Value: kv.Value})
	}
	return out, nil
}

// maxMessages bounds the messages that a new thread begins with.
const maxMessages = 100

// newThread checks what POST /threads asks for. run is nil when there is
// nothing to run.
func (a *API) newThread(req wire.CreateThread) (thread actors.NewThread, run *actors.NewRun, err error) {
	for _, f := range []struct{ field, id string }{{"environmentId", req.EnvironmentID}, {"agentId", req.AgentID}} {
		if err := identifier(f.field, f.id); err != nil {
			return thread, nil, err
		}
	}
	for _, f := range []struct{ field, text string }{{"title", req.Title}, {"appId", req.AppID}} {
		if err := name(f.field, f.text); err != nil {
			return thread, nil, err
		}
	}
	metadata, err := object("metadata", req.Metadata)
	if err != nil {
		return thread, nil, err
	}
	thread = actors.NewThread{Environment: state.EnvironmentID(req.EnvironmentID), Agent: state.AgentID(req.AgentID),
		Title: req.Title, App: req.AppID, Metadata: metadata}
	content, field, err := firstMessage(req)
	if err != nil || field == "" {
		return thread, nil, err
	}
	made, err := a.newRun(req.PostMessage, content, field)
	made.Create = &thread
	return thread, &made, err
}

// firstMessage is what a new thread's first run answers, and the field it came
// in; no field when there is nothing to run.
func firstMessage(req wire.CreateThread) (content, field string, err error) {
	switch {
	case len(req.Messages) > maxMessages:
		return "", "", invalid("messages", "messages must have at most %d items", maxMessages)
	case len(req.Messages) > 0:
		content, err = conversation(req.Messages)
		return content, "messages", err
	case req.Content != "":
		return req.Content, "content", nil
	case req.Task != "":
		return req.Task, "task", nil
	}
	return "", "", nil
}

// conversation makes one message of several: the last one is the request, what
// came before it is told as such.
func conversation(said []wire.Said) (string, error) {
	for i, m := range said {
		if m.Role != "" && m.Role != "user" && m.Role != "assistant" && m.Role != "system" {
			field := fmt.Sprintf("messages[%d].role", i)
			return "", invalid(field, "%s must be user, assistant or system", field)
		}
		if strings.TrimSpace(m.Content) == "" {
			field := fmt.Sprintf("messages[%d].content", i)
			return "", invalid(field, "Missing required field: %s", field)
		}
	}
	last := said[len(said)-1]
	if last.Role != "" && last.Role != "user" {
		field := fmt.Sprintf("messages[%d].role", len(said)-1)
		return "", invalid(field, "%s must be user: the last message is what the run answers", field)
	}
	if len(said) == 1 {
		return last.Content, nil
	}
	var b strings.Builder
	b.WriteString("The conversation so far:\n\n")
	for _, m := range said[:len(said)-1] {
		role := m.Role
		if role == "" {
			role = "user"
		}
		fmt.Fprintf(&b, "%s: %s\n\n", role, m.Content)
	}
	b.WriteString("Now:\n\n" + last.Content)
	return b.String(), nil
}
