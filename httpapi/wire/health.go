package wire

// Health is what a node says of itself.
type Health struct {
	Status    string            `json:"status"` // healthy, unhealthy
	Timestamp Time              `json:"timestamp"`
	Uptime    int64             `json:"uptime"` // seconds
	Checks    map[string]string `json:"checks"` // "ok", or what is wrong
	Version   string            `json:"version"`
	Node      string            `json:"node"`
}

// Alive is the reply of the probes.
type Alive struct {
	OK      bool   `json:"ok"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// Totals sums up all runs that ended.
type Totals struct {
	TotalExecutions      int64   `json:"totalExecutions"`
	SuccessfulExecutions int64   `json:"successfulExecutions"`
	FailedExecutions     int64   `json:"failedExecutions"`
	CancelledExecutions  int64   `json:"cancelledExecutions"`
	AverageDuration      float64 `json:"averageDuration"` // milliseconds
	TotalTokensUsed      int64   `json:"totalTokensUsed"`
	TotalCost            USD     `json:"totalCost"`
}

// MetricsHistory is what ended on each UTC day, the oldest first.
type MetricsHistory struct {
	Count   int          `json:"count"` // of days
	History []MetricsDay `json:"history"`
}

// MetricsDay is one UTC day of all accounts.
type MetricsDay struct {
	Date            string `json:"date"` // 2006-01-02
	TotalExecutions int64  `json:"totalExecutions"`
	TotalTokensUsed int64  `json:"totalTokensUsed"`
	TotalCost       USD    `json:"totalCost"`
}
