package executor

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// claudeHome is where claude keeps its sessions.
const claudeHome = "/workspace/.bothy/claude"

var claude = Executor{
	Name: "claude", Packages: []string{"@anthropic-ai/claude-code@2.1.332"}, Native: "@anthropic-ai/claude-code-linux-*/claude",
	Protocols: []catalog.Protocol{catalog.Anthropic}, Command: claudeCommand, Listen: func() Listener { return &claudeTurn{} },
}

func claudeCommand(t Turn) Command {
	argv := []string{t.Program, "-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "bypassPermissions", "--model", t.Model}
	switch t.Effort {
	case agent.Low, agent.Medium, agent.High:
		argv = append(argv, "--effort", string(t.Effort))
	case agent.Minimal:
		argv = append(argv, "--effort", string(agent.Low))
	}
	if t.Instructions != "" {
		argv = append(argv, "--append-system-prompt", t.Instructions)
	}
	if t.Session != "" {
		argv = append(argv, "--resume", t.Session)
	}
	env := []string{
		"CLAUDE_CONFIG_DIR=" + claudeHome, "ANTHROPIC_BASE_URL=" + t.Gateway, "ANTHROPIC_AUTH_TOKEN=" + t.Token, "ANTHROPIC_API_KEY=",
		// Its small tasks are for the run's model too: there is no other.
		"ANTHROPIC_DEFAULT_HAIKU_MODEL=" + t.Model, "ANTHROPIC_SMALL_FAST_MODEL=" + t.Model, "CLAUDE_CODE_SUBAGENT_MODEL=" + t.Model,
		"CLAUDE_CODE_MAX_OUTPUT_TOKENS=" + strconv.FormatInt(t.MaxOutput, 10),
		"MCP_TOOL_TIMEOUT=" + strconv.Itoa(toolTime*1000),
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1",
	}
	if len(t.Servers) > 0 {
		argv = append(argv, "--mcp-config", claudeServers(t.Servers))
		env = append(env, "ENABLE_TOOL_SEARCH=false") // which not every server of the vendor's format knows
	}
	return Command{Argv: argv, Stdin: t.Prompt, Dirs: []string{claudeHome}, Env: env}
}

// claudeServers is a configuration of servers; the token is filled in by the
// CLI.
func claudeServers(servers []Server) string {
	type object = map[string]any
	all := object{}
	for key, s := range keyed(servers) {
		all[key] = object{"type": "http", "url": s.URL, "headers": object{"Authorization": "Bearer ${" + TokenVariable + "}"}}
	}
	written, err := json.Marshal(object{"mcpServers": all})
	if err != nil { // strings always have a JSON form
		return "{}"
	}
	return string(written)
}

// claudeTurn reads what `claude -p --output-format stream-json` prints.
type claudeTurn struct{ calls map[string]bool }

type claudeEvent struct {
	Type    string          `json:"type"`
	Subtype string          `json:"subtype"`
	Session string          `json:"session_id"`
	UUID    string          `json:"uuid"`
	Parent  string          `json:"parent_tool_use_id"`
	Message json.RawMessage `json:"message"`
	IsError bool            `json:"is_error"`
	Result  string          `json:"result"`
	// Used is what a tool tells beside its result; often it is no object.
	Used json.RawMessage `json:"tool_use_result"`
}

type claudeBlock struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Thinking string          `json:"thinking"`
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Input    json.RawMessage `json:"input"`
	Call     string          `json:"tool_use_id"`
	Content  json.RawMessage `json:"content"`
	IsError  bool            `json:"is_error"`
}

// Line implements Listener.
func (c *claudeTurn) Line(line []byte) []Said {
	var e claudeEvent
	if json.Unmarshal(line, &e) != nil {
		return []Said{{Warning: "claude printed no event: " + clip(string(line))}}
	}
	switch {
	case e.Type == "system" && e.Subtype == "init" && e.Session != "":
		return []Said{{Session: e.Session}}
	case e.Type == "result" && (e.IsError || e.Subtype != "success"):
		if e.Result == "" {
			e.Result = e.Subtype
		}
		return []Said{{Failure: e.Result}}
	case e.Type != "assistant" && e.Type != "user":
		return nil
	}
	var m struct {
		Content []claudeBlock `json:"content"`
	}
	if json.Unmarshal(e.Message, &m) != nil {
		return nil // words of a user's, which are known
	}
	var said []Said
	for i, b := range m.Content {
		said = append(said, c.block(e, fmt.Sprintf("%s_%d", e.UUID, i), b)...)
	}
	return said
}

// block is one block of a message. What a sub-agent says is for its caller; what
// it does is told.
func (c *claudeTurn) block(e claudeEvent, id string, b claudeBlock) []Said {
	switch {
	case b.Type == "tool_use" && b.ID != "" && !c.calls[b.ID]:
		if c.calls == nil {
			c.calls = map[string]bool{}
		}
		c.calls[b.ID] = true
		arguments := string(b.Input)
		if arguments == "" {
			arguments = "{}"
		}
		return []Said{called(b.ID, claudeTool(b.Name), arguments)}
	case b.Type == "tool_result" && c.calls[b.Call]:
		return []Said{resulted(b.Call, b.result(e.Used))}
	case e.Type != "assistant" || e.Parent != "":
		return nil
	case b.Type == "text":
		return text(id, b.Text)
	case b.Type == "thinking":
		return thought(id, b.Thinking)
	}
	return nil
}

// claudeTool is the loop's name for a tool that is the same.
func claudeTool(name string) string {
	if name == "Bash" {
		return "shell"
	}
	return name
}

func (b claudeBlock) result(used json.RawMessage) agent.Result {
	r := agent.Result{Status: agent.Done}
	if b.IsError {
		r.Status = agent.Failed
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(b.Content, &r.Text) != nil && json.Unmarshal(b.Content, &parts) == nil {
		var words []string
		for _, p := range parts {
			words = append(words, p.Text)
		}
		r.Text = strings.Join(words, "\n")
	}
	var file struct {
		Type string `json:"type"`
		Path string `json:"filePath"`
		// Before is set by edits, which tell no type.
		Before *string `json:"originalFile"`
	}
	if b.IsError || json.Unmarshal(used, &file) != nil || file.Path == "" {
		return r
	}
	switch {
	case file.Type == "create":
		r.Changes = []agent.Change{{Path: file.Path, Kind: agent.Created}}
	case file.Type == "update" || file.Type == "" && file.Before != nil:
		r.Changes = []agent.Change{{Path: file.Path, Kind: agent.Modified}}
	}
	return r
}
