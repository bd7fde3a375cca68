package actors

import (
	"os"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
	"github.com/bothy-computer/bothy/cluster/state"
)

// clock is a server that runs in the computer, which the fake driver makes of
// this machine: this test's own program.
func clock() MCPServer {
	return MCPServer{Type: "stdio", Name: "clock", Command: os.Args[0], Env: map[string]string{mcptest.Variable: "1", "SECRET": "hush-hush-hush"}}
}

// results are what tools answered, in order.
func results(events []state.Event) []state.Event {
	var all []state.Event
	for _, e := range events {
		if e.Type == state.ItemToolResult {
			all = append(all, e)
		}
	}
	return all
}

func TestAModelCallsAToolOfAServerInTheComputer(t *testing.T) {
	h := tenant(t, 10_000_000,
		agenttest.Responses(agenttest.FunctionCall("fc1", "mcp__clock__echo", `{"text":"hello"}`)),
		agenttest.Responses(agenttest.Message("Done.")))
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: "say hello", MCPServers: []MCPServer{clock()}})
	if err != nil {
		t.Fatal(err)
	}
	events := follow(t, h, s)
	if end := last(events); end.Status != string(state.RunSuccess) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	got := results(events)
	if len(got) != 1 || got[0].Tool.Output != "hello" || got[0].Tool.Failed {
		t.Fatalf("the tool answered %+v", got)
	}
	for _, e := range events {
		if e.Type == state.ItemToolCall && (e.Tool.Server != "clock" || e.Tool.ServerTool != "echo") {
			t.Errorf("the call is told as %+v", e.Tool)
		}
		if strings.Contains(e.Text, "could not be started") {
			t.Error(e.Text)
		}
	}
	if a := h.account(t); a.Reserved != 0 || a.TotalSpent != last(events).Usage.Cost {
		t.Errorf("the run cost %d; the account is %+v", last(events).Usage.Cost, a)
	}
}

func TestServersOfMessageAgentAndEnvironmentAreMergedByName(t *testing.T) {
	h := tenant(t, 10_000_000,
		agenttest.Responses(agenttest.FunctionCall("c1", "mcp__mine__echo", `{"text":"the agent's"}`)),
		agenttest.Responses(agenttest.Message("Done.")))
	named := func(name, command string, off bool) MCPServer {
		s := clock()
		s.Name, s.Command, s.Disabled = name, command, off
		return s
	}
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", MCPServers: []MCPServer{
		named("mine", "/nowhere", false), named("off", "/nowhere", false), named("broken", "/nowhere", false)}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "a", Type: state.AgentLLM, Model: "gpt-5.1", Timeout: DefaultTimeout},
		[]MCPServer{named("mine", os.Args[0], false), named("off", "/nowhere", false)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Environment: env.ID, Agent: a.ID}, Content: "go",
		MCPServers: []MCPServer{named("off", "/nowhere", true)}})
	if err != nil {
		t.Fatal(err)
	}
	events := follow(t, h, s)
	if got := results(events); len(got) != 1 || got[0].Tool.Output != "the agent's" {
		t.Errorf("results %+v", got)
	}
	var told []string
	for _, e := range events {
		if e.Kind == state.EventNotice {
			told = append(told, e.Text)
		}
		if text := e.Text + e.Error; strings.Contains(text, "hush") {
			t.Errorf("a secret is told: %s", text)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "broken could not be started") {
		t.Errorf("notices %q", told)
	}
}
