package executor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// codexHome is where codex keeps its sessions: in the workspace, so that they
// go where that goes.
const codexHome = "/workspace/.bothy/codex"

var codex = Executor{
	Name: "codex", Packages: []string{"@openai/codex@0.169.0"}, Native: "@openai/codex-linux-*/vendor/*/bin/codex",
	Protocols: []catalog.Protocol{catalog.OpenAI}, Command: codexCommand, Listen: func() Listener { return &codexTurn{} },
}

func codexCommand(t Turn) Command {
	// The computer is the sandbox; codex cannot make one inside it.
	argv := []string{t.Program, "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
		"-C", t.Dir, "-m", t.Model}
	set := func(key string, value any) {
		argv = append(argv, "-c", key+"="+toml(value))
	}
	set("model_provider", "bothy")
	set("model_providers.bothy.name", "Bothy")
	set("model_providers.bothy.base_url", t.Gateway+"/v1")
	set("model_providers.bothy.env_key", TokenVariable)
	set("model_providers.bothy.wire_api", "responses")
	set("model_context_window", t.WindowTokens)
	set("web_search", "disabled") // a tool of the vendor's
	set("check_for_update_on_startup", false)
	set("analytics.enabled", false)
	servers := keyed(t.Servers)
	for _, key := range slices.Sorted(maps.Keys(servers)) {
		set("mcp_servers."+key+".url", servers[key].URL)
		set("mcp_servers."+key+".bearer_token_env_var", TokenVariable)
		set("mcp_servers."+key+".tool_timeout_sec", toolTime)
	}
	if t.Effort != "" {
		set("model_reasoning_effort", string(t.Effort))
	}
	if t.Instructions != "" {
		set("developer_instructions", t.Instructions)
	}
	if t.Session != "" {
		argv = append(argv, "resume", t.Session)
	}
	return Command{Argv: append(argv, "-"), Env: []string{"CODEX_HOME=" + codexHome}, Dirs: []string{codexHome}, Stdin: t.Prompt}
}

// toml is a value as codex reads one: of strings and numbers JSON's form is
// TOML's too.
func toml(value any) string {
	b, err := json.Marshal(value)
	if err != nil { // strings, numbers and booleans always have a JSON form
		return `""`
	}
	return string(b)
}

// codexTurn reads what `codex exec --json` prints.
type codexTurn struct{ begun map[string]bool }

type codexEvent struct {
	Type     string     `json:"type"`
	ThreadID string     `json:"thread_id"`
	Item     *codexItem `json:"item"`
	Message  string     `json:"message"`
	Error    *struct {
		Message string `json:"message"`
	} `json:"error"`
}

type codexItem struct {
	ID               string          `json:"id"`
	Type             string          `json:"type"`
	Text             string          `json:"text"`
	Message          string          `json:"message"`
	Command          string          `json:"command"`
	AggregatedOutput string          `json:"aggregated_output"`
	ExitCode         *int            `json:"exit_code"`
	Status           string          `json:"status"`
	Changes          []codexChange   `json:"changes"`
	Server           string          `json:"server"`
	Tool             string          `json:"tool"`
	Arguments        json.RawMessage `json:"arguments"`
	Result           json.RawMessage `json:"result"`
	Error            *struct {
		Message string `json:"message"`
	} `json:"error"`
	Query string          `json:"query"`
	Items json.RawMessage `json:"items"`
}

type codexChange struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
}

// Line implements Listener.
func (c *codexTurn) Line(line []byte) []Said {
	var e codexEvent
	if json.Unmarshal(line, &e) != nil {
		return []Said{{Warning: "codex printed no event: " + clip(string(line))}}
	}
	switch {
	case e.Type == "thread.started" && e.ThreadID != "":
		return []Said{{Session: e.ThreadID}}
	case e.Type == "turn.failed" && e.Error != nil:
		return []Said{{Failure: e.Error.Message}}
	case e.Type == "error":
		return []Said{{Warning: e.Message}} // turn.failed follows if it was the end
	case e.Item == nil:
		return nil
	case e.Type == "item.started":
		return c.begin(*e.Item)
	case e.Type == "item.completed":
		return c.complete(*e.Item)
	}
	return nil
}

// begin tells of calls when they start; everything else is told whole.
func (c *codexTurn) begin(i codexItem) []Said {
	name, arguments := i.call()
	if name == "" || c.begun[i.ID] {
		return nil
	}
	if c.begun == nil {
		c.begun = map[string]bool{}
	}
	c.begun[i.ID] = true
	return []Said{called(i.ID, name, arguments)}
}

func (c *codexTurn) complete(i codexItem) []Said {
	switch i.Type {
	case "agent_message":
		return text(i.ID, i.Text)
	case "reasoning":
		return thought(i.ID, i.Text)
	case "error":
		return []Said{{Warning: i.Message}}
	}
	said := c.begin(i)
	if !c.begun[i.ID] {
		return nil
	}
	return append(said, resulted(i.ID, i.result()))
}

// call is an item as a call of a tool; the name is "" for what is none.
func (i codexItem) call() (name, arguments string) {
	switch i.Type {
	case "command_execution":
		return "shell", object("command", i.Command)
	case "file_change":
		return "apply_patch", object("changes", i.Changes)
	case "mcp_tool_call":
		if len(i.Arguments) == 0 {
			return i.Server + "." + i.Tool, "{}"
		}
		return i.Server + "." + i.Tool, string(i.Arguments)
	case "web_search":
		return "web_search", object("query", i.Query)
	case "todo_list":
		if len(i.Items) > 0 {
			return "update_plan", object("items", i.Items)
		}
	}
	return "", ""
}

func (i codexItem) result() agent.Result {
	r := agent.Result{Status: agent.Done, Text: i.AggregatedOutput, ExitCode: i.ExitCode}
	if i.Status == "failed" || i.Status == "declined" {
		r.Status = agent.Failed
	}
	if len(i.Result) > 0 && string(i.Result) != "null" {
		r.Text = string(i.Result)
	}
	if i.Error != nil {
		r.Status, r.Text = agent.Failed, i.Error.Message
	}
	if i.Type == "command_execution" && i.ExitCode != nil {
		r.Text += fmt.Sprintf("\n[exit code %d]", *i.ExitCode)
	}
	if r.Status != agent.Done {
		return r
	}
	for _, change := range i.Changes {
		kind := map[string]agent.ChangeKind{"add": agent.Created, "delete": agent.Deleted, "update": agent.Modified}[change.Kind]
		if kind != "" {
			r.Changes = append(r.Changes, agent.Change{Path: change.Path, Kind: kind})
		}
	}
	return r
}

// object is a JSON object of one member.
func object(name string, value any) string {
	b, err := json.Marshal(map[string]any{name: value})
	if err != nil { // what was read as JSON can be written as JSON
		return "{}"
	}
	return string(b)
}

// maxWarningBytes bounds what is repeated of output that makes no sense.
const maxWarningBytes = 500

func clip(text string) string { return text[:min(len(text), maxWarningBytes)] }
