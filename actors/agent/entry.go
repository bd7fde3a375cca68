package agent

import (
	"encoding/json"
	"time"
)

// EntryKind says what an entry is.
type EntryKind string

const (
	User       EntryKind = "user"        // a person's message; it begins a run
	Text       EntryKind = "text"        // the model's words
	Reasoning  EntryKind = "reasoning"   // the model's thinking, as far as its vendor shows it
	ToolCall   EntryKind = "tool_call"   // the model asks for a tool
	ToolResult EntryKind = "tool_result" // what came of a call
	Summary    EntryKind = "summary"     // stands for every entry before it
)

// Entry is one committed piece of a thread's transcript. Its encoding is part
// of the records of a cluster, so fields are only ever added.
type Entry struct {
	Kind EntryKind `json:"kind"`
	// ID is unique in the thread. Pieces streamed while the entry was being
	// made carried the same id.
	ID string `json:"id"`
	// Step is the model call, counted from 1 within its run, that made the
	// entry or asked for the call it answers. User entries have 0.
	Step int    `json:"step,omitempty"`
	Text string `json:"text,omitempty"`
	// Within is the call by which a task was handed on, in whose working the
	// entry was made; "" for the run's own agent. Each agent's loop sees its own.
	Within string `json:"within,omitempty"`
	// Call is set on a ToolCall, Result on a ToolResult.
	Call   *Call   `json:"call,omitempty"`
	Result *Result `json:"result,omitempty"`
	// Stop is set on the last entry of each reply.
	Stop StopReason `json:"stop,omitempty"`
	// State is what the vendor named in Vendor wants back verbatim, such as
	// encrypted reasoning. Other vendors ignore it.
	Vendor string `json:"vendor,omitempty"`
	State  []byte `json:"state,omitempty"`
}

// Call is a model's request to run a tool.
type Call struct {
	// ID is unique in the thread and safe as a file name.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Arguments are as the model wrote them, which may not be JSON at all.
	Arguments string `json:"arguments"`
	// Cut is set when the reply ended within the arguments.
	Cut bool `json:"cut,omitempty"`
}

// Object is the arguments as a JSON object, for vendors that accept nothing
// else when they are shown a call again. What is none is wrapped, so that the
// model still sees what it wrote.
func (c Call) Object() json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(c.Arguments), &object) == nil && object != nil {
		return json.RawMessage(c.Arguments)
	}
	wrapped, err := json.Marshal(map[string]string{"malformed": c.Arguments})
	if err != nil { // a map of strings always has a JSON form
		return json.RawMessage("{}")
	}
	return wrapped
}

// ResultStatus is how a tool call ended.
type ResultStatus string

const (
	Done     ResultStatus = "done"        // the tool did its work; a command exited with 0
	Failed   ResultStatus = "failed"      // the tool ran and failed; a command exited otherwise
	Invalid  ResultStatus = "invalid"     // no such tool, or wrong arguments; nothing ran
	TimedOut ResultStatus = "timed_out"   // stopped at its time limit
	Lost     ResultStatus = "interrupted" // its node was lost, or the run cancelled; unknown what it did
)

// Result is what came of a call.
type Result struct {
	Call   string       `json:"call"` // the Call.ID it answers
	Status ResultStatus `json:"status"`
	// Text is what the model is told, at most about MaxToolOutputBytes.
	Text string `json:"text"`
	// ExitCode is set when a command ran and ended by itself.
	ExitCode *int `json:"exit_code,omitempty"`
	// Saved is the workspace file that holds the whole output, when Text does not.
	Saved   string   `json:"saved,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	// Pictures are shown to models that can see, beside Text.
	Pictures []Picture     `json:"pictures,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
}

// ChangeKind says what a tool did to a file.
type ChangeKind string

const (
	Created  ChangeKind = "created"
	Modified ChangeKind = "modified"
	Deleted  ChangeKind = "deleted"
)

// Change is a file that a file tool wrote. Files that a command writes are
// not known here.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
}

// StopReason is why a model ended its reply.
type StopReason string

const (
	StopEnd     StopReason = "end"     // it said all it wanted, or waits for its tools
	StopLength  StopReason = "length"  // the bound on output was reached
	StopRefused StopReason = "refused" // the model or its vendor declined
)
