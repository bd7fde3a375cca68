package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// handing makes an agent that hands tasks to others.
func handing(id AgentID, to ...AgentID) Agent {
	return Agent{ID: id, Account: acct, Name: strings.TrimPrefix(string(id), "agent_"), Handoffs: to}
}

// change replaces an agent's handoffs.
func (f *fixture) change(id AgentID, to ...AgentID) Result {
	f.tb.Helper()
	have, err := f.view().Agent(acct, id)
	if err != nil {
		f.tb.Fatalf("agent %s: %v", id, err)
	}
	have.Handoffs = to
	return f.by(n1, UpdateAgent{Agent: have, Seen: have.Version})
}

func TestHandoffsNameAgentsAndMakeNoLoop(t *testing.T) {
	f := newFixture(t)
	f.do(CreateAgent{Agent: handing("agent_c")})
	f.do(CreateAgent{Agent: handing("agent_b", "agent_c")})
	f.do(CreateAgent{Agent: handing("agent_a", "agent_b", "agent_c")})
	f.do(CreateAgent{Agent: Agent{ID: "agent_x", Account: other, Name: "x"}})
	for name, tt := range map[string]struct {
		cmd  Command
		says string
	}{
		"nobody":            {CreateAgent{Agent: handing("agent_d", "agent_none")}, "names no agent"},
		"another account's": {CreateAgent{Agent: handing("agent_d", "agent_x")}, "names no agent"},
		"one twice":         {CreateAgent{Agent: handing("agent_d", "agent_a", "agent_a")}, "twice"},
		"itself":            {UpdateAgent{Agent: handing("agent_c", "agent_c"), Seen: 1}, "itself"},
		"one that hands it": {UpdateAgent{Agent: handing("agent_c", "agent_b"), Seen: 1}, "c hands tasks to b, which hands them to c"},
		"one further away":  {UpdateAgent{Agent: handing("agent_c", "agent_a"), Seen: 1}, "makes a loop"},
	} {
		t.Run(name, func(t *testing.T) {
			err := f.by(n1, tt.cmd).Err()
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Kind != fault.Invalid || !strings.HasPrefix(refused.Field, "handoffs[") || !strings.Contains(refused.Message, tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	f.do(DeleteAgent{Account: acct, ID: "agent_c"})
	b, err := f.view().Agent(acct, "agent_b")
	if err != nil {
		t.Fatal(err)
	}
	b.Name = "renamed"
	f.do(UpdateAgent{Agent: b, Seen: b.Version}) // what was deleted since may stay
}

// Whatever is asked for, no task can come back to an agent that had it.
func TestNoOrderOfChangesMakesALoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFixture(t)
		var all []AgentID
		for i := range 5 {
			all = append(all, AgentID(fmt.Sprintf("agent_%d", i)))
			f.do(CreateAgent{Agent: handing(all[i])})
		}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			f.change(rapid.SampledFrom(all).Draw(t, "of"), rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 3, rapid.ID).Draw(t, "to")...)
		}
		for _, id := range all {
			reached := map[AgentID]bool{}
			for queue := []AgentID{id}; len(queue) > 0; queue = queue[1:] {
				a, err := f.view().Agent(acct, queue[0])
				if err != nil {
					t.Fatal(err)
				}
				for _, next := range a.Handoffs {
					if next == id {
						t.Fatalf("a task of %s comes back", id)
					}
					if !reached[next] {
						reached[next] = true
						queue = append(queue, next)
					}
				}
			}
		}
	})
}
