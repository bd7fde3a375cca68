package wire

// Account is a tenant.
type Account struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Budget    Budget `json:"budget"`
	CreatedAt Time   `json:"createdAt"`
}

// OneAccount wraps an account in a reply.
type OneAccount struct {
	Account Account `json:"account"`
}

// CreateAccount makes an account. A null Balance is the configured one.
type CreateAccount struct {
	Name    string `json:"name"`
	Balance *USD   `json:"balance,omitempty"`
}

// User is a person or program of an account.
type User struct {
	ID        string `json:"id"`
	AccountID string `json:"accountId"`
	Name      string `json:"name"`
	Role      string `json:"role"` // owner, admin, member
	CreatedAt Time   `json:"createdAt"`
}

// OneUser wraps a user in a reply.
type OneUser struct {
	User User `json:"user"`
}

// AddUser adds a user to an account.
type AddUser struct {
	Name string `json:"name"`
	Role string `json:"role,omitempty"` // default member
}

// Key lets a caller in. Its text is in the reply that made it and nowhere else.
type Key struct {
	ID        string   `json:"id"`
	AccountID string   `json:"accountId"`
	UserID    string   `json:"userId"`
	Name      string   `json:"name"`
	Prefix    string   `json:"prefix"` // its first characters
	Scopes    []string `json:"scopes"`
	NoLimit   bool     `json:"noLimit"`
	Admin     bool     `json:"admin"`
	IsActive  bool     `json:"isActive"`
	ExpiresAt *Time    `json:"expiresAt"`
	RevokedAt *Time    `json:"revokedAt"`
	CreatedAt Time     `json:"createdAt"`
}

// NewKey is the reply that shows a key's text, this once.
type NewKey struct {
	Key  Key    `json:"key"`
	Text string `json:"text"`
}

