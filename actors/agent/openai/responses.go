package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

// callResponses makes one call by the Responses protocol.
func (m *Model) callResponses(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	params, err := m.responseParams(req)
	if err != nil {
		return agent.Reply{}, err
	}
	stream := m.responses.NewStreaming(ctx, params)
	defer stream.Close()
	reply := gathering{items: map[int64]responses.ResponseOutputItemUnion{}, emit: emit}
	for stream.Next() {
		done, err := reply.take(stream.Current())
		if err != nil {
			return agent.Reply{}, err
		}
		if done {
			return reply.whole()
		}
	}
	return agent.Reply{}, streamError(ctx, stream.Err())
}

// responseParams is the request on the wire. Nothing is stored at the vendor:
// the transcript is ours, so every call sends all of it.
func (m *Model) responseParams(req agent.Request) (responses.ResponseNewParams, error) {
	p := responses.ResponseNewParams{
		Model:           req.Model,
		MaxOutputTokens: param.NewOpt(req.MaxOutputTokens),
		Store:           param.NewOpt(false),
	}
	if req.Instructions != "" {
		p.Instructions = param.NewOpt(req.Instructions)
	}
	if req.Reasoning {
		p.Include = []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent}
		p.Reasoning.Effort = shared.ReasoningEffort(req.Effort)
		if m.opts.Summaries {
			p.Reasoning.Summary = shared.ReasoningSummaryAuto
		}
	}
	for _, t := range req.Tools {
		tool := responses.ToolParamOfFunction(t.Name, t.Schema, false)
		tool.OfFunction.Description = param.NewOpt(t.Description)
		p.Tools = append(p.Tools, tool)
	}
	input, err := m.input(req)
	p.Input.OfInputItemList = input
	return p, err
}

// input is the transcript as items.
func (m *Model) input(req agent.Request) (responses.ResponseInputParam, error) {
	var items responses.ResponseInputParam
	for i, e := range req.Entries {
		switch e.Kind {
		case agent.User:
			items = append(items, responses.ResponseInputItemParamOfMessage(e.Text, responses.EasyInputMessageRoleUser))
		case agent.Text:
			if e.Text != "" {
				items = append(items, responses.ResponseInputItemParamOfMessage(e.Text, responses.EasyInputMessageRoleAssistant))
			}
		case agent.Reasoning:
			// Thinking that led to nothing, because the reply was cut there, is
			// refused; so is another vendor's.
			if !req.Reasoning || e.Vendor != m.Vendor() || len(e.State) == 0 || e.Stop != "" || i+1 == len(req.Entries) {
				continue
			}
			var item responses.ResponseReasoningItemParam
			if err := json.Unmarshal(e.State, &item); err != nil {
				return nil, agent.Errorf(agent.BadRequest, "read the kept reasoning of %s: %w", e.ID, err)
			}
			items = append(items, responses.ResponseInputItemUnionParam{OfReasoning: &item})
		case agent.ToolCall:
			items = append(items, responses.ResponseInputItemParamOfFunctionCall(string(e.Call.Object()), e.Call.ID, e.Call.Name))
		case agent.ToolResult:
			items = append(items, responses.ResponseInputItemUnionParam{OfFunctionCallOutput: output(*e.Result)})
		}
	}
	return items, nil
}

// output is what came of a call: a text, and the pictures beside it.
func output(r agent.Result) *responses.ResponseInputItemFunctionCallOutputParam {
	p := &responses.ResponseInputItemFunctionCallOutputParam{CallID: param.NewOpt(r.Call)}
	if len(r.Pictures) == 0 {
		p.Output.OfString = param.NewOpt(r.Text)
		return p
	}
	list := responses.ResponseFunctionCallOutputItemListParam{{OfInputText: &responses.ResponseInputTextContentParam{Text: r.Text}}}
	for _, picture := range r.Pictures {
		list = append(list, responses.ResponseFunctionCallOutputItemUnionParam{
			OfInputImage: &responses.ResponseInputImageContentParam{ImageURL: param.NewOpt(picture.DataURL())}})
	}
	p.Output.OfResponseFunctionCallOutputItemArray = list
	return p
}

