package wire

import "encoding/json"

// Agent is a stored definition of who runs a thread's messages.
type Agent struct {
	ID                string          `json:"id"`
	UserID            string          `json:"userId"`
	ProjectID         *string         `json:"projectId"`
	Name              string          `json:"name"`
	Description       *string         `json:"description"`
	AgentType         string          `json:"agentType"` // llm, computer
	Model             string          `json:"model,omitempty"`
	Workspace         string          `json:"workspace,omitempty"`
	Instructions      *string         `json:"instructions"`
	MCPServers        []MCPServer     `json:"mcpServers"`
	Execution         Execution       `json:"execution"`
	Handoffs          []string        `json:"handoffs"`
	Metadata          json.RawMessage `json:"metadata"`
	ReasoningEffort   string          `json:"reasoningEffort,omitempty"`
	EnabledSkills     []string        `json:"enabledSkills"`
	Binary            string          `json:"binary,omitempty"`
	DeepResearchModel string          `json:"deepResearchModel,omitempty"`
	AppID             *string         `json:"appId"`
	IsActive          bool            `json:"isActive"`
	CreatedAt         Time            `json:"createdAt"`
	UpdatedAt         Time            `json:"updatedAt"`
}

// Execution is how an agent runs.
type Execution struct {
	Debug   bool  `json:"debug"`
	Timeout int64 `json:"timeout"` // of a run, in milliseconds
}

// OneAgent wraps an agent in a reply.
type OneAgent struct {
	Agent Agent `json:"agent"`
}

// WriteAgent creates or changes an agent; what is absent stays as it is, or
// gets its default.
type WriteAgent struct {
	Name              Optional[string]          `json:"name,omitzero"`
	Description       Optional[string]          `json:"description,omitzero"`
	AgentType         Optional[string]          `json:"agentType,omitzero"`
	Model             Optional[string]          `json:"model,omitzero"`
	Workspace         Optional[string]          `json:"workspace,omitzero"`
	Instructions      Optional[string]          `json:"instructions,omitzero"`
	MCPServers        Optional[[]MCPServer]     `json:"mcpServers,omitzero"`
	Execution         Optional[WriteExecution]  `json:"execution,omitzero"`
	Handoffs          Optional[[]string]        `json:"handoffs,omitzero"`
	Metadata          Optional[json.RawMessage] `json:"metadata,omitzero"`
	ReasoningEffort   Optional[string]          `json:"reasoningEffort,omitzero"`
	EnabledSkills     Optional[[]string]        `json:"enabledSkills,omitzero"`
	Binary            Optional[string]          `json:"binary,omitzero"`
	DeepResearchModel Optional[string]          `json:"deepResearchModel,omitzero"`
	AppID             Optional[string]          `json:"appId,omitzero"`
}

// WriteExecution changes how an agent runs.
type WriteExecution struct {
	Debug   *bool  `json:"debug,omitempty"`
	Timeout *int64 `json:"timeout,omitempty"`
}

// MCPServer is a tool server, stdio or http.
type MCPServer struct {
	Type         string            `json:"type"`
	Name         string            `json:"name"`
	Command      string            `json:"command,omitempty"`
	Args         []string          `json:"args,omitempty"`
	Env          map[string]string `json:"env,omitempty"`
	Cwd          string            `json:"cwd,omitempty"`
	URL          string            `json:"url,omitempty"`
	BearerToken  string            `json:"bearerToken,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	AllowedTools []string          `json:"allowedTools,omitempty"`
	Enabled      *bool             `json:"enabled,omitempty"` // default true
}
