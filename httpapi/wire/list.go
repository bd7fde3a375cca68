package wire

// List is a page of a list.
type List[T any] struct {
	Object     string `json:"object"` // always "list"
	Data       []T    `json:"data"`
	HasMore    bool   `json:"has_more"`
	TotalCount int    `json:"total_count"` // exact, of all pages together
}

// ListOf makes a page; data is never null.
func ListOf[T any](data []T, more bool, total int) List[T] {
	if data == nil {
		data = []T{}
	}
	return List[T]{Object: "list", Data: data, HasMore: more, TotalCount: total}
}

// Error is the body of a refused request.
type Error struct {
	Error        string        `json:"error"`   // in words, by status: "Bad Request"
	Message      string        `json:"message"` // what was wrong, for people
	Code         string        `json:"code,omitempty"`
	Details      any           `json:"details,omitempty"` // []Detail, or the budget for a 402
	BudgetStatus *BudgetStatus `json:"budgetStatus,omitempty"`
	RequestID    string        `json:"requestId,omitempty"`
}

// Detail names the part of a request that was wrong.
type Detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// BudgetStatus says, with a 402, what is left and which limits there are.
type BudgetStatus struct {
	Balance      USD  `json:"balance"`
	DailyLimit   *USD `json:"dailyLimit"`
	DailySpent   USD  `json:"dailySpent"`
	MonthlyLimit *USD `json:"monthlyLimit"`
	MonthlySpent USD  `json:"monthlySpent"`
}

// Done is the reply of requests that return nothing.
type Done struct {
	Success bool `json:"success"`
	Deleted bool `json:"deleted,omitempty"`
}
