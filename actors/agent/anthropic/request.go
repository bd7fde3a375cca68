package anthropic

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/bothy-computer/bothy/actors/agent"
)

// minBudget is the least thinking that the vendor accepts a bound for.
const minBudget = 1024

// budgets are the bounds on thinking for models that take one.
var budgets = map[agent.Effort]int64{agent.Low: 2048, agent.Medium: 8192, agent.High: 24_576}

// byBudget lists the beginnings of the names of models whose thinking is
// bounded in tokens; newer ones decide for themselves, guided by an effort.
var byBudget = []string{"claude-3", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2", "claude-opus-4-5",
	"claude-sonnet-4-0", "claude-sonnet-4-2", "claude-sonnet-4-5", "claude-haiku-4-5"}

// state is what a thinking block needs to be sent back, beside its text.
type state struct {
	Signature string `json:"signature,omitempty"`
	Redacted  string `json:"redacted,omitempty"`
}

// params is the request on the wire.
func (m *Model) params(req agent.Request) (sdk.MessageNewParams, error) {
	messages, err := conversation(req)
	if err != nil {
		return sdk.MessageNewParams{}, err
	}
	p := sdk.MessageNewParams{Model: req.Model, MaxTokens: req.MaxOutputTokens, Messages: messages}
	if req.Instructions != "" {
		p.System = []sdk.TextBlockParam{{Text: req.Instructions}}
	}
	if m.opts.BaseURL == DefaultBaseURL {
		// Without it every step pays for the whole transcript again. Servers
		// that merely speak the protocol may not know it.
		p.CacheControl = sdk.NewCacheControlEphemeralParam()
	}
	for _, t := range req.Tools {
		p.Tools = append(p.Tools, sdk.ToolUnionParam{OfTool: &sdk.ToolParam{
			Name: t.Name, Description: param.NewOpt(t.Description), InputSchema: schema(t.Schema),
		}})
	}
	think(&p, req)
	return p, nil
}

// schema is a tool's schema as it is; its type is always object.
func schema(given map[string]any) sdk.ToolInputSchemaParam {
	rest := maps.Clone(given)
	delete(rest, "type")
	return sdk.ToolInputSchemaParam{ExtraFields: rest}
}

// think asks for as much thinking as the effort says.
func think(p *sdk.MessageNewParams, req agent.Request) {
	if !req.Reasoning || req.Effort == agent.Minimal {
		return
	}
	bounded := slices.ContainsFunc(byBudget, func(start string) bool { return strings.HasPrefix(req.Model, start) })
	if !bounded {
		p.Thinking.OfAdaptive = &sdk.ThinkingConfigAdaptiveParam{Display: "summarized"}
		p.OutputConfig.Effort = sdk.OutputConfigEffort(req.Effort)
		return
	}
	budget := min(budgets[req.Effort], req.MaxOutputTokens/2)
	if budget >= minBudget && thoughtBefore(req.Entries) {
		p.Thinking.OfEnabled = &sdk.ThinkingConfigEnabledParam{BudgetTokens: budget}
	}
}

// thoughtBefore reports whether every reply with calls since the last message
// began with thinking of this vendor: the vendor refuses to be asked to think
// in the middle of work that was begun without.
func thoughtBefore(entries []agent.Entry) bool {
	thought, sound := false, true
	for _, e := range entries {
		switch {
		case e.Kind == agent.User:
			thought, sound = false, true
		case e.Kind == agent.Reasoning:
			thought = thought || (e.Vendor == vendor && len(e.State) > 0)
		case e.Kind == agent.ToolCall:
			sound = sound && thought
		}
		if e.Stop != "" {
			thought = false
		}
	}
	return sound
}

// conversation is the transcript as messages that alternate: results belong
// to the user's side, everything of one reply to one message.
func conversation(req agent.Request) ([]sdk.MessageParam, error) {
	var list []sdk.MessageParam
	for _, e := range req.Entries {
		content, role, err := contentOf(e, req.Reasoning)
		if err != nil {
			return nil, err
		}
		switch {
		case content == nil:
		case len(list) > 0 && list[len(list)-1].Role == role:
			last := &list[len(list)-1]
			last.Content = append(last.Content, *content)
		default:
			list = append(list, sdk.MessageParam{Role: role, Content: []sdk.ContentBlockParamUnion{*content}})
		}
	}
	return list, nil
}

// contentOf is an entry as a block, nil when there is nothing to send: the
// vendor refuses blank texts and others' thinking.
func contentOf(e agent.Entry, reasoning bool) (*sdk.ContentBlockParamUnion, sdk.MessageParamRole, error) {
	var content sdk.ContentBlockParamUnion
	role := sdk.MessageParamRoleAssistant
	switch e.Kind {
	case agent.User:
		role, content = sdk.MessageParamRoleUser, sdk.NewTextBlock(orBlank(e.Text))
	case agent.Text:
		if strings.TrimSpace(e.Text) == "" {
			return nil, role, nil
		}
		content = sdk.NewTextBlock(e.Text)
	case agent.ToolCall:
		content = sdk.NewToolUseBlock(e.Call.ID, e.Call.Object(), e.Call.Name)
	case agent.ToolResult:
		role = sdk.MessageParamRoleUser
		content = sdk.NewToolResultBlock(e.Result.Call, orBlank(e.Result.Text), e.Result.Status != agent.Done)
		for _, p := range e.Result.Pictures {
			image := sdk.NewImageBlockBase64(p.Type, p.Base64())
			content.OfToolResult.Content = append(content.OfToolResult.Content, sdk.ToolResultBlockParamContentUnion{OfImage: image.OfImage})
		}
	case agent.Reasoning:
		if !reasoning || e.Vendor != vendor || len(e.State) == 0 || e.Stop != "" {
			return nil, role, nil
		}
		var kept state
		if err := json.Unmarshal(e.State, &kept); err != nil {
			return nil, role, agent.Errorf(agent.BadRequest, "read the kept thinking of %s: %w", e.ID, err)
		}
		content = sdk.NewThinkingBlock(kept.Signature, e.Text)
		if kept.Redacted != "" {
			content = sdk.NewRedactedThinkingBlock(kept.Redacted)
		}
	default:
		return nil, role, nil
	}
	return &content, role, nil
}

func orBlank(text string) string {
	if strings.TrimSpace(text) == "" {
		return "(empty)"
	}
	return text
}
