package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Agent is a stored definition of who runs a thread's messages.
type Agent struct {
	ID              AgentID       `cbor:"1,keyasint"`
	Account         AccountID     `cbor:"2,keyasint"`
	User            UserID        `cbor:"3,keyasint"`
	Version         uint64        `cbor:"4,keyasint"` // counts changes, for compare-and-swap
	Name            string        `cbor:"5,keyasint"`
	Description     string        `cbor:"6,keyasint"`
	Type            AgentType     `cbor:"7,keyasint"`
	Model           string        `cbor:"8,keyasint"`
	Workspace       string        `cbor:"9,keyasint"` // working directory of a computer agent
	Instructions    string        `cbor:"10,keyasint"`
	MCPServers      []MCPServer   `cbor:"11,keyasint"`
	Debug           bool          `cbor:"12,keyasint"`
	Timeout         time.Duration `cbor:"13,keyasint"`
	Handoffs        []AgentID     `cbor:"14,keyasint"`
	Metadata        []byte        `cbor:"15,keyasint"` // a JSON object, as given
	ReasoningEffort string        `cbor:"16,keyasint"`
	EnabledSkills   []string      `cbor:"17,keyasint"`
	Binary          string        `cbor:"18,keyasint"`
	ResearchModel   string        `cbor:"19,keyasint"`
	App             string        `cbor:"20,keyasint"`
	CreatedAt       time.Time     `cbor:"21,keyasint"`
	UpdatedAt       time.Time     `cbor:"22,keyasint"`
}

// AgentType is how an agent works: by calling a model, or in a computer.
type AgentType string

const (
	AgentLLM      AgentType = "llm"
	AgentComputer AgentType = "computer"
)

// MCPServer is a tool server that runs may use. What is secret in it (env,
// bearer token, headers) is sealed as one JSON object.
type MCPServer struct {
	Type         string   `cbor:"1,keyasint"` // stdio, http
	Name         string   `cbor:"2,keyasint"`
	Command      string   `cbor:"3,keyasint"`
	Args         []string `cbor:"4,keyasint"`
	Cwd          string   `cbor:"5,keyasint"`
	URL          string   `cbor:"6,keyasint"`
	AllowedTools []string `cbor:"7,keyasint"`
	Disabled     bool     `cbor:"8,keyasint"`
	Sealed       []byte   `cbor:"9,keyasint"`
}

var agents = table[Agent]{
	name: "agent", noun: "Agent",
	id:     func(a Agent) string { return string(a.ID) },
	sealed: func(a *Agent) []sealedPlace { return placesOfServers(a.Account, a.MCPServers) },
	indexes: []index[Agent]{
		{"account", func(a Agent) ([]string, string, bool) {
			return []string{string(a.Account)}, stampText(a.CreatedAt), true
		}},
	},
}

// Agent returns an agent of an account.
func (v *View) Agent(account AccountID, id AgentID) (Agent, error) {
	a, err := agents.get(v.r, string(id))
	return owned(a, err, a.Account == account, agents.noun, string(id))
}

// Agents lists an account's agents, newest first; keep may be nil.
func (v *View) Agents(account AccountID, p Page, keep func(Agent) bool) (List[Agent], error) {
	return agents.page(v.r, "account", []string{string(account)}, p, keep)
}

// CreateAgent stores a new agent.
type CreateAgent struct {
	Agent       Agent        `cbor:"1,keyasint"`
	Idempotency *Idempotency `cbor:"2,keyasint,omitempty"`
}

func (cmd CreateAgent) apply(tx *Tx) error {
	a := cmd.Agent
	if done, err := tx.once(a.Account, cmd.Idempotency, Resource{"agent", string(a.ID)}); err != nil || done {
		return err
	}
	if err := tx.checkHandoffs(a, nil); err != nil {
		return err
	}
	a.Version, a.CreatedAt, a.UpdatedAt = 1, tx.now, tx.now
	return agents.create(tx.w, a)
}

// UpdateAgent replaces an agent that has not changed since version Seen.
type UpdateAgent struct {
	Agent Agent  `cbor:"1,keyasint"`
	Seen  uint64 `cbor:"2,keyasint"`
}

func (cmd UpdateAgent) apply(tx *Tx) error {
	have, err := tx.Agent(cmd.Agent.Account, cmd.Agent.ID)
	if err != nil {
		return err
	}
	if have.Version != cmd.Seen {
		return changedSince("agent", string(have.ID))
	}
	a := cmd.Agent
	if err := tx.checkHandoffs(a, have.Handoffs); err != nil {
		return err
	}
	a.Version, a.CreatedAt, a.UpdatedAt = have.Version+1, have.CreatedAt, tx.now
	return agents.put(tx.w, a)
}

// checkHandoffs refuses handoffs to agents that are not there, and those by
// which a task could come back to the agent. One that was in the list before
// may have been deleted since.
func (tx *Tx) checkHandoffs(a Agent, before []AgentID) error {
	for i, id := range a.Handoffs {
		field := fmt.Sprintf("handoffs[%d]", i)
		if id == a.ID {
			return fault.New(fault.Invalid, "%s is the agent itself", field).WithField(field)
		}
		if slices.Contains(a.Handoffs[:i], id) {
			return fault.New(fault.Invalid, "%s is in the list twice: %s", field, id).WithField(field)
		}
		if _, err := tx.Agent(a.Account, id); fault.Is(err, fault.NotFound) && slices.Contains(before, id) {
			continue
		} else if fault.Is(err, fault.NotFound) {
			return fault.New(fault.Invalid, "%s names no agent: %s", field, id).WithField(field)
		} else if err != nil {
			return err
		}
		back, err := tx.wayBack(a, id)
		if err != nil {
			return err
		}
		if back != nil {
			return fault.New(fault.Invalid, "%s makes a loop: %s hands tasks to %s", field, a.Name, strings.Join(back, ", which hands them to ")).WithField(field)
		}
	}
	return nil
}

// wayBack finds how a task that is handed to an agent comes back to a; nil when
// it never does. Names are those of the agents on the way.
func (tx *Tx) wayBack(a Agent, from AgentID) ([]string, error) {
	type step struct {
		id    AgentID
		names []string
	}
	seen := map[AgentID]bool{from: true}
	for stack := []step{{from, nil}}; len(stack) > 0; {
		last := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if last.id == a.ID {
			return append(last.names, a.Name), nil
		}
		next, err := tx.Agent(a.Account, last.id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, id := range next.Handoffs {
			if !seen[id] {
				seen[id] = true
				stack = append(stack, step{id, append(slices.Clip(last.names), next.Name)})
			}
		}
	}
	return nil, nil
}

// CodeChanged marks a Conflict that is over after reading again.
const CodeChanged = "CHANGED"

func changedSince(noun, id string) error {
	return fault.New(fault.Conflict, "%s %s changed meanwhile; read it again", noun, id).WithCode(CodeChanged)
}

// DeleteAgent removes an agent. Runs in progress keep their own copy of its
// configuration.
type DeleteAgent struct {
	Account AccountID `cbor:"1,keyasint"`
	ID      AgentID   `cbor:"2,keyasint"`
}

func (cmd DeleteAgent) apply(tx *Tx) error {
	if _, err := tx.Agent(cmd.Account, cmd.ID); err != nil {
		return err
	}
	return agents.remove(tx.w, string(cmd.ID))
}
