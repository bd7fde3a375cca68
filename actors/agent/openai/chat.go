package openai

import (
	"context"
	"encoding/json"
	"strconv"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	"github.com/bothy-computer/bothy/actors/agent"
)

// callChat makes one call by the Chat Completions protocol.
func (m *Model) callChat(ctx context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	stream := m.chat.NewStreaming(ctx, m.chatParams(req))
	defer stream.Close()
	reply := writing{emit: emit}
	for stream.Next() {
		reply.take(stream.Current())
	}
	// A reply that said why it ended is whole, even if the connection broke
	// before the count of its tokens.
	if reply.finish == "" {
		return agent.Reply{}, streamError(ctx, stream.Err())
	}
	return reply.whole(), nil
}

func (m *Model) chatParams(req agent.Request) sdk.ChatCompletionNewParams {
	p := sdk.ChatCompletionNewParams{
		Model:               req.Model,
		Messages:            messages(req),
		MaxCompletionTokens: param.NewOpt(req.MaxOutputTokens),
		StreamOptions:       sdk.ChatCompletionStreamOptionsParam{IncludeUsage: param.NewOpt(true)},
	}
	if m.opts.BaseURL == DefaultBaseURL {
		p.Store = param.NewOpt(false)
	} else {
		// Other servers may know the bound by its older name only, and ignore
		// the newer one; OpenAI refuses the older.
		p.MaxTokens = param.NewOpt(req.MaxOutputTokens)
	}
	if req.Reasoning {
		p.ReasoningEffort = shared.ReasoningEffort(req.Effort)
	}
	for _, t := range req.Tools {
		p.Tools = append(p.Tools, sdk.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: t.Name, Description: param.NewOpt(t.Description), Parameters: t.Schema,
		}))
	}
	return p
}

// messages is the transcript, each reply as one message. Pictures that tools
// brought follow the results of all calls of a reply, which may not be parted.
func messages(req agent.Request) []sdk.ChatCompletionMessageParamUnion {
	var list []sdk.ChatCompletionMessageParamUnion
	if req.Instructions != "" {
		list = append(list, sdk.SystemMessage(req.Instructions))
	}
	var open *sdk.ChatCompletionAssistantMessageParam
	var seen []sdk.ChatCompletionContentPartUnionParam // by calls whose results are being listed
	show := func() {
		if len(seen) > 0 {
			list = append(list, sdk.UserMessage(seen))
			seen = nil
		}
	}
	for _, e := range req.Entries {
		if e.Kind == agent.Reasoning || (e.Kind == agent.Text && e.Text == "") {
			continue
		}
		if e.Result == nil {
			show()
		}
		if e.Kind == agent.Text || e.Kind == agent.ToolCall {
			if open == nil {
				open = &sdk.ChatCompletionAssistantMessageParam{}
				list = append(list, sdk.ChatCompletionMessageParamUnion{OfAssistant: open})
			}
			addTo(open, e)
			continue
		}
		open = nil
		if e.Kind == agent.User {
			list = append(list, sdk.UserMessage(e.Text))
		} else if e.Result != nil {
			list = append(list, sdk.ToolMessage(e.Result.Text, e.Result.Call))
			seen = append(seen, pictures(*e.Result)...)
		}
	}
	show()
	return list
}

// pictures are those of a result, which itself may hold text alone.
func pictures(r agent.Result) (parts []sdk.ChatCompletionContentPartUnionParam) {
	for _, p := range r.Pictures {
		parts = append(parts, sdk.TextContentPart("The picture "+p.Path+", from the call "+r.Call+":"),
			sdk.ImageContentPart(sdk.ChatCompletionContentPartImageImageURLParam{URL: p.DataURL()}))
	}
	return parts
}

