package wire

// Webhook is an address that is told what becomes of tasks, runs, computers and
// builds. Its secret is never shown.
type Webhook struct {
	ID              string   `json:"id"`
	URL             string   `json:"url"`
	Events          []string `json:"events"` // such as task.completed, run.failed, computer.stopped, build.completed
	Description     *string  `json:"description"`
	HasSecret       bool     `json:"hasSecret"`
	IsActive        bool     `json:"isActive"`
	CreatedAt       Time     `json:"createdAt"`
	LastTriggeredAt *Time    `json:"lastTriggeredAt"`
	FailureCount    int      `json:"failureCount"` // deliveries given up since the last that arrived
}

// WriteWebhook asks for a webhook.
type WriteWebhook struct {
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Description string   `json:"description,omitempty"`
	Secret      string   `json:"secret,omitempty"`
}

// Webhooks is a list of webhooks, under the two names that clients look for.
type Webhooks struct {
	Webhooks []Webhook `json:"webhooks"`
	Data     []Webhook `json:"data"`
	Total    int       `json:"total"`
}
