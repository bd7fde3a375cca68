package wire

// CostSummary is what an account spent in a period of whole UTC days.
type CostSummary struct {
	Period    string     `json:"period"`
	StartDate *Time      `json:"startDate"` // null: since the beginning
	EndDate   Time       `json:"endDate"`
	Totals    CostTotals `json:"totals"`
	ByDay     []CostDay  `json:"byDay"`
}

// CostTotals adds up a period.
type CostTotals struct {
	TotalCost       USD   `json:"totalCost"`
	AgentCost       USD   `json:"agentCost"`       // model calls
	EnvironmentCost USD   `json:"environmentCost"` // computers
	TotalThreads    int64 `json:"totalThreads"`    // made
	TotalRuns       int64 `json:"totalRuns"`       // ended
	InputTokens     int64 `json:"inputTokens"`
	OutputTokens    int64 `json:"outputTokens"`
}

// CostDay is one UTC day on which something was used.
type CostDay struct {
	Date            string `json:"date"` // 2006-01-02
	TotalCost       USD    `json:"totalCost"`
	AgentCost       USD    `json:"agentCost"`
	EnvironmentCost USD    `json:"environmentCost"`
	ThreadCount     int64  `json:"threadCount"`
	RunCount        int64  `json:"runCount"`
	InputTokens     int64  `json:"inputTokens"`
	OutputTokens    int64  `json:"outputTokens"`
}

// CostBreakdown says on what a period's money went: one of the lists.
type CostBreakdown struct {
	GroupBy      string        `json:"groupBy"` // environment, agent, model, source
	Period       string        `json:"period"`
	StartDate    Time          `json:"startDate"`
	EndDate      Time          `json:"endDate"`
	Environments []CostOfThing `json:"environments,omitempty"`
	Agents       []CostOfThing `json:"agents,omitempty"`
	Models       []CostOfThing `json:"models,omitempty"`
	Sources      []CostOfThing `json:"sources,omitempty"` // models, computers
}

// CostOfThing is what one environment, agent, model or source cost.
type CostOfThing struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	TotalCost       USD    `json:"totalCost"`
	AgentCost       USD    `json:"agentCost"`
	EnvironmentCost USD    `json:"environmentCost"`
	ThreadCount     int64  `json:"threadCount"`
	RunCount        int64  `json:"runCount"`
	InputTokens     int64  `json:"inputTokens"`
	OutputTokens    int64  `json:"outputTokens"`
}

// TokenPerformance is how many tokens a period used.
type TokenPerformance struct {
	Period string      `json:"period"`
	ByDay  []TokenDay  `json:"byDay"`
	Totals TokenTotals `json:"totals"`
}

// TokenDay is one UTC day's tokens.
type TokenDay struct {
	Date string `json:"date"`
	TokenTotals
}

// TokenTotals counts tokens of model calls.
type TokenTotals struct {
	InputTokens  int64 `json:"inputTokens"`
	OutputTokens int64 `json:"outputTokens"`
	CacheTokens  int64 `json:"cacheTokens"` // of InputTokens
	TotalTokens  int64 `json:"totalTokens"`
}

// ThreadCosts lists threads by what they cost.
type ThreadCosts struct {
	List[Thread]
	Stats ThreadCostStats `json:"stats"` // of all that match, not of the page alone
}

// ThreadCostStats adds up threads. What computers cost is no thread's alone, so
// EnvironmentCost is 0.
type ThreadCostStats struct {
	TotalCost       USD `json:"totalCost"`
	AgentCost       USD `json:"agentCost"`
	EnvironmentCost USD `json:"environmentCost"`
	TotalThreads    int `json:"totalThreads"`
}
