package actors

import "github.com/bothy-computer/bothy/cluster/state"

// Caller is who asks: an account, one of its users, and the key they showed.
// Idempotency is set when the request carried an Idempotency-Key.
type Caller struct {
	Account     state.AccountID
	User        state.UserID
	Key         state.Key
	Idempotency *state.Idempotency
}

// KeyValue is a named value in plain text, on its way in to be sealed or out
// to its owner.
type KeyValue struct{ Key, Value string }

// MCPServer is a tool server in plain text. Bearer, Headers and Env are sealed
// before they enter a command and opened only for their owner and for runs.
type MCPServer struct {
	Type         string // stdio, http
	Name         string
	Command      string
	Args         []string
	Env          map[string]string
	Cwd          string
	URL          string
	Bearer       string
	Headers      map[string]string
	AllowedTools []string
	Disabled     bool
}

// NewThread asks for a thread. An empty Environment is the account's default,
// made if it has none.
type NewThread struct {
	Environment state.EnvironmentID
	Agent       state.AgentID
	Title       string
	App         string
	Metadata    []byte // a JSON object, or nil
}

// NewRun asks for a run: a message in a thread that exists, or in one made
// with it (Create). Everything below Content overrides the thread's agent and
// environment for this run alone.
type NewRun struct {
	Thread          state.ThreadID
	Create          *NewThread
	Content         string
	Attachments     []byte // a JSON array, or nil
	Model           string
	Instructions    string
	ReasoningEffort string
	MCPServers      []MCPServer
	Variables       []KeyValue // envVars and secrets
	SetupScripts    []string
	Files           []state.StagedFile
	InternetAccess  *bool
	Executor        string   // "" is as the agent says
	Skills          []string // by name or id; nil: the agent's
	SkillsField     string   // what the request calls them; "" is enabledSkills
}

// Started is a run that was recorded: everything about it is in the thread's
// log from FirstSeq on. Replayed is set when an Idempotency-Key found it.
type Started struct {
	Thread   state.Thread
	Run      state.Run
	Replayed bool
}

// EnvironmentSpec is an environment as its owner writes it, in plain text.
type EnvironmentSpec struct {
	Name          string
	Description   string
	BaseImage     string
	Dockerfile    string
	Runtimes      map[string]string
	Packages      state.Packages
	Variables     []KeyValue
	Secrets       []KeyValue
	SetupScripts  []string
	MCPServers    []MCPServer
	Documentation []string
	NoInternet    bool
	NetworkAccess []byte
	Metadata      []byte
	Default       bool
	App           string
}
