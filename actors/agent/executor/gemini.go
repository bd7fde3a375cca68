package executor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/google"
)

// geminiHomes is where gemini keeps its settings and sessions: a home for each
// conversation, since it has no other place for instructions than a file there.
const geminiHomes = "/workspace/.bothy/gemini"

var gemini = Executor{
	Name: "gemini", Packages: []string{"@google/gemini-cli@0.61.0"}, Script: "@google/gemini-cli/bundle/gemini.js",
	Protocols: []catalog.Protocol{catalog.Google}, Command: geminiCommand, Listen: func() Listener { return &geminiTurn{} },
}

// geminiModels are the models that gemini would have its small tasks and its
// sub-agents done by.
var geminiModels = []string{"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-3-flash-preview",
	"gemini-3-flash", "gemini-3.1-pro-preview", "gemini-3.1-pro-preview-customtools", "gemini-3.1-flash-lite", "gemini-3.5-flash",
	"gemini-3.5-flash-lite", "gemini-3.8-flash"}

func geminiCommand(t Turn) Command {
	home := path.Join(geminiHomes, t.Conversation)
	dir := path.Join(home, ".gemini")
	argv := []string{t.Program, "--model", t.VendorModel, "--output-format", "stream-json", "--approval-mode", "yolo", "--skip-trust"}
	if t.Session != "" {
		argv = append(argv, "--resume", t.Session)
	}
	return Command{Argv: argv, Stdin: t.Prompt, Dirs: []string{dir},
		Files: map[string]string{path.Join(dir, "settings.json"): geminiSettings(t), path.Join(dir, "GEMINI.md"): t.Instructions},
		Env: []string{"GEMINI_CLI_HOME=" + home, "GOOGLE_GEMINI_BASE_URL=" + t.Gateway, "GEMINI_API_KEY=" + t.Token,
			"GEMINI_CLI_NO_RELAUNCH=true", "GEMINI_TELEMETRY_ENABLED=false", "GOOGLE_GENAI_USE_VERTEXAI=false"},
	}
}

// geminiSettings have everything be done by the run's model, and leave out the
// tools that the vendor would run.
func geminiSettings(t Turn) string {
	type object = map[string]any
	model := func(match string, name string, thinking object) object {
		return object{"match": object{match: name}, "modelConfig": object{"model": t.VendorModel,
			"generateContentConfig": object{"maxOutputTokens": t.MaxOutput, "thinkingConfig": thinking}}}
	}
	asked := object{}
	switch budget, level := google.Thinking(t.VendorModel, t.Effort); {
	case budget > 0:
		asked = object{"thinkingBudget": budget}
	case level != "":
		asked = object{"thinkingLevel": level}
	}
	overrides := []object{}
	for _, name := range geminiModels {
		if name != t.VendorModel {
			// How those are to think may be what the run's model cannot.
			overrides = append(overrides, model("model", name, object{"thinkingBudget": nil, "thinkingLevel": nil}))
		}
	}
	overrides = append(overrides, model("overrideScope", "core", asked))
	servers := object{}
	for key, s := range keyed(t.Servers) {
		servers[key] = object{"httpUrl": s.URL, "trust": true, "timeout": toolTime * 1000, "headers": object{"Authorization": "Bearer $" + TokenVariable}}
	}
	settings := object{
		"mcpServers":   servers,
		"general":      object{"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
		"privacy":      object{"usageStatisticsEnabled": false},
		"security":     object{"auth": object{"selectedType": "gemini-api-key"}},
		"tools":        object{"exclude": []string{"google_web_search", "web_fetch"}},
		"modelConfigs": object{"customOverrides": overrides},
	}
	written, err := json.Marshal(settings)
	if err != nil { // strings, numbers and booleans always have a JSON form
		return "{}"
	}
	return string(written)
}

// geminiTurn reads what `gemini --output-format stream-json` prints. Words come
// in pieces and are told when something else follows, of which the last is the
// result.
type geminiTurn struct {
	words string
	texts int
	// calls are our own ids for those that gemini makes of the tools' names,
	// which may be long.
	calls map[string]string
}

type geminiEvent struct {
	Type       string          `json:"type"`
	Session    string          `json:"session_id"`
	Role       string          `json:"role"`
	Content    string          `json:"content"`
	Tool       string          `json:"tool_name"`
	Call       string          `json:"tool_id"`
	Parameters json.RawMessage `json:"parameters"`
	Status     string          `json:"status"`
	Output     string          `json:"output"`
	Message    string          `json:"message"`
	Error      struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Line implements Listener.
func (g *geminiTurn) Line(line []byte) []Said {
	var e geminiEvent
	if json.Unmarshal(line, &e) != nil {
		return []Said{{Warning: "gemini printed no event: " + clip(string(line))}}
	}
	if e.Type == "message" && e.Role == "assistant" {
		g.words += e.Content
		return nil
	}
	return append(g.flush(), g.event(e)...)
}

// flush tells the words that came before.
func (g *geminiTurn) flush() []Said {
	if g.words == "" {
		return nil
	}
	words := g.words
	g.words = ""
	g.texts++
	return text(fmt.Sprintf("text_%d", g.texts), words)
}

func (g *geminiTurn) event(e geminiEvent) []Said {
	switch {
	case e.Type == "init" && e.Session != "":
		return []Said{{Session: e.Session}}
	case e.Type == "tool_use" && e.Call != "" && g.calls[e.Call] == "":
		if g.calls == nil {
			g.calls = map[string]string{}
		}
		id := fmt.Sprintf("call_%d", len(g.calls)+1)
		g.calls[e.Call] = id
		arguments := string(e.Parameters)
		if arguments == "" {
			arguments = "{}"
		}
		return []Said{called(id, geminiTool(e.Tool), arguments)}
	case e.Type == "tool_result" && g.calls[e.Call] != "":
		r := agent.Result{Status: agent.Done, Text: e.Output}
		if e.Status == "error" {
			r.Status, r.Text = agent.Failed, cmp.Or(e.Error.Message, e.Output)
		}
		return []Said{resulted(g.calls[e.Call], r)}
	case e.Type == "error":
		return []Said{{Warning: e.Message}}
	case e.Type == "result" && e.Status != "success":
		return []Said{{Failure: e.Error.Message}}
	}
	return nil
}

// geminiTool is the loop's name for a tool that is the same.
func geminiTool(name string) string {
	if name == "run_shell_command" {
		return agent.ShellTool
	}
	return name
}
