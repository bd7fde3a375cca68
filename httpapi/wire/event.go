package wire

import "encoding/json"

// Types of stream events, in the order a run sends them.
const (
	ThreadCreated    = "thread.created" // only in the reply that made the thread
	ResponseCreated  = "response.created"
	ResponseStarted  = "response.started"
	OutputItemAdded  = "response.output_item.added"
	ContentPartAdded = "response.content_part.added"
	ContentPartDelta = "response.content_part.delta"
	ReasoningDelta   = "response.reasoning.delta"
	ToolStarted      = "tool.started"
	ItemCompleted    = "response.item.completed"
	ResponseNotice   = "response.notice"
	Log              = "log"
	ResponseDone     = "response.completed"
	ResponseFailed   = "response.failed"
	StreamCompleted  = "stream.completed" // the last event of a run that succeeded
	StreamError      = "stream.error"     // the last event of one that did not
)

// Event is one line of a stream. Which fields are set depends on Type.
type Event struct {
	Type      string        `json:"type"`
	Timestamp *Time         `json:"timestamp,omitempty"`
	RunID     string        `json:"runId,omitempty"`
	Thread    *StreamThread `json:"thread,omitempty"`
	Response  *Response     `json:"response,omitempty"`
	Item      *Item         `json:"item,omitempty"`
	ItemID    string        `json:"item_id,omitempty"`
	Part      *Part         `json:"part,omitempty"`
	Delta     *Delta        `json:"delta,omitempty"`
	Run       *Run          `json:"run,omitempty"`
	AgentID   string        `json:"agentId,omitempty"` // who speaks, where not the thread's agent
	AgentName string        `json:"agentName,omitempty"`
	ParentID  string        `json:"parent_item_id,omitempty"` // the call by which its task was handed to it
	Message   string        `json:"message,omitempty"`
	Error     string        `json:"error,omitempty"`
}

// Ends reports whether the event is the last of its run.
func (e Event) Ends() bool { return e.Type == StreamCompleted || e.Type == StreamError }

// StreamThread is the thread that a request made.
type StreamThread struct {
	ID            string `json:"id"`
	Status        string `json:"status"`
	EnvironmentID string `json:"environmentId"`
}

// Response is a run as streams tell it.
type Response struct {
	ID      string         `json:"id"`
	Status  string         `json:"status"` // in_progress, completed, failed, cancelled
	Model   string         `json:"model,omitempty"`
	Content *string        `json:"content,omitempty"` // the answer, when it completed
	Output  []OutputItem   `json:"output,omitempty"`
	Usage   *Usage         `json:"usage,omitempty"`
	CostUSD *USD           `json:"cost_usd,omitempty"`
	Error   *ResponseError `json:"error,omitempty"`
}

// ResponseError says why a run failed.
type ResponseError struct {
	Message string `json:"message"`
}

// OutputItem is a message of the answer.
type OutputItem struct {
	Type    string `json:"type"`
	Role    string `json:"role"`
	Content []Part `json:"content"`
}

// Part is a piece of content.
type Part struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Delta is text that follows what came before of the same item.
type Delta struct {
	Text string `json:"text"`
}

// Usage counts tokens, under the names that clients of several ages read.
type Usage struct {
	Input        int64 `json:"inputTokens"`
	Output       int64 `json:"outputTokens"`
	Total        int64 `json:"totalTokens"`
	InputSnake   int64 `json:"input_tokens"`
	OutputSnake  int64 `json:"output_tokens"`
	CachedSnake  int64 `json:"cached_tokens"`
	ReasonsSnake int64 `json:"reasoning_tokens"`
	TotalSnake   int64 `json:"total_tokens"`
}

// Run is one execution, at its end.
type Run struct {
	ID     string  `json:"id"`
	Status string  `json:"status"` // pending, running, success, failed, cancelled
	Tokens *Tokens `json:"tokens,omitempty"`
	Cost   *USD    `json:"cost,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Tokens counts what a run used.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
}

// Item is something a run said or did.
type Item struct {
	ID        string          `json:"id,omitempty"`
	Type      string          `json:"type"` // message, text, reasoning, tool_call, file_change, summary
	Role      string          `json:"role,omitempty"`
	Status    string          `json:"status,omitempty"`
	Content   string          `json:"content"`
	Text      string          `json:"text,omitempty"`      // the same as Content, for reasoning
	Name      string          `json:"name,omitempty"`      // of a tool
	Arguments json.RawMessage `json:"arguments,omitempty"` // of a tool call, when they are JSON
	Tool      *Tool           `json:"tool,omitempty"`
	Path      string          `json:"path,omitempty"` // of a changed file
	Kind      string          `json:"kind,omitempty"` // created, modified, deleted
	Changes   []FileChange    `json:"changes,omitempty"`
}

// Tool is a tool call as newer clients draw it.
type Tool struct {
	Type       string `json:"type"` // command_execution, file_write, file_read, mcp_tool, handoff
	Name       string `json:"name"`
	Server     string `json:"server,omitempty"` // of an mcp_tool; Name is then the tool's name there
	Command    string `json:"command,omitempty"`
	FilePath   string `json:"file_path,omitempty"`
	Output     string `json:"output,omitempty"`
	ExitCode   *int   `json:"exit_code,omitempty"`
	DurationMS int64  `json:"duration_ms,omitempty"`
}
