package wire

// BillingRecord is a line of an account's bill: a credit, or what one run's
// model calls or one computer cost on one UTC day.
type BillingRecord struct {
	ID            string  `json:"id"`
	UserID        string  `json:"userId"`
	RecordType    string  `json:"recordType"` // charge, credit
	Type          string  `json:"type"`       // execution, computer, credit
	Amount        USD     `json:"amount"`     // spent or added, never negative
	Description   string  `json:"description"`
	ThreadID      *string `json:"threadId"`
	RunID         *string `json:"runId"`
	AgentID       *string `json:"agentId"`
	EnvironmentID *string `json:"environmentId"`
	ComputerID    *string `json:"computerId"`
	Model         *string `json:"model"`
	CreatedAt     Time    `json:"createdAt"`
	UpdatedAt     Time    `json:"updatedAt"` // of the newest part of its amount
}

// Transactions is a page of the bill, as older clients read it.
type Transactions struct {
	Transactions []BillingRecord `json:"transactions"`
	Pagination   Pagination      `json:"pagination"`
}

// Pagination says which part of a list a reply holds.
type Pagination struct {
	Total  int `json:"total"`
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}

// BillingAccount is how the caller's key is billed.
type BillingAccount struct {
	APIKeyID       string `json:"apiKeyId"`
	AccountID      string `json:"accountId"`
	Type           string `json:"type"`   // standard, internal: not billed
	Status         string `json:"status"` // active, suspended: nothing more may be spent
	MonthlyBudget  *USD   `json:"monthlyBudget"`
	CurrentBalance USD    `json:"currentBalance"`
	CreatedAt      Time   `json:"createdAt"`
}

// OneBillingAccount wraps it in a reply.
type OneBillingAccount struct {
	Account BillingAccount `json:"account"`
}

// BillingStats is what an account used in a period.
type BillingStats struct {
	Period      string        `json:"period"`
	StartDate   Time          `json:"startDate"`
	EndDate     Time          `json:"endDate"`
	TotalCost   USD           `json:"totalCost"`
	TotalTokens int64         `json:"totalTokens"`
	TotalRuns   int64         `json:"totalRuns"`
	Breakdown   []CostOfThing `json:"breakdown,omitempty"` // by project (here: environment), model or agent
}

// OneBillingStats wraps them in a reply.
type OneBillingStats struct {
	Stats BillingStats `json:"stats"`
}

// BillingSummary is a period in five figures.
type BillingSummary struct {
	TotalSpent  USD   `json:"totalSpent"`
	PeriodStart Time  `json:"periodStart"`
	PeriodEnd   Time  `json:"periodEnd"`
	RunCount    int64 `json:"runCount"`
	TokenCount  int64 `json:"tokenCount"`
}

// BillingDays is what each day cost.
type BillingDays struct {
	Days []BillingDay `json:"days"`
}

// BillingDay is what one UTC day cost.
type BillingDay struct {
	Date   string `json:"date"` // 2006-01-02
	Cost   USD    `json:"cost"`
	Runs   int64  `json:"runs"`
	Tokens int64  `json:"tokens"`
}

// WorkspaceUsage is what an account's disks hold.
type WorkspaceUsage struct {
	Workspaces []Workspace    `json:"workspaces"`
	Total      WorkspaceTotal `json:"total"`
}

// Workspace is one computer's disk.
type Workspace struct {
	ID            string  `json:"id"` // of the environment or, where there is none, the computer
	ComputerID    string  `json:"computerId"`
	EnvironmentID *string `json:"environmentId"`
	Name          string  `json:"name"`
	StorageBytes  int64   `json:"storageBytes"`
}

// WorkspaceTotal adds them up.
type WorkspaceTotal struct {
	StorageBytes int64 `json:"storageBytes"`
	ProjectCount int   `json:"projectCount"` // workspaces
}
