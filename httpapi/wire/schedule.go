package wire

import "encoding/json"

// Schedule says a task to an agent at its times.
type Schedule struct {
	ID              string          `json:"id"`
	UserID          string          `json:"userId"`
	Name            string          `json:"name"`
	Description     *string         `json:"description"`
	Task            string          `json:"task"`
	AgentID         *string         `json:"agentId"`
	AgentName       *string         `json:"agentName"`
	EnvironmentID   string          `json:"environmentId"`
	EnvironmentName *string         `json:"environmentName"`
	ThreadID        *string         `json:"threadId"` // where it speaks; null makes a thread each time
	AppID           *string         `json:"appId"`
	ContextID       *string         `json:"contextId"`
	ContextName     *string         `json:"contextName"`
	WorkspaceID     *string         `json:"workspaceId"`
	WorkspaceName   *string         `json:"workspaceName"`
	ScheduleType    string          `json:"scheduleType"` // one-time, recurring
	CronExpression  *string         `json:"cronExpression"`
	ScheduledTime   *Time           `json:"scheduledTime"`
	Timezone        string          `json:"timezone"`
	Enabled         bool            `json:"enabled"`
	NextRunAt       *Time           `json:"nextRunAt"`
	LastRunAt       *Time           `json:"lastRunAt"`
	LastRunID       *string         `json:"lastRunId"`
	LastError       *string         `json:"lastError"`
	RunCount        int64           `json:"runCount"` // begun, or refused for want of money or of an environment
	SuccessCount    int64           `json:"successCount"`
	FailureCount    int64           `json:"failureCount"` // the refused ones too
	MissedCount     int64           `json:"missedCount"`  // times that passed without a run
	Metadata        json.RawMessage `json:"metadata"`
	CreatedAt       Time            `json:"createdAt"`
	UpdatedAt       Time            `json:"updatedAt"`
}

// OneSchedule wraps a schedule in a reply.
type OneSchedule struct {
	Schedule Schedule `json:"schedule"`
}

// WriteSchedule creates or changes a schedule; what is absent stays as it is, or
// gets its default.
type WriteSchedule struct {
	Name            Optional[string]          `json:"name,omitzero"`
	Description     Optional[string]          `json:"description,omitzero"`
	Task            Optional[string]          `json:"task,omitzero"`
	AgentID         Optional[string]          `json:"agentId,omitzero"`
	AgentName       Optional[string]          `json:"agentName,omitzero"`
	EnvironmentID   Optional[string]          `json:"environmentId,omitzero"`
	EnvironmentName Optional[string]          `json:"environmentName,omitzero"`
	AppID           Optional[string]          `json:"appId,omitzero"`
	ContextID       Optional[string]          `json:"contextId,omitzero"`
	ContextName     Optional[string]          `json:"contextName,omitzero"`
	WorkspaceID     Optional[string]          `json:"workspaceId,omitzero"`
	WorkspaceName   Optional[string]          `json:"workspaceName,omitzero"`
	ScheduleType    Optional[string]          `json:"scheduleType,omitzero"` // by default what the times say
	Type            Optional[string]          `json:"type,omitzero"`         // the same; also cron and once
	CronExpression  Optional[string]          `json:"cronExpression,omitzero"`
	ScheduledTime   Optional[string]          `json:"scheduledTime,omitzero"` // without an offset, in Timezone
	Timezone        Optional[string]          `json:"timezone,omitzero"`      // default UTC
	Enabled         Optional[bool]            `json:"enabled,omitzero"`       // default true
	Metadata        Optional[json.RawMessage] `json:"metadata,omitzero"`
}

// ScheduledThread is the reply to a thread made with a schedule.
type ScheduledThread struct {
	Thread   Thread   `json:"thread"`
	Schedule Schedule `json:"schedule"`
}

// TriggeredSchedule is the reply to a trigger: the run that it began.
type TriggeredSchedule struct {
	RunID     string `json:"runId"`
	Triggered bool   `json:"triggered"`
	Thread    Thread `json:"thread"`
	Message   string `json:"message"`
}

// DeletedSchedule is the reply to a delete.
type DeletedSchedule struct {
	Success    bool   `json:"success"`
	Deleted    bool   `json:"deleted"`
	ScheduleID string `json:"scheduleId"`
}
