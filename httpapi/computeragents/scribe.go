package computeragents

import (
	"encoding/json"
	"strings"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Scribe turns a thread's events into the lines of a stream. What it writes
// for an event depends only on the events of the same run before it, so a
// stream that is resumed anywhere goes on exactly as it would have.
//
//	run.started      response.created, response.started
//	text             [output_item.added, content_part.added,] content_part.delta
//	item.completed   response.item.completed (a tool's call is added, its result completes it)
//	run.completed    response.completed, stream.completed
//	                 or response.failed, stream.error
type Scribe struct {
	run   state.RunID
	begun bool                      // response.created was written for run
	model string                    // of run
	added map[string]bool           // items of run that were announced
	calls map[string]state.ToolCall // of run, by id
}

// NewScribe makes a scribe that has seen nothing.
func NewScribe() *Scribe { return &Scribe{} }

// Knows reports whether the scribe has seen the event's run before. If not, it
// must Recall that run's earlier events, if there are any.
func (s *Scribe) Knows(e state.Event) bool { return e.Run == s.run }

// Recall takes note of an event that the client already has.
func (s *Scribe) Recall(e state.Event) { s.Write(e) }

// Write returns the lines for an event; none for what streams do not show.
func (s *Scribe) Write(e state.Event) []wire.Event {
	if e.Run != s.run {
		*s = Scribe{run: e.Run, added: map[string]bool{}, calls: map[string]state.ToolCall{}}
	}
	if e.Model != "" {
		s.model = e.Model
	}
	var lines []wire.Event
	if !s.begun {
		s.begun = true
		lines = s.begin()
	}
	lines = append(lines, s.lines(e)...)
	at := wire.At(e.At)
	for i := range lines {
		lines[i].Timestamp, lines[i].RunID = &at, string(e.Run)
		lines[i].AgentID, lines[i].AgentName, lines[i].ParentID = string(e.Agent), e.AgentName, e.Within
	}
	return lines
}

func (s *Scribe) lines(e state.Event) []wire.Event {
	switch e.Kind {
	case state.EventItemStarted:
		return s.started(e)
	case state.EventText:
		return s.text(e)
	case state.EventItemCompleted:
		return s.completed(e)
	case state.EventNotice:
		return []wire.Event{{Type: wire.ResponseNotice, Message: e.Text}}
	case state.EventLog:
		return []wire.Event{{Type: wire.Log, Message: e.Text}}
	case state.EventRunCompleted:
		return s.over(e)
	}
	return nil // run.started is in begin; usage is summed up at the end
}

func (s *Scribe) begin() []wire.Event {
	id := responseID(s.run)
	return []wire.Event{
		{Type: wire.ResponseCreated, Response: &wire.Response{ID: id, Status: "in_progress"}},
		{Type: wire.ResponseStarted, Response: &wire.Response{ID: id, Status: "in_progress", Model: s.model}},
	}
}

// responseID names a run as a response.
func responseID(run state.RunID) string { return "resp_" + strings.TrimPrefix(string(run), "run_") }

// started announces an item, once.
func (s *Scribe) started(e state.Event) []wire.Event {
	if e.Type == state.ItemToolCall && s.added[e.Item] {
		return []wire.Event{{Type: wire.ToolStarted, ItemID: e.Item, Item: s.call(e, "in_progress")}}
	}
	if s.added[e.Item] {
		return nil
	}
	s.added[e.Item] = true
	switch e.Type {
	case state.ItemText:
		return []wire.Event{
			{Type: wire.OutputItemAdded, ItemID: e.Item, Item: &wire.Item{ID: e.Item, Type: "message", Role: "assistant", Status: "in_progress"}},
			{Type: wire.ContentPartAdded, ItemID: e.Item, Part: &wire.Part{Type: "text"}},
		}
	case state.ItemToolCall:
		return []wire.Event{{Type: wire.OutputItemAdded, ItemID: e.Item, Item: s.call(e, "in_progress")}}
	}
	return []wire.Event{{Type: wire.OutputItemAdded, ItemID: e.Item, Item: &wire.Item{ID: e.Item, Type: string(e.Type), Status: "in_progress"}}}
}

func (s *Scribe) text(e state.Event) []wire.Event {
	kind := wire.ContentPartDelta
	if e.Type == state.ItemReasoning {
		kind = wire.ReasoningDelta // apart, so that who prints all deltas prints the answer
	}
	return append(s.started(e), wire.Event{Type: kind, ItemID: e.Item, Delta: &wire.Delta{Text: e.Text}})
}

func (s *Scribe) completed(e state.Event) []wire.Event {
	item := &wire.Item{ID: e.Item, Type: string(e.Type), Status: e.Status, Content: e.Text}
	switch e.Type {
	case state.ItemText:
		item.Role, item.Text = "assistant", e.Text
	case state.ItemReasoning:
		item.Text = e.Text
	case state.ItemToolCall:
		return s.started(e)
	case state.ItemToolResult:
		item = s.call(e, e.Status)
	case state.ItemFileChange:
		item.Path, item.Kind = e.Path, e.Change
		item.Changes = []wire.FileChange{fileChange(e)}
	}
	return []wire.Event{{Type: wire.ItemCompleted, ItemID: item.ID, Item: item}}
}

// call is a tool call as an item: what was asked for and, once it ended, what
// came of it.
func (s *Scribe) call(e state.Event, status string) *wire.Item {
	var t state.ToolCall
	if e.Tool != nil {
		t = *e.Tool
	}
	asked, known := s.calls[t.ID]
	if known && t.Name == "" {
		t.Name, t.Arguments, t.Server, t.ServerTool = asked.Name, asked.Arguments, asked.Server, asked.ServerTool
	} else if !known {
		s.calls[t.ID] = t
	}
	item := &wire.Item{ID: t.ID, Type: "tool_call", Status: status, Name: t.Name, Content: t.Output, Tool: toolOf(t)}
	if json.Valid([]byte(t.Arguments)) {
		item.Arguments = json.RawMessage(t.Arguments)
	}
	return item
}

// toolOf draws a tool call as newer clients do: by what it does.
func toolOf(t state.ToolCall) *wire.Tool {
	tool := &wire.Tool{Type: "mcp_tool", Name: t.Name, Output: t.Output, ExitCode: t.ExitCode, DurationMS: t.Millis}
	var args struct {
		Command string `json:"command"`
		Path    string `json:"path"`
	}
	// Arguments that the model got wrong leave the fields empty.
	_ = json.Unmarshal([]byte(t.Arguments), &args)
	if t.Server != "" {
		tool.Name, tool.Server = t.ServerTool, t.Server
		return tool
	}
	if strings.HasPrefix(t.Name, "handoff__") {
		tool.Type = "handoff"
		return tool
	}
	switch t.Name {
	case "shell":
		tool.Type, tool.Command = "command_execution", args.Command
	case "write_file", "edit_file":
		tool.Type, tool.FilePath = "file_write", args.Path
	case "read_file", "list_files", "grep":
		tool.Type, tool.FilePath = "file_read", args.Path
	}
	return tool
}

// over ends the run's part of the stream.
func (s *Scribe) over(e state.Event) []wire.Event {
	run := &wire.Run{ID: string(e.Run), Status: e.Status, Error: e.Error}
	response := &wire.Response{ID: responseID(e.Run), Status: "completed", Model: s.model}
	if u := e.Usage; u != nil {
		cost := wire.USD(u.Cost)
		run.Tokens, run.Cost = &wire.Tokens{Input: u.InputTokens, Output: u.OutputTokens}, &cost
		response.Usage, response.CostUSD = usageOf(*u), &cost
	}
	if e.Status == string(state.RunSuccess) {
		response.Content = &e.Text
		response.Output = []wire.OutputItem{{Type: "message", Role: "assistant", Content: []wire.Part{{Type: "text", Text: e.Text}}}}
		return []wire.Event{{Type: wire.ResponseDone, Response: response}, {Type: wire.StreamCompleted, Run: run}}
	}
	why := e.Error
	if e.Status == string(state.RunCancelled) {
		why = "Execution cancelled by user" // the words by which clients know it
	}
	if why == "" {
		why = "The run failed"
	}
	response.Status, response.Error = e.Status, &wire.ResponseError{Message: why}
	return []wire.Event{
		{Type: wire.ResponseFailed, Response: response},
		{Type: wire.StreamError, Error: why, Message: why, Run: run},
	}
}

func usageOf(u state.Usage) *wire.Usage {
	return &wire.Usage{
		Input: u.InputTokens, Output: u.OutputTokens, Total: u.InputTokens + u.OutputTokens,
		InputSnake: u.InputTokens, OutputSnake: u.OutputTokens, CachedSnake: u.CachedTokens,
		ReasonsSnake: u.ReasoningTokens, TotalSnake: u.InputTokens + u.OutputTokens,
	}
}
