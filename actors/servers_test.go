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
