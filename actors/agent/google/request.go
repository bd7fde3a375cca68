package google

import (
	"encoding/json"
	"strings"

	"github.com/bothy-computer/bothy/actors/agent"
)

// request is a call on the wire.
type request struct {
	Contents     []content `json:"contents"`
	Instructions *content  `json:"systemInstruction,omitempty"`
	Tools        []tools   `json:"tools,omitempty"`
	Config       config    `json:"generationConfig"`
}

type content struct {
	Role  string `json:"role,omitempty"`
	Parts []part `json:"parts"`
}

// part is one piece of a content; besides Thought and Signature exactly one
// field is set.
type part struct {
	Text      string    `json:"text,omitempty"`
	Thought   bool      `json:"thought,omitempty"`
	Signature []byte    `json:"thoughtSignature,omitempty"`
	Call      *call     `json:"functionCall,omitempty"`
	Response  *response `json:"functionResponse,omitempty"`
	Data      *data     `json:"inlineData,omitempty"`
}

type data struct {
	Type    string `json:"mimeType"`
	Content []byte `json:"data"`
}

type call struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

type response struct {
	Name     string            `json:"name"`
	Response map[string]string `json:"response"`
	Parts    []part            `json:"parts,omitempty"` // not text
}

type tools struct {
	Functions []function `json:"functionDeclarations"`
}

type function struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Schema      map[string]any `json:"parametersJsonSchema"`
}

type config struct {
	MaxOutputTokens int64     `json:"maxOutputTokens"`
	Thinking        *thinking `json:"thinkingConfig,omitempty"`
}

type thinking struct {
	Include bool   `json:"includeThoughts"`
	Budget  int64  `json:"thinkingBudget,omitempty"` // tokens
	Level   string `json:"thinkingLevel,omitempty"`
}

// budgets are the bounds on thinking for models that take one.
var budgets = map[agent.Effort]int64{agent.Minimal: 512, agent.Low: 2048, agent.Medium: 8192, agent.High: 24_576}

// levels are the same for newer ones, of which only some know one between.
var levels = map[agent.Effort]string{agent.Minimal: "low", agent.Low: "low", agent.High: "high"}

// byBudget begins the names of models whose thinking is bounded in tokens, and
// whose results of functions hold text alone.
const byBudget = "gemini-2.5"

// Thinking is how much a model is asked to think: a bound in tokens for the
// models that take one, else a level, or neither, which leaves it to the vendor.
func Thinking(model string, effort agent.Effort) (budget int64, level string) {
	if strings.HasPrefix(model, byBudget) {
		return budgets[effort], ""
	}
	return 0, levels[effort]
}

func params(req agent.Request) request {
	p := request{Contents: conversation(req), Config: config{MaxOutputTokens: req.MaxOutputTokens}}
	if req.Instructions != "" {
		p.Instructions = &content{Parts: []part{{Text: req.Instructions}}}
	}
	for _, t := range req.Tools {
		if len(p.Tools) == 0 {
			p.Tools = []tools{{}}
		}
		p.Tools[0].Functions = append(p.Tools[0].Functions, function{t.Name, t.Description, t.Schema})
	}
	if req.Reasoning {
		budget, level := Thinking(req.Model, req.Effort)
		p.Config.Thinking = &thinking{Include: true, Budget: min(budget, req.MaxOutputTokens/2), Level: level}
	}
	return p
}

// foreignSignature stands for the one that the vendor wants with a call which
// another vendor's model made; it is the vendor's own word for that.
var foreignSignature = []byte("skip_thought_signature_validator")

// conversation is the transcript as contents that alternate: results belong to
// the user's side, everything of one reply to one content.
func conversation(req agent.Request) []content {
	var list []content
	names := map[string]string{} // of tools, by the ids of their calls
	for _, e := range req.Entries {
		if e.Call != nil {
			names[e.Call.ID] = e.Call.Name
		}
		role, p := partOf(e, names)
		if role == "" {
			continue
		}
		parts := illustrated(p, e, req.Model)
		if len(list) > 0 && list[len(list)-1].Role == role {
			last := &list[len(list)-1]
			last.Parts = append(last.Parts, parts...)
		} else {
			list = append(list, content{role, parts})
		}
	}
	return list
}

// illustrated is a part with the pictures of its entry: within the result for
// models that take them there, else beside it.
func illustrated(p part, e agent.Entry, model string) []part {
	if e.Result == nil {
		return []part{p}
	}
	var shown []part
	for _, picture := range e.Result.Pictures {
		shown = append(shown, part{Data: &data{picture.Type, picture.Content}})
	}
	if strings.HasPrefix(model, byBudget) {
		return append([]part{p}, shown...)
	}
	p.Response.Parts = shown
	return []part{p}
}

// partOf is an entry as a part, of no role when there is nothing to send.
// Thinking is sent back as the signature alone, with what came of it.
func partOf(e agent.Entry, names map[string]string) (role string, p part) {
	if e.Vendor == vendor {
		p.Signature = e.State
	}
	switch e.Kind {
	case agent.User:
		return "user", part{Text: orBlank(e.Text)}
	case agent.Text:
		if p.Text = e.Text; strings.TrimSpace(e.Text) != "" {
			return "model", p
		}
	case agent.ToolCall:
		if p.Call = (&call{e.Call.Name, e.Call.Object()}); e.Vendor != vendor {
			p.Signature = foreignSignature
		}
		return "model", p
	case agent.ToolResult:
		key := "output"
		if e.Result.Status != agent.Done {
			key = "error"
		}
		return "user", part{Response: &response{Name: names[e.Result.Call], Response: map[string]string{key: e.Result.Text}}}
	}
	return "", part{}
}

func orBlank(text string) string {
	if strings.TrimSpace(text) == "" {
		return "(empty)"
	}
	return text
}
