package wire

import "encoding/json"

// Environment is a recipe and its one computer.
type Environment struct {
	ID                   string            `json:"id"`
	UserID               string            `json:"userId"`
	ProjectID            *string           `json:"projectId"`
	Name                 string            `json:"name"`
	Description          *string           `json:"description"`
	BaseImage            *string           `json:"baseImage"`
	DockerfileExtensions *string           `json:"dockerfileExtensions"`
	Runtimes             map[string]string `json:"runtimes"`
	Packages             Packages          `json:"packages"`
	EnvironmentVariables []KeyValue        `json:"environmentVariables"`
	Secrets              []KeyValue        `json:"secrets"`
	SetupScripts         []string          `json:"setupScripts"`
	MCPServers           []MCPServer       `json:"mcpServers"`
	Documentation        []string          `json:"documentation"`
	InternetAccess       bool              `json:"internetAccess"`
	NetworkAccess        json.RawMessage   `json:"networkAccess"`
	Metadata             json.RawMessage   `json:"metadata"`
	BuildStatus          string            `json:"buildStatus"` // pending, building, ready, failed
	BuildHash            *string           `json:"buildHash"`
	BuildError           *string           `json:"buildError"`
	BuildLogs            *string           `json:"buildLogs"`
	LastBuildAt          *Time             `json:"lastBuildAt"`
	ImageTag             *string           `json:"imageTag"`
	IsDefault            bool              `json:"isDefault"`
	IsActive             bool              `json:"isActive"`
	Status               string            `json:"status"` // stopped, building, running, error
	ComputerID           string            `json:"computerId"`
	AppID                *string           `json:"appId"`
	CreatedAt            Time              `json:"createdAt"`
	UpdatedAt            Time              `json:"updatedAt"`
}

// Packages are what is installed, by installer.
type Packages struct {
	System []string `json:"system"`
	Python []string `json:"python"`
	Node   []string `json:"node"`
}

// OneEnvironment wraps an environment in a reply.
type OneEnvironment struct {
	Environment Environment `json:"environment"`
}

// DefaultEnvironment is the account's default, both bare and wrapped: older
// clients read the one, newer the other.
type DefaultEnvironment struct {
	Environment
	Wrapped Environment `json:"environment"`
}

// WriteEnvironment creates or changes an environment; what is absent stays as
// it is, or gets its default.
type WriteEnvironment struct {
	Name                 Optional[string]            `json:"name,omitzero"`
	Description          Optional[string]            `json:"description,omitzero"`
	BaseImage            Optional[string]            `json:"baseImage,omitzero"`
	DockerfileExtensions Optional[string]            `json:"dockerfileExtensions,omitzero"`
	Runtimes             Optional[map[string]string] `json:"runtimes,omitzero"`
	Packages             Optional[Packages]          `json:"packages,omitzero"`
	EnvironmentVariables Optional[[]KeyValue]        `json:"environmentVariables,omitzero"`
	Secrets              Optional[[]KeyValue]        `json:"secrets,omitzero"`
	SetupScripts         Optional[[]string]          `json:"setupScripts,omitzero"`
	MCPServers           Optional[[]MCPServer]       `json:"mcpServers,omitzero"`
	Documentation        Optional[[]string]          `json:"documentation,omitzero"`
	InternetAccess       Optional[bool]              `json:"internetAccess,omitzero"`
	NetworkAccess        Optional[json.RawMessage]   `json:"networkAccess,omitzero"`
	Metadata             Optional[json.RawMessage]   `json:"metadata,omitzero"`
	IsDefault            Optional[bool]              `json:"isDefault,omitzero"`
	IsActive             Optional[bool]              `json:"isActive,omitzero"`
	AppID                Optional[string]            `json:"appId,omitzero"`
}

// StartEnvironment starts an environment's computer. Cpus and Memory are not
// taken yet.
type StartEnvironment struct {
	WorkspaceID string          `json:"workspaceId,omitempty"`
	Cpus        json.RawMessage `json:"cpus,omitempty"`
	Memory      json.RawMessage `json:"memory,omitempty"`
}

// StartedEnvironment is the reply to a start.
type StartedEnvironment struct {
	Success       bool    `json:"success"`
	ContainerName string  `json:"containerName"`
	ContainerID   string  `json:"containerId"`
	ImageTag      *string `json:"imageTag"`
	WorkspacePath string  `json:"workspacePath"`
	Status        string  `json:"status"`
	Message       *string `json:"message"` // what its next start changes
}

// StopEnvironment stops an environment's computer.
type StopEnvironment struct {
	ContainerID string `json:"containerId,omitempty"`
	All         bool   `json:"all,omitempty"`
}

// StoppedEnvironment is the reply to a stop.
type StoppedEnvironment struct {
	Success    bool     `json:"success"`
	Stopped    int      `json:"stopped"`
	Containers []string `json:"containers"`
}

// EnvironmentStatus is what an environment's computer is doing.
type EnvironmentStatus struct {
	Status      string   `json:"status"`           // stopped, building, running, error
	Uptime      *int64   `json:"uptime,omitempty"` // seconds
	Memory      *int64   `json:"memory,omitempty"` // bytes
	CPU         *float64 `json:"cpu,omitempty"`    // percent of one processor
	ContainerID *string  `json:"containerId"`
	StartedAt   *Time    `json:"startedAt"`
	Message     *string  `json:"message"` // why it is in error, or what its next start changes
}
