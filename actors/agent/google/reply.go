package google

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/upstream"
)

// event is one piece of a reply.
type event struct {
	Candidates []struct {
		Content content `json:"content"`
		Finish  string  `json:"finishReason"`
		Message string  `json:"finishMessage"`
	} `json:"candidates"`
	Feedback struct {
		Block string `json:"blockReason"`
	} `json:"promptFeedback"`
	Usage *usage          `json:"usageMetadata"`
	Error json.RawMessage `json:"error"`
}

// usage is what the vendor counts: thinking beside the rest of the output.
type usage struct {
	Prompt    int64 `json:"promptTokenCount"`
	Tools     int64 `json:"toolUsePromptTokenCount"`
	Cached    int64 `json:"cachedContentTokenCount"`
	Candidate int64 `json:"candidatesTokenCount"`
	Thoughts  int64 `json:"thoughtsTokenCount"`
}

// ReadUsage reads what a reply, or a piece of a stream, says was used so far.
func ReadUsage(reply []byte) (used agent.Usage, told bool) {
	var e struct {
		Usage *usage `json:"usageMetadata"`
	}
	if json.Unmarshal(reply, &e) != nil || e.Usage == nil {
		return used, false
	}
	return e.Usage.tokens(), true
}

func (u usage) tokens() agent.Usage {
	return agent.Usage{InputTokens: u.Prompt + u.Tools, CachedTokens: u.Cached, OutputTokens: u.Candidate + u.Thoughts, ReasoningTokens: u.Thoughts}
}

// writing is a reply of which pieces are still coming.
type writing struct {
	emit    func(agent.Delta)
	entries []agent.Entry
	usage   agent.Usage
	finish  string
	said    string // why it finished so, in the vendor's words
}

// take reads one event.
func (w *writing) take(data []byte) error {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return agent.Errorf(agent.Cut, "read the model's reply: %w", err)
	}
	if len(e.Error) > 0 {
		return upstream.Failure(0, data)
	}
	if e.Usage != nil {
		w.usage = e.Usage.tokens()
	}
	if e.Feedback.Block != "" {
		w.finish = e.Feedback.Block
	}
	if len(e.Candidates) == 0 {
		return nil
	}
	first := e.Candidates[0] // more are not asked for
	for _, p := range first.Content.Parts {
		w.part(p)
	}
	if first.Finish != "" {
		w.finish, w.said = first.Finish, first.Message
	}
	return nil
}

// part adds to the entry that is being written, or begins one.
func (w *writing) part(p part) {
	if p.Call != nil {
		id := fmt.Sprintf("call_%d", len(w.entries))
		arguments := string(p.Call.Args)
		if arguments == "" {
			arguments = "{}"
		}
		w.entries = append(w.entries, agent.Entry{Kind: agent.ToolCall, ID: w.item(), Vendor: vendor, State: p.Signature,
			Call: &agent.Call{ID: id, Name: p.Call.Name, Arguments: arguments}})
		return
	}
	kind, delta := agent.Text, agent.TextDelta
	if p.Thought {
		kind, delta = agent.Reasoning, agent.ReasoningDelta
	}
	if n := len(w.entries); n == 0 || w.entries[n-1].Kind != kind {
		if p.Text == "" && (n == 0 || w.entries[n-1].Kind != agent.Text) {
			return
		}
		if p.Text != "" {
			w.entries = append(w.entries, agent.Entry{Kind: kind, ID: w.item()})
		}
	}
	last := &w.entries[len(w.entries)-1]
	if len(p.Signature) > 0 && last.Kind == agent.Text {
		last.Vendor, last.State = vendor, p.Signature
	}
	if p.Text != "" {
		last.Text += p.Text
		w.emit(agent.Delta{Kind: delta, Item: last.ID, Text: p.Text})
	}
}

func (w *writing) item() string { return strconv.Itoa(len(w.entries)) }

// whole turns what has come into a reply.
func (w *writing) whole() (agent.Reply, error) {
	reply := agent.Reply{Entries: w.entries, Usage: w.usage}
	switch w.finish {
	case "STOP":
		reply.Stop = agent.StopEnd
	case "MAX_TOKENS":
		reply.Stop = agent.StopLength
	case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "FINISH_REASON_UNSPECIFIED":
		return agent.Reply{}, agent.Errorf(agent.Cut, "the model's reply ended as %s %s", w.finish, w.said)
	default: // safety, recitation and the like
		reply.Stop = agent.StopRefused
	}
	return reply, nil
}
