package wire

// FileChange is a file that a run changed.
type FileChange struct {
	Path      string `json:"path"`
	Kind      string `json:"kind"` // created, modified, deleted
	Diff      string `json:"diff,omitempty"`
	Additions int    `json:"additions"`
	Deletions int    `json:"deletions"`
}

// ThreadDiffs is what the runs of a thread changed in the workspace, the
// newest run first and each by path.
type ThreadDiffs struct {
	Object     string     `json:"object"` // list
	Diffs      []FileDiff `json:"diffs"`
	Data       []FileDiff `json:"data"` // the same
	HasMore    bool       `json:"has_more"`
	TotalCount int        `json:"total_count"`
	Runs       []RunDiff  `json:"runs"`
}

// FileDiff is a file that is not as it was before a run.
type FileDiff struct {
	Path        string  `json:"path"`
	Status      string  `json:"status"` // added, modified, deleted
	Type        string  `json:"type"`   // created, modified, deleted
	Diff        string  `json:"diff"`   // unified; "" where omitted says why
	Additions   int     `json:"additions"`
	Deletions   int     `json:"deletions"`
	Binary      bool    `json:"binary"`
	Omitted     *string `json:"omitted"` // binary, large, link, unknown, or null
	RunID       string  `json:"runId"`
	ExecutionID string  `json:"executionId"` // the same
}

// RunDiff sums up what one run changed.
type RunDiff struct {
	RunID     string  `json:"runId"`
	Files     int     `json:"files"`
	MoreFiles int     `json:"moreFiles"` // changed too, and not told
	Note      *string `json:"note"`      // what could not be told, and why
	CreatedAt Time    `json:"createdAt"`
}
