package executor

import (
	"encoding/json"
	"path"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
)

// opencodeHome is where opencode keeps its sessions.
const opencodeHome = "/workspace/.bothy/opencode"

var opencode = Executor{
	Name: "opencode", Packages: []string{"opencode-ai@1.18.33"}, Native: "opencode-linux-*/bin/opencode",
	Protocols: []catalog.Protocol{catalog.OpenAIChat, catalog.OpenAI, catalog.Anthropic, catalog.Google}, Command: opencodeCommand, Listen: func() Listener { return &opencodeTurn{} },
}

func opencodeCommand(t Turn) Command {
	model := "bothy/" + t.Model
	argv := []string{t.Program, "run", "--format", "json", "--thinking", "--auto", "--model", model}
	if t.Session != "" {
		argv = append(argv, "--session", t.Session)
	}
	client, root := "@ai-sdk/openai-compatible", "/v1"
	switch t.Protocol {
	case catalog.Anthropic:
		client = "@ai-sdk/anthropic"
	case catalog.Google:
		client, root = "@ai-sdk/google", "/v1beta"
	}
	type object = map[string]any
	told := path.Join(opencodeHome, "instructions", t.Conversation+".md")
	config := object{
		"instructions": []string{told},
		"autoupdate":   false, "share": "disabled", "enabled_providers": []string{"bothy"}, "model": model, "small_model": model,
		"permission": "allow",
		"provider": object{"bothy": object{"npm": client, "name": "Bothy",
			"options": object{"baseURL": t.Gateway + root, "apiKey": "{env:" + TokenVariable + "}"},
			"models":  object{t.Model: object{"name": t.Model, "tool_call": true, "limit": object{"context": t.WindowTokens, "output": t.MaxOutput}}},
		}},
	}
	servers := object{}
	for key, s := range keyed(t.Servers) {
		servers[key] = object{"type": "remote", "url": s.URL, "enabled": true, "oauth": false, "timeout": toolTime * 1000,
			"headers": object{"Authorization": "Bearer {env:" + TokenVariable + "}"}}
	}
	config["mcp"] = servers
	written, err := json.Marshal(config)
	if err != nil { // strings, numbers and booleans always have a JSON form
		written = []byte("{}")
	}
	return Command{Argv: argv, Stdin: t.Prompt, Dirs: []string{opencodeHome}, Files: map[string]string{told: t.Instructions}, Env: []string{
		"OPENCODE_CONFIG_CONTENT=" + string(written), "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1",
		"XDG_DATA_HOME=" + opencodeHome, "XDG_STATE_HOME=" + opencodeHome + "/state", "XDG_CACHE_HOME=/tmp/opencode-cache",
	}}
}

// opencodeTurn reads what `opencode run --format json` prints.
type opencodeTurn struct{ session string }

type opencodeEvent struct {
	Type    string `json:"type"`
	Session string `json:"sessionID"`
	Part    struct {
		ID    string `json:"id"`
		Text  string `json:"text"`
		Tool  string `json:"tool"`
		Call  string `json:"callID"`
		State struct {
			Status   string          `json:"status"`
			Input    json.RawMessage `json:"input"`
			Output   string          `json:"output"`
			Error    string          `json:"error"`
			Metadata struct {
				Exit   *int   `json:"exit"`
				Path   string `json:"filepath"`
				Exists *bool  `json:"exists"`
			} `json:"metadata"`
		} `json:"state"`
	} `json:"part"`
	Error struct {
		Name string `json:"name"`
		Data struct {
			Message string `json:"message"`
		} `json:"data"`
	} `json:"error"`
}

// Line implements Listener.
func (o *opencodeTurn) Line(line []byte) []Said {
	var e opencodeEvent
	if json.Unmarshal(line, &e) != nil {
		return []Said{{Warning: "opencode printed no event: " + clip(string(line))}}
	}
	var said []Said
	if e.Session != "" && o.session == "" {
		o.session = e.Session
		said = append(said, Said{Session: e.Session})
	}
	switch e.Type {
	case "text":
		said = append(said, text(e.Part.ID, e.Part.Text)...)
	case "reasoning":
		said = append(said, thought(e.Part.ID, e.Part.Text)...)
	case "tool_use":
		said = append(said, e.tool()...)
	case "error":
		why := e.Error.Data.Message
		if why == "" {
			why = e.Error.Name
		}
		said = append(said, Said{Failure: why})
	}
	return said
}

// tool is a call and its result, which are told together.
func (e opencodeEvent) tool() []Said {
	id, state, name := e.Part.ID, e.Part.State, e.Part.Tool
	if name == "bash" {
		name = "shell"
	}
	arguments := string(state.Input)
	if arguments == "" {
		arguments = "{}"
	}
	r := agent.Result{Status: agent.Done, Text: state.Output, ExitCode: state.Metadata.Exit}
	if state.Status == "error" {
		r.Status, r.Text = agent.Failed, state.Error
	}
	if r.ExitCode != nil && *r.ExitCode != 0 {
		r.Status = agent.Failed
	}
	if path, exists := state.Metadata.Path, state.Metadata.Exists; path != "" && exists != nil && r.Status == agent.Done {
		kind := agent.Created
		if *exists {
			kind = agent.Modified
		}
		r.Changes = []agent.Change{{Path: path, Kind: kind}}
	}
	return []Said{called(id, name, arguments), resulted(id, r)}
}
