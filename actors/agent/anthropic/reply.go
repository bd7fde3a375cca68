package anthropic

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/bothy-computer/bothy/actors/agent"
)

// block is a content block that is still being written.
type block struct {
	kind      string
	text      string
	signature string
	redacted  string
	call      agent.Call
	closed    bool
}

// writing is a reply of which events are still coming.
type writing struct {
	emit   func(agent.Delta)
	blocks map[int64]*block
	usage  agent.Usage
	stop   sdk.StopReason
}

// take reads one event and reports whether it was the last.
func (w *writing) take(e sdk.MessageStreamEventUnion) (done bool) {
	switch e.Type {
	case "message_start":
		u := e.Message.Usage
		w.count(u.InputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokens)
	case "content_block_start":
		w.start(e)
	case "content_block_delta":
		w.grow(e)
	case "content_block_stop":
		if b := w.blocks[e.Index]; b != nil {
			b.closed = true
		}
	case "message_delta":
		w.stop = e.Delta.StopReason
		u := e.Usage
		if u.InputTokens == 0 { // older servers tell the input once, at the start
			w.usage.OutputTokens = u.OutputTokens
		} else {
			w.count(u.InputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokens)
		}
		w.usage.ReasoningTokens = u.OutputTokensDetails.ThinkingTokens
	case "message_stop":
		return true
	}
	return false
}

// count notes the tokens. The vendor counts cached input beside the rest.
func (w *writing) count(plain, cached, written, output int64) {
	w.usage = agent.Usage{InputTokens: plain + cached + written, CachedTokens: cached, CacheWriteTokens: written, OutputTokens: output}
}

func (w *writing) start(e sdk.MessageStreamEventUnion) {
	c := e.ContentBlock
	b := &block{kind: c.Type, text: c.Text + c.Thinking, signature: c.Signature, redacted: c.Data}
	b.call.ID, b.call.Name = c.ID, c.Name
	w.blocks[e.Index] = b
}

func (w *writing) grow(e sdk.MessageStreamEventUnion) {
	b := w.blocks[e.Index]
	if b == nil {
		return
	}
	item := strconv.FormatInt(e.Index, 10)
	switch e.Delta.Type {
	case "text_delta":
		b.text += e.Delta.Text
		w.emit(agent.Delta{Kind: agent.TextDelta, Item: item, Text: e.Delta.Text})
	case "thinking_delta":
		b.text += e.Delta.Thinking
		w.emit(agent.Delta{Kind: agent.ReasoningDelta, Item: item, Text: e.Delta.Thinking})
	case "signature_delta":
		b.signature += e.Delta.Signature
	case "input_json_delta":
		b.call.Arguments += e.Delta.PartialJSON
	}
}

// whole turns what has come into a reply.
func (w *writing) whole() (agent.Reply, error) {
	reply := agent.Reply{Stop: agent.StopEnd, Usage: w.usage}
	switch w.stop {
	case sdk.StopReasonMaxTokens, sdk.StopReasonModelContextWindowExceeded:
		reply.Stop = agent.StopLength
	case sdk.StopReasonRefusal:
		reply.Stop = agent.StopRefused
	}
	for _, index := range slices.Sorted(maps.Keys(w.blocks)) {
		e, known, err := w.blocks[index].entry(strconv.FormatInt(index, 10))
		if err != nil {
			return agent.Reply{}, err
		}
		if known {
			reply.Entries = append(reply.Entries, e)
		}
	}
	return reply, nil
}

// entry is the block as an entry. Blocks of tools that only the vendor runs
// are not asked for and not known.
func (b *block) entry(id string) (e agent.Entry, known bool, err error) {
	e = agent.Entry{ID: id, Text: b.text}
	switch b.kind {
	case "text":
		e.Kind = agent.Text
	case "tool_use":
		if b.call.Arguments == "" {
			b.call.Arguments = "{}"
		}
		b.call.Cut = !b.closed
		e.Kind, e.Text, e.Call = agent.ToolCall, "", &b.call
	case "thinking", "redacted_thinking":
		e.Kind, e.Vendor = agent.Reasoning, vendor
		if b.signature == "" && b.redacted == "" {
			return e, true, nil // cut off before it was signed: shown, never sent back
		}
		e.State, err = json.Marshal(state{b.signature, b.redacted})
		if err != nil {
			return e, false, agent.Errorf(agent.BadRequest, "keep the model's thinking: %w", err)
		}
	default:
		return e, false, nil
	}
	return e, true, nil
}