// addTo adds an entry of the model to its message.
func addTo(message *sdk.ChatCompletionAssistantMessageParam, e agent.Entry) {
	if e.Call != nil {
		message.ToolCalls = append(message.ToolCalls, sdk.ChatCompletionMessageToolCallUnionParam{
			OfFunction: &sdk.ChatCompletionMessageFunctionToolCallParam{
				ID: e.Call.ID,
				Function: sdk.ChatCompletionMessageFunctionToolCallFunctionParam{
					Name: e.Call.Name, Arguments: string(e.Call.Object()),
				},
			},
		})
		return
	}
	text := e.Text
	if before := message.Content.OfString.Value; before != "" {
		text = before + "\n\n" + text
	}
	message.Content.OfString = param.NewOpt(text)
}

// writing is a reply of which chunks are still coming.
type writing struct {
	emit      func(agent.Delta)
	text      string
	reasoning string
	refusal   string
	calls     []agent.Call
	slots     []int64 // the vendor's index of each call
	finish    string
	usage     agent.Usage
}

// take reads one chunk.
func (w *writing) take(chunk sdk.ChatCompletionChunk) {
	if u := chunk.Usage; u.TotalTokens > 0 || u.PromptTokens > 0 {
		w.usage = agent.Usage{
			InputTokens: u.PromptTokens, CachedTokens: u.PromptTokensDetails.CachedTokens,
			OutputTokens: u.CompletionTokens, ReasoningTokens: u.CompletionTokensDetails.ReasoningTokens,
		}
	}
	if len(chunk.Choices) == 0 {
		return
	}
	delta := chunk.Choices[0].Delta
	if thought := reasoningIn(delta); thought != "" {
		w.reasoning += thought
		w.emit(agent.Delta{Kind: agent.ReasoningDelta, Item: "reasoning", Text: thought})
	}
	if piece := delta.Content + delta.Refusal; piece != "" {
		w.text += piece
		w.refusal += delta.Refusal
		w.emit(agent.Delta{Kind: agent.TextDelta, Item: "text", Text: piece})
	}
	for _, piece := range delta.ToolCalls {
		w.call(piece)
	}
	if reason := chunk.Choices[0].FinishReason; reason != "" {
		w.finish = reason
	}
}

// call adds a piece of a tool call. Pieces belong together by their index;
// servers that send 0 for every call begin each with a new id.
func (w *writing) call(piece sdk.ChatCompletionChunkChoiceDeltaToolCall) {
	at := len(w.calls) - 1
	for at >= 0 && w.slots[at] != piece.Index {
		at--
	}
	if at < 0 || (piece.ID != "" && w.calls[at].ID != "" && piece.ID != w.calls[at].ID) {
		w.calls, w.slots = append(w.calls, agent.Call{}), append(w.slots, piece.Index)
		at = len(w.calls) - 1
	}
	if piece.ID != "" {
		w.calls[at].ID = piece.ID
	}
	w.calls[at].Name += piece.Function.Name
	w.calls[at].Arguments += piece.Function.Arguments
}

// whole turns what has come into a reply.
func (w *writing) whole() agent.Reply {
	reply := agent.Reply{Stop: agent.StopEnd, Usage: w.usage}
	if w.reasoning != "" {
		reply.Entries = append(reply.Entries, agent.Entry{Kind: agent.Reasoning, ID: "reasoning", Text: w.reasoning})
	}
	if w.text != "" {
		reply.Entries = append(reply.Entries, agent.Entry{Kind: agent.Text, ID: "text", Text: w.text})
	}
	for i := range w.calls {
		reply.Entries = append(reply.Entries, agent.Entry{Kind: agent.ToolCall, ID: "call" + strconv.Itoa(i), Call: &w.calls[i]})
	}
	switch {
	case w.finish == "length":
		reply.Stop = agent.StopLength
	case w.finish == "content_filter" || w.refusal != "":
		reply.Stop = agent.StopRefused
	}
	return reply
}

// reasoningIn reads thinking from the fields in which other servers send it;
// the protocol itself has none.
func reasoningIn(delta sdk.ChatCompletionChunkChoiceDelta) string {
	for _, name := range []string{"reasoning_content", "reasoning"} {
		var text string
		if raw := delta.JSON.ExtraFields[name].Raw(); raw != "" && json.Unmarshal([]byte(raw), &text) == nil && text != "" {
			return text
		}
	}
	return ""
}
