package state

import (
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Event is one entry of a thread's log, which is also its stream: it is
// committed before anybody is shown it. Which fields are set depends on Kind.
type Event struct {
	Seq      uint64    `cbor:"1,keyasint"` // 1 for the thread's first; gaps only where text was pruned
	Run      RunID     `cbor:"2,keyasint"`
	Kind     EventKind `cbor:"3,keyasint"`
	At       time.Time `cbor:"4,keyasint"`
	Item     string    `cbor:"5,keyasint,omitempty"`  // id of the item it belongs to
	Type     ItemType  `cbor:"6,keyasint,omitempty"`  // of that item
	Text     string    `cbor:"7,keyasint,omitempty"`  // a piece, or the whole for a completed item
	Status   string    `cbor:"8,keyasint,omitempty"`  // of the item or the run
	Tool     *ToolCall `cbor:"9,keyasint,omitempty"`  // for tool calls
	Usage    *Usage    `cbor:"10,keyasint,omitempty"` // of a model call, or of the whole run at its end
	Model    string    `cbor:"11,keyasint,omitempty"`
	Agent    AgentID   `cbor:"12,keyasint,omitempty"` // who speaks, where not the run's own agent
	Error    string    `cbor:"13,keyasint,omitempty"`
	Provider []byte    `cbor:"14,keyasint,omitempty"` // the vendor's own state for replay; never shown
	Path     string    `cbor:"15,keyasint,omitempty"` // of a changed file
	Change   string    `cbor:"16,keyasint,omitempty"` // created, modified, deleted
	// AgentName is that of Agent. Within is the call by which the task was handed
	// to it; what has one is no part of the transcript of the run's own agent.
	AgentName string `cbor:"17,keyasint,omitempty"`
	Within    string `cbor:"18,keyasint,omitempty"`
}

// EventKind says what an event is.
type EventKind string

const (
	EventRunStarted    EventKind = "run.started"    // Model, Type ""
	EventItemStarted   EventKind = "item.started"   // Item, Type, Tool for a call
	EventText          EventKind = "text"           // a piece of an item's Text; pruned after the run
	EventItemCompleted EventKind = "item.completed" // Item, Type, the whole Text, Status completed or incomplete
	EventUsage         EventKind = "usage"          // Usage of one model call
	EventNotice        EventKind = "notice"         // Text for the user: something they should know
	EventLog           EventKind = "log"            // Text, for runs with debug set
	EventRunCompleted  EventKind = "run.completed"  // Status, Text (the answer), Usage, Error
)

// ItemType is what an item of a run is.
type ItemType string

const (
	ItemText       ItemType = "text"
	ItemReasoning  ItemType = "reasoning"
	ItemToolCall   ItemType = "tool_call"   // what the model asked for
	ItemToolResult ItemType = "tool_result" // what came of it; Item is the call's
	ItemFileChange ItemType = "file_change"
	ItemSummary    ItemType = "summary" // stands for all before it
)

// Item statuses.
const (
	ItemComplete    = "completed"
	ItemIncomplete  = "incomplete"  // half-streamed and given up: not part of the transcript
	ItemInterrupted = "interrupted" // a tool call whose result was lost with its node
	ItemFailed      = "failed"
)

// ToolCall is a call of a tool and, once it ended, its outcome.
type ToolCall struct {
	ID        string `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint"`
	Arguments string `cbor:"3,keyasint"` // JSON, as the model wrote it
	Output    string `cbor:"4,keyasint"`
	ExitCode  *int   `cbor:"5,keyasint"`
	Failed    bool   `cbor:"6,keyasint"`
	Millis    int64  `cbor:"7,keyasint"`
	// Server and ServerTool are set for a tool of an MCP server: its name in the
	// run, and the tool's name there.
	Server     string `cbor:"8,keyasint,omitempty"`
	ServerTool string `cbor:"9,keyasint,omitempty"`
}

// Usage is what model calls used and cost.
type Usage struct {
	InputTokens     int64    `cbor:"1,keyasint"`
	CachedTokens    int64    `cbor:"2,keyasint"`
	OutputTokens    int64    `cbor:"3,keyasint"`
	ReasoningTokens int64    `cbor:"4,keyasint"`
	Cost            MicroUSD `cbor:"5,keyasint"`
}

// Add returns the sum of two usages.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.InputTokens + v.InputTokens, u.CachedTokens + v.CachedTokens,
		u.OutputTokens + v.OutputTokens, u.ReasoningTokens + v.ReasoningTokens, u.Cost + v.Cost}
}

func eventKey(thread ThreadID, seq uint64) []byte { return numbered("event", seq, string(thread)) }

func putEvent(w Writer, thread ThreadID, e Event) error {
	b, err := Encode(e)
	if err != nil {
		return err
	}
	if len(b) > MaxEventBytes+4096 {
		return fault.New(fault.TooLarge, "an event of %d bytes; the bound is %d", len(b), MaxEventBytes)
	}
	return w.Set(eventKey(thread, e.Seq), b)
}

// Events visits a thread's events with a seq above after, in order, until
// visit returns false.
func (v *View) Events(thread ThreadID, after uint64, visit func(Event) bool) error {
	var failed error
	from, to := eventKey(thread, after+1), append(eventKey(thread, ^uint64(0)), 0)
	err := v.r.Scan(from, to, false, func(_, value []byte) bool {
		var e Event
		if err := Decode(value, &e); err != nil {
			failed = fmt.Errorf("state: event of thread %s: %w", thread, err)
			return false
		}
		return visit(e)
	})
	if failed != nil {
		return failed
	}
	return err
}
