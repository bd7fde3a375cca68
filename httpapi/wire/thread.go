package wire

import "encoding/json"

// Thread is a conversation with an agent in an environment.
type Thread struct {
	ID            string          `json:"id"`
	UserID        string          `json:"userId"`
	ProjectID     *string         `json:"projectId"` // always null: there are no projects
	EnvironmentID string          `json:"environmentId"`
	AgentID       *string         `json:"agentId"`
	Title         *string         `json:"title"`
	Status        string          `json:"status"` // active, running, completed, failed, cancelled
	MessageCount  int             `json:"messageCount"`
	InputTokens   int64           `json:"inputTokens"`
	OutputTokens  int64           `json:"outputTokens"`
	TotalTokens   int64           `json:"totalTokens"`
	TotalCost     USD             `json:"totalCost"`
	AppID         *string         `json:"appId"`
	Metadata      json.RawMessage `json:"metadata"`
	ComputerID    string          `json:"computerId"`
	RunID         *string         `json:"runId"` // in progress, or null
	// LastEventID is the id of the newest event: Last-Event-ID for what follows.
	LastEventID uint64    `json:"lastEventId"`
	Messages    []Message `json:"messages,omitempty"` // only when one thread was asked for
	CreatedAt   Time      `json:"createdAt"`
	UpdatedAt   Time      `json:"updatedAt"`
}

// Message is what was said in a thread.
type Message struct {
	ID          string          `json:"id"`
	ThreadID    string          `json:"threadId"`
	Role        string          `json:"role"` // user, assistant, system
	Content     string          `json:"content"`
	RunID       *string         `json:"runId"`
	Attachments json.RawMessage `json:"attachments,omitempty"`
	Metadata    json.RawMessage `json:"metadata"`
	Timestamp   Time            `json:"timestamp"`
	CreatedAt   Time            `json:"createdAt"`
}

// OneThread wraps a thread in a reply.
type OneThread struct {
	Thread Thread `json:"thread"`
}

// CopiedThread is the reply to a copy.
type CopiedThread struct {
	Thread         Thread `json:"thread"`
	EnvironmentID  string `json:"environmentId"`
	MessagesCopied int    `json:"messagesCopied"`
}

// CancelledThread is the reply to a cancel: the run ends soon after.
type CancelledThread struct {
	Success   bool   `json:"success"`
	Cancelled bool   `json:"cancelled"`
	ThreadID  string `json:"threadId"`
}

// PostMessage asks for a run. Only Content (or Task) is needed; what follows
// overrides the thread's agent and environment for this run.
type PostMessage struct {
	Content        string            `json:"content,omitempty"`
	Task           string            `json:"task,omitempty"` // the same as Content
	AgentConfig    *AgentConfig      `json:"agentConfig,omitempty"`
	MCPServers     []MCPServer       `json:"mcpServers,omitempty"`
	EnvVars        map[string]string `json:"envVars,omitempty"`
	Secrets        []KeyValue        `json:"secrets,omitempty"`
	SetupScripts   []string          `json:"setupScripts,omitempty"`
	InternetAccess *bool             `json:"internetAccess,omitempty"`
	Attachments    []json.RawMessage `json:"attachments,omitempty"`
	EnabledSkills  []string          `json:"enabledSkills,omitempty"` // instead of the agent's; by name or id
}

// AgentConfig overrides an agent for one run.
type AgentConfig struct {
	Model           string `json:"model,omitempty"`
	Instructions    string `json:"instructions,omitempty"`
	ReasoningEffort string `json:"reasoningEffort,omitempty"` // minimal, low, medium, high
}

// KeyValue is a named value. Values of secrets are never returned.
type KeyValue struct {
	Key      string `json:"key"`
	Value    string `json:"value,omitempty"`
	HasValue bool   `json:"hasValue,omitempty"`
}

// CreateThread asks for a thread and, with a message, for its first run.
type CreateThread struct {
	PostMessage
	EnvironmentID string                  `json:"environmentId,omitempty"`
	AgentID       string                  `json:"agentId,omitempty"`
	Title         string                  `json:"title,omitempty"`
	AppID         string                  `json:"appId,omitempty"`
	Metadata      json.RawMessage         `json:"metadata,omitempty"`
	Messages      []Said                  `json:"messages,omitempty"`
	Stream        *bool                   `json:"stream,omitempty"`  // default true
	Schedule      Optional[WriteSchedule] `json:"schedule,omitzero"` // runs the message at its times, not now
}

// Said is a message in a request.
type Said struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// PatchThread changes a thread; what is absent stays as it is.
type PatchThread struct {
	Title    *string                   `json:"title,omitempty"`
	Status   *string                   `json:"status,omitempty"`
	AgentID  Optional[string]          `json:"agentId,omitzero"` // null takes the agent away
	Metadata Optional[json.RawMessage] `json:"metadata,omitzero"`
}

// CopyThread names a copy.
type CopyThread struct {
	Title string `json:"title,omitempty"`
}

// RunReply answers a message sent with stream false, once its run has ended.
type RunReply struct {
	Thread   Thread   `json:"thread"`
	Run      Run      `json:"run"`
	Response Response `json:"response"`
}