// gathering is a reply of which events are still coming.
type gathering struct {
	items map[int64]responses.ResponseOutputItemUnion
	final responses.Response
	emit  func(agent.Delta)
}

// take reads one event and reports whether it was the last.
func (g *gathering) take(e responses.ResponseStreamEventUnion) (done bool, err error) {
	d := agent.Delta{Item: strconv.FormatInt(e.OutputIndex, 10)}
	switch e.Type {
	case "response.output_text.delta", "response.refusal.delta":
		d.Kind, d.Text = agent.TextDelta, e.Delta
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		d.Kind, d.Text = agent.ReasoningDelta, e.Delta
	case "response.reasoning_summary_part.added":
		if e.SummaryIndex > 0 {
			d.Kind, d.Text = agent.ReasoningDelta, "\n\n"
		}
	case "response.output_item.done":
		g.items[e.OutputIndex] = e.Item
	case "response.completed", "response.incomplete":
		g.final, done = e.Response, true
	case "response.failed":
		body := fmt.Sprintf(`{"error": %s}`, orNull(e.Response.Error.RawJSON()))
		return false, upstream.Failure(0, []byte(body))
	case "error":
		return false, upstream.Failure(0, []byte(e.RawJSON()))
	}
	if d.Text != "" {
		g.emit(d)
	}
	return done, nil
}

// whole turns what has come into a reply. An item that was finished in the
// stream is preferred to the same one in the last event, where vendors may
// shorten it.
func (g *gathering) whole() (agent.Reply, error) {
	for i, item := range g.final.Output {
		if _, there := g.items[int64(i)]; !there {
			g.items[int64(i)] = item
		}
	}
	reply := agent.Reply{Stop: agent.StopEnd, Usage: responseUsage(g.final.Usage)}
	switch g.final.IncompleteDetails.Reason {
	case "":
	case "content_filter":
		reply.Stop = agent.StopRefused
	default:
		reply.Stop = agent.StopLength
	}
	for _, index := range slices.Sorted(maps.Keys(g.items)) {
		item := g.items[index]
		e, known := entryOf(item, strconv.FormatInt(index, 10))
		if !known {
			continue
		}
		for _, part := range item.Content {
			if part.Type == "refusal" {
				reply.Stop = agent.StopRefused
			}
		}
		reply.Entries = append(reply.Entries, e)
	}
	return reply, nil
}

// entryOf turns an output item into an entry. Items of tools that only the
// vendor runs are not asked for and not known.
func entryOf(item responses.ResponseOutputItemUnion, id string) (agent.Entry, bool) {
	e := agent.Entry{ID: id}
	switch item.Type {
	case "message":
		e.Kind = agent.Text
		for _, part := range item.Content {
			e.Text += part.Text + part.Refusal
		}
	case "function_call":
		e.Kind = agent.ToolCall
		e.Call = &agent.Call{ID: item.CallID, Name: item.Name, Arguments: item.Arguments.OfString, Cut: item.Status == "incomplete"}
	case "reasoning":
		e.Kind, e.Vendor = agent.Reasoning, "openai"
		var texts []string
		for _, part := range item.Summary {
			texts = append(texts, part.Text)
		}
		for _, part := range item.Content {
			texts = append(texts, part.Text)
		}
		e.Text = strings.Join(texts, "\n\n")
		if item.EncryptedContent != "" {
			e.State = []byte(item.RawJSON())
		}
	default:
		return e, false
	}
	return e, true
}

func responseUsage(u responses.ResponseUsage) agent.Usage {
	return agent.Usage{
		InputTokens: u.InputTokens, CachedTokens: u.InputTokensDetails.CachedTokens,
		CacheWriteTokens: u.InputTokensDetails.CacheWriteTokens,
		OutputTokens:     u.OutputTokens, ReasoningTokens: u.OutputTokensDetails.ReasoningTokens,
	}
}

func orNull(raw string) string {
	if raw == "" {
		return "null"
	}
	return raw
}