// CreateKey asks for a key. Absent Scopes are ["*"].
type CreateKey struct {
	UserID    string   `json:"userId,omitempty"` // "" is the account's owner
	Name      string   `json:"name,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Dialect   string   `json:"dialect,omitempty"`   // tb (default), ak, rbk, e2b: how the text begins
	ExpiresIn int64    `json:"expiresIn,omitempty"` // seconds; 0 is never
	NoLimit   bool     `json:"noLimit,omitempty"`
	Admin     bool     `json:"admin,omitempty"`
}

// Token admits one node to the cluster.
type Token struct {
	Token     string `json:"token"`
	ExpiresAt Time   `json:"expiresAt"`
}

// ClusterStatus is the cluster as the answering node sees it.
type ClusterStatus struct {
	Node         string       `json:"node"`   // that answers
	Leader       string       `json:"leader"` // its name, or ""
	Ready        bool         `json:"ready"`
	Problem      string       `json:"problem,omitempty"` // why it is not ready
	Version      string       `json:"version"`
	Nodes        []NodeStatus `json:"nodes"`
	Computers    int          `json:"computers"` // of all nodes
	RunsPending  int          `json:"runsPending"`
	RunsRunning  int          `json:"runsRunning"`
	AppliedIndex uint64       `json:"appliedIndex"` // of the answering node's replica
	Saves        SaveStatus   `json:"saves"`
	// SecretsKey is there while the secrets key is being replaced.
	SecretsKey *SecretsKey `json:"secretsKey,omitempty"`
}

// SecretsKey is the key that seals what users entrust to the cluster, and how
// far its rotation is.
type SecretsKey struct {
	ID         string `json:"id"`         // "" before the first rotation
	Phase      string `json:"phase"`      // never, resealing, closing, done
	Resealed   uint64 `json:"resealed"`   // values, of this rotation
	Unreadable int    `json:"unreadable"` // values that nothing opens; they hold the rotation up
	Unread     string `json:"unread"`     // the record of one of them, or ""
	StartedAt  *Time  `json:"startedAt"`
	EndedAt    *Time  `json:"endedAt"`
}

// SaveStatus is how safe the computers' disks are from the loss of their nodes.
type SaveStatus struct {
	Disks   int `json:"disks"`   // computers that have one
	Whole   int `json:"whole"`   // of those, whose save is all there is
	Never   int `json:"never"`   // of which there is no save
	Behind  int `json:"behind"`  // that are down, and have something that no save has
	Failing int `json:"failing"` // whose last try failed
	// Reason is why one of the last try failed; "" for none.
	Reason string `json:"reason,omitempty"`
	// OldestMS is the age of the oldest unsaved change on the answering node.
	OldestMS int64 `json:"oldestMs"`
}

// NodeStatus is one node.
type NodeStatus struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	HTTP        string `json:"http"`
	Peer        string `json:"peer"`
	Alive       bool   `json:"alive"` // as gossip has it
	Voter       bool   `json:"voter"`
	Leader      bool   `json:"leader"`
	Leased      bool   `json:"leased"`
	LeaseLeftMS int64  `json:"leaseLeftMs"` // 0 when not known here
	Incarnation uint64 `json:"incarnation"`
	Computers   int    `json:"computers"`
	Version     string `json:"version"`
	Store       string `json:"store"` // id of the blob store that it reaches; "" is none
	// DrainingSince is there while the node gives away what it has.
	DrainingSince *Time `json:"drainingSince,omitempty"`
}

// Drain is how far a node has given away what it has.
type Drain struct {
	Node      string `json:"node"` // its name
	Draining  bool   `json:"draining"`
	Since     *Time  `json:"since"` // null while it does not
	Done      bool   `json:"done"`  // nothing is left on it
	Computers int    `json:"computers"`
	Running   int    `json:"running"` // of the computers
	Runs      int    `json:"runs"`    // in progress on them
	Builds    int    `json:"builds"`
	// Answers is false when the node itself could not be asked: then Departures
	// is empty.
	Answers    bool        `json:"answers"`
	Departures []Departure `json:"departures"`
}

// Rebalance asks for moves that even out what the nodes have.
type Rebalance struct {
	DryRun bool `json:"dryRun,omitempty"` // only say which
	Max    *int `json:"max,omitempty"`    // how many at most
}

// Rebalanced is what was, or would be, moved.
type Rebalanced struct {
	Begun bool   `json:"begun"`
	Moves []Move `json:"moves"`
}

// Move is a computer's way from one node to another.
type Move struct {
	ComputerID string `json:"computerId"`
	From       string `json:"from"` // nodes' names
	To         string `json:"to"`
	Why        string `json:"why,omitempty"` // it was not begun
}

// Departure is a computer on its way off a node, or one that cannot go.
type Departure struct {
	ComputerID string `json:"computerId"`
	Step       string `json:"step"`          // waiting, saving, sending, settling, moving, staying
	Why        string `json:"why,omitempty"` // it stays
	Since      Time   `json:"since"`
}

// Computer is a durable machine.
type Computer struct {
	ID            string  `json:"id"`
	AccountID     string  `json:"accountId"`
	EnvironmentID *string `json:"environmentId"`
	Name          string  `json:"name"`
	Node          *string `json:"node"` // name of its owner
	Epoch         uint64  `json:"epoch"`
	Phase         string  `json:"phase"`
	Wish          string  `json:"wish"`
	Error         *string `json:"error"`
	Image         string  `json:"image"`
	MemoryBytes   int64   `json:"memoryBytes"`
	MilliCPU      int64   `json:"milliCpu"`
	DiskBytes     int64   `json:"diskBytes"`
	Internet      bool    `json:"internetAccess"`
	Runs          int     `json:"runs"` // in progress on it
	StartedAt     *Time   `json:"startedAt"`
	SavedAt       *Time   `json:"savedAt"`    // the moment that its newest save off its node shows
	SavedWhole    bool    `json:"savedWhole"` // nothing can have been written since
	SaveError     *string `json:"saveError"`  // why the last try failed
	RestoredAt    *Time   `json:"restoredAt"`
	RestoredFrom  *Time   `json:"restoredFrom"` // the moment that the save shows which it was made from
	CreatedAt     Time    `json:"createdAt"`
	UpdatedAt     Time    `json:"updatedAt"`
}

// OneComputer wraps a computer in a reply.
type OneComputer struct {
	Computer Computer `json:"computer"`
}

// Exec is a command to run in a computer: the first line of the request. Lines
// after it are ExecInput.
type Exec struct {
	Argv      []string          `json:"argv"`
	Env       map[string]string `json:"env,omitempty"`
	Dir       string            `json:"dir,omitempty"`
	User      string            `json:"user,omitempty"`
	TimeoutMS int64             `json:"timeoutMs,omitempty"` // 0 is none
	// Stdin says that input follows; without it the command reads nothing.
	Stdin bool `json:"stdin,omitempty"`
}

// ExecInput is a piece of a command's input. The end of the request's body is
// the end of the input.
type ExecInput struct {
	Stdin []byte `json:"stdin"` // base64
}

// ExecOutput is a line of the reply: output, or how the command ended.
type ExecOutput struct {
	Stdout []byte    `json:"stdout,omitempty"` // base64
	Stderr []byte    `json:"stderr,omitempty"` // base64
	Exit   *ExecExit `json:"exit,omitempty"`   // the last line
	Error  *Error    `json:"error,omitempty"`  // the last line when the command was lost
	Status int       `json:"status,omitempty"` // the HTTP status that Error would have had
}

// ExecExit is how a command ended.
type ExecExit struct {
	Code       int    `json:"code"`
	Signal     string `json:"signal,omitempty"`
	TimedOut   bool   `json:"timedOut,omitempty"`
	DurationMS int64  `json:"durationMs"`
}
