package wire

import "encoding/json"

// Task is work given to a computer, as the Rebyte dialect lists it.
type Task struct {
	ID          string `json:"id"`
	URL         string `json:"url"`
	WorkspaceID string `json:"workspaceId"`
	Title       string `json:"title"`
	Status      string `json:"status"` // running, completed, failed, canceled
	Executor    string `json:"executor"`
	Model       string `json:"model"`
	CreatedAt   Time   `json:"createdAt"`
	CompletedAt *Time  `json:"completedAt"`
}

// TaskInFull is a task with its prompts, oldest first.
type TaskInFull struct {
	Task
	Visibility  string   `json:"visibility"` // private, shared, public
	Prompts     []Prompt `json:"prompts"`
	FinalResult string   `json:"finalResult,omitempty"`
}

// Prompt is one prompt of a task.
type Prompt struct {
	ID          string `json:"id"`
	Status      string `json:"status"` // pending, running, succeeded, failed, canceled
	SubmittedAt Time   `json:"submittedAt"`
	CompletedAt *Time  `json:"completedAt"`
}

// WritePrompt asks for something. Empty fields are the task's or the defaults.
type WritePrompt struct {
	Prompt   string       `json:"prompt"`
	Executor string       `json:"executor,omitempty"`
	Model    string       `json:"model,omitempty"`
	Files    []PromptFile `json:"files,omitempty"`
	Skills   []string     `json:"skills,omitempty"` // of the account, by name
}

// PromptFile is an upload that a prompt is given.
type PromptFile struct {
	ID       string `json:"id"`
	Filename string `json:"filename"`
}

// CreateTask asks for a task and its first prompt. Without a WorkspaceID a
// computer is made for it.
type CreateTask struct {
	WritePrompt
	WorkspaceID string `json:"workspaceId,omitempty"`
	GithubURL   string `json:"githubUrl,omitempty"` // owner/repository
	BranchName  string `json:"branchName,omitempty"`
}

// CreatedTask is the reply to CreateTask.
type CreatedTask struct {
	ID          string `json:"id"`
	WorkspaceID string `json:"workspaceId"`
	URL         string `json:"url"`
	Status      string `json:"status"`
	CreatedAt   Time   `json:"createdAt"`
}

// CreatedPrompt is the reply to a further prompt.
type CreatedPrompt struct {
	PromptID string `json:"promptId"`
}

// TaskVisibility says who may read a task; ShareURL is set in replies when
// everybody may.
type TaskVisibility struct {
	Visibility string `json:"visibility"`
	ShareURL   string `json:"shareUrl,omitempty"`
}

// Upload says where the bytes of a file may be put, by PUT and without a key.
type Upload struct {
	ID        string `json:"id,omitempty"`
	Filename  string `json:"filename"`
	UploadURL string `json:"uploadUrl"`
}

// TaskEvent is one event of a task's stream. Clients that start over know by Seq
// what they have.
type TaskEvent struct {
	Seq       uint64           `json:"seq"`
	EventType string           `json:"eventType"`
	Timestamp Time             `json:"timestamp"`
	Payload   TaskEventPayload `json:"payload"`
}

// TaskEventPayload has the names that clients of every age look for.
type TaskEventPayload struct {
	Text     string          `json:"text,omitempty"`
	Result   *string         `json:"result,omitempty"`
	Message  string          `json:"message,omitempty"`
	Model    string          `json:"model,omitempty"`
	ID       string          `json:"id,omitempty"`
	ToolID   string          `json:"tool_id,omitempty"`
	Name     string          `json:"name,omitempty"`
	ToolName string          `json:"tool_name,omitempty"`
	Input    json.RawMessage `json:"input,omitempty"`
	Params   json.RawMessage `json:"params,omitempty"`
	Output   *string         `json:"output,omitempty"`
	ExitCode *int            `json:"exitCode,omitempty"`
	Path     string          `json:"path,omitempty"`
	Change   string          `json:"change,omitempty"`
}

// TaskDone ends a task's stream.
type TaskDone struct {
	Status      string `json:"status"` // of the prompt: succeeded, failed, canceled
	FinalResult string `json:"finalResult,omitempty"`
}

// PageOf is a page of a list as the Rebyte dialect writes it.
type PageOf[T any] struct {
	Data   []T `json:"data"`
	Total  int `json:"total"`
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}
