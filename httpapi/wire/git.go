package wire

// GitStatus is what git status says of a directory of the workspace.
type GitStatus struct {
	IsGitRepo          bool      `json:"isGitRepo"`
	Path               string    `json:"path"`
	Message            *string   `json:"message"`
	Branch             *string   `json:"branch"`
	RemoteURL          *string   `json:"remoteUrl"`
	ChangedFiles       []GitFile `json:"changedFiles"`
	StagedFiles        []GitFile `json:"stagedFiles"`
	UnstagedFiles      []GitFile `json:"unstagedFiles"`
	HasChanges         bool      `json:"hasChanges"`
	HasStagedChanges   bool      `json:"hasStagedChanges"`
	HasUnstagedChanges bool      `json:"hasUnstagedChanges"`
	HasUnpushedCommits bool      `json:"hasUnpushedCommits"`
}

// GitFile is a file that git says something of.
type GitFile struct {
	Status string `json:"status"` // git's letter: M, A, D, ? ...
	Path   string `json:"path"`
}

// GitRequest is the body of every request that changes a repository; each
// reads what it needs.
type GitRequest struct {
	Path       string   `json:"path,omitempty"` // of the repository, in the workspace
	Files      []string `json:"files,omitempty"`
	All        bool     `json:"all,omitempty"`
	Message    string   `json:"message,omitempty"`
	Author     string   `json:"author,omitempty"` // Name <address>
	Name       string   `json:"name,omitempty"`   // of a branch
	Branch     string   `json:"branch,omitempty"`
	Remote     string   `json:"remote,omitempty"` // default origin
	Force      bool     `json:"force,omitempty"`
	RepoURL    string   `json:"repoUrl,omitempty"`
	TargetPath string   `json:"targetPath,omitempty"`
	Token      *string  `json:"token,omitempty"`
}

// GitDone is the reply to what changed a repository, of both generations.
type GitDone struct {
	Success bool       `json:"success"`
	SHA     *string    `json:"sha,omitempty"`
	Branch  *string    `json:"branch,omitempty"`
	Path    *string    `json:"path,omitempty"`
	Message *string    `json:"message,omitempty"`
	Commit  *GitCommit `json:"commit,omitempty"`
	Push    *GitPush   `json:"push,omitempty"`
}

// GitPush is what was pushed.
type GitPush struct {
	Remote  string `json:"remote"`
	Branch  string `json:"branch"`
	Commits int    `json:"commits"`
}

// GitBranches are a repository's branches.
type GitBranches struct {
	CurrentBranch  *string  `json:"currentBranch"`
	Branches       []string `json:"branches"`
	LocalBranches  []string `json:"localBranches"`
	RemoteBranches []string `json:"remoteBranches"`
}

// GitCommits are a repository's newest commits.
type GitCommits struct {
	Commits []GitCommit `json:"commits"`
}

// GitCommit is one commit, under the names of both generations.
type GitCommit struct {
	Hash         string `json:"hash"`
	SHA          string `json:"sha"` // the same
	ShortHash    string `json:"shortHash"`
	Author       string `json:"author"`
	Date         string `json:"date"`
	Timestamp    string `json:"timestamp"` // the same
	Message      string `json:"message"`
	FilesChanged int    `json:"filesChanged"`
}

// GitDiff is what is different, by file.
type GitDiff struct {
	Diffs []GitFileDiff `json:"diffs"`
	Stats GitStats      `json:"stats"`
}

// GitFileDiff is one file that is different.
type GitFileDiff struct {
	Path      string `json:"path"`
	Additions int    `json:"additions"`
	Deletions int    `json:"deletions"`
	Changes   string `json:"changes"` // the patch
}

// GitStats sums a diff up.
type GitStats struct {
	FilesChanged int `json:"filesChanged"`
	Insertions   int `json:"insertions"`
	Deletions    int `json:"deletions"`
}

// PrepareGitHub asks for a repository of GitHub's in the workspace.
type PrepareGitHub struct {
	RepoFullName string `json:"repoFullName"`     // owner/name
	Branch       string `json:"branch,omitempty"` // "" is the one it is on, at first the repository's own
}

// PreparedGitHub says where it is.
type PreparedGitHub struct {
	Success      bool   `json:"success"`
	RepoFullName string `json:"repoFullName"`
	RepoName     string `json:"repoName"`
	Branch       string `json:"branch"`
	Path         string `json:"path"` // in the workspace
}
