package wire

// SearchThreads asks for threads by what was said in them.
type SearchThreads struct {
	Query           string `json:"query"`
	EnvironmentID   string `json:"environmentId,omitempty"`
	Status          string `json:"status,omitempty"` // a thread's, or all
	Limit           *int   `json:"limit,omitempty"`  // 1 to 100, default 20
	Offset          int    `json:"offset,omitempty"`
	IncludeMessages bool   `json:"includeMessages,omitempty"`
}

// FoundThreads are the threads that match, the best first.
type FoundThreads struct {
	Object         string         `json:"object"` // list
	Results        []FoundThread  `json:"results"`
	Data           []FoundThread  `json:"data"` // the same
	Total          int            `json:"total"`
	TotalCount     int            `json:"total_count"` // the same
	HasMore        bool           `json:"hasMore"`
	HasMoreSnake   bool           `json:"has_more"` // the same
	SearchMetadata SearchMetadata `json:"searchMetadata"`
}

// FoundThread is a thread that matches.
type FoundThread struct {
	Thread     Thread   `json:"thread"`
	Score      float64  `json:"score"`
	Highlights []string `json:"highlights"` // words that match stand between **
	// MatchingMessages are there when they were asked for.
	MatchingMessages []Message `json:"matchingMessages,omitempty"`
}

// SearchMetadata tells how a search went.
type SearchMetadata struct {
	Query            string `json:"query"`
	QueryType        string `json:"queryType"` // all_words, or any_word where no thread has all of them
	ProcessingTimeMS int64  `json:"processingTimeMs"`
	Truncated        bool   `json:"truncated"` // more match than one search reads
}
