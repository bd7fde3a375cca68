package wire

import "encoding/json"

// ThreadStatus is what a thread is doing, or how its newest run went.
type ThreadStatus struct {
	ID          string  `json:"id"`
	ThreadID    string  `json:"threadId"`
	Status      string  `json:"status"`
	RunID       *string `json:"runId"` // the newest, or null before the first
	StartedAt   *Time   `json:"startedAt"`
	CompletedAt *Time   `json:"completedAt"`
	Duration    *string `json:"duration"` // such as 1m3.5s; of a run in progress, so far
	UpdatedAt   Time    `json:"updatedAt"`
}

// ThreadLogs is what was said and done in a thread, oldest first, under the
// names that clients of several ages read.
type ThreadLogs struct {
	Object       string     `json:"object"` // list
	Logs         []LogEntry `json:"logs"`
	Data         []LogEntry `json:"data"` // the same
	HasMore      bool       `json:"has_more"`
	TotalCount   int        `json:"total_count"`
	ThreadID     string     `json:"threadId"`
	Status       string     `json:"status"`
	Duration     *string    `json:"duration"`
	TotalCost    USD        `json:"totalCost"`
	InputTokens  int64      `json:"inputTokens"`
	OutputTokens int64      `json:"outputTokens"`
	Environment  string     `json:"environmentId"`
	AgentID      *string    `json:"agentId"`
}

// LogEntry is one thing that was said or done.
type LogEntry struct {
	ID              string          `json:"id"`
	Role            string          `json:"role"` // user, assistant, execution_log
	Content         string          `json:"content"`
	Message         string          `json:"message"` // the same
	Timestamp       Time            `json:"timestamp"`
	CreatedAt       Time            `json:"createdAt"`    // the same
	Time            Time            `json:"time"`         // the same
	RelativeTime    string          `json:"relativeTime"` // since the first entry, such as +1.5s
	Type            string          `json:"type"`         // info, error, success, warning
	EventType       string          `json:"eventType"`    // as a ThreadStep's stepKind
	IsUserMessage   bool            `json:"isUserMessage"`
	IsReasoning     bool            `json:"isReasoning"`
	IsLLMResponse   bool            `json:"isLLMResponse"`
	IsActionSummary bool            `json:"isActionSummary"`
	IsPlanning      bool            `json:"isPlanning"`
	Metadata        json.RawMessage `json:"metadata"` // an EntryMetadata
}

// EntryMetadata is what else is known of an entry.
type EntryMetadata struct {
	RunID    string       `json:"runId,omitempty"`
	Sequence uint64       `json:"sequence,omitempty"`
	Status   string       `json:"status,omitempty"`
	Tool     *Tool        `json:"tool,omitempty"`
	Changes  []FileChange `json:"changes,omitempty"`
	Error    string       `json:"error,omitempty"`
	// AgentID and AgentName are set where another agent spoke than the run's own.
	AgentID   string `json:"agentId,omitempty"`
	AgentName string `json:"agentName,omitempty"`
}

// ThreadStep is one thing that was said or done, as a step.
type ThreadStep struct {
	ID               string          `json:"id"`
	ThreadID         string          `json:"threadId"`
	EnvironmentID    string          `json:"environmentId"`
	Sequence         uint64          `json:"sequence"`
	SourceMessageID  *string         `json:"sourceMessageId"`
	StepKind         string          `json:"stepKind"` // user_message, assistant_message, reasoning, command_execution, mcp_tool_call, file_change, turn_completed, system, other
	EventType        *string         `json:"eventType"`
	Title            string          `json:"title"`
	SnapshotBeforeID *string         `json:"snapshotBeforeId"` // always null: steps have changes, not snapshots
	SnapshotAfterID  *string         `json:"snapshotAfterId"`
	Metadata         json.RawMessage `json:"metadata"` // an EntryMetadata
	CreatedAt        Time            `json:"createdAt"`
}

// StepDiff is what one step changed.
type StepDiff struct {
	ThreadID         string   `json:"threadId"`
	StepID           string   `json:"stepId"`
	Sequence         uint64   `json:"sequence"`
	SnapshotBeforeID *string  `json:"snapshotBeforeId"`
	SnapshotAfterID  *string  `json:"snapshotAfterId"`
	FromCommitSHA    *string  `json:"fromCommitSha"`
	ToCommitSHA      *string  `json:"toCommitSha"`
	Path             *string  `json:"path"` // as it was asked for
	Diff             string   `json:"diff"` // the unified diffs that are known, one after another
	ChangedPaths     []string `json:"changedPaths"`
	Additions        int      `json:"additions"`
	Deletions        int      `json:"deletions"`
}
