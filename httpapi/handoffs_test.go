package httpapi_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// withVendor is a house with a vendor whose turns come later.
func withVendor(t *testing.T) (*doortest.House, *agenttest.Server) {
	t.Helper()
	vendor := agenttest.Serve(t)
	return doortest.Open(t, doortest.Vendor("OPENAI_BASE_URL", vendor.URL), doortest.Vendor("OPENAI_API_KEY", "test")), vendor
}

func TestAStreamTellsServersToolsAndHandoffs(t *testing.T) {
	h, vendor := withVendor(t)
	c := as(t, h, h.Key)
	server := wire.MCPServer{Type: "stdio", Name: "clock", Command: os.Args[0], Env: map[string]string{mcptest.Variable: "1"}}
	var executor, planner wire.OneAgent
	c.do("POST", "/agents", map[string]any{"name": "Executor", "model": "gpt-5.1", "mcpServers": []wire.MCPServer{server}}).is(201).into(&executor)
	c.do("POST", "/agents", map[string]any{"name": "Planner", "model": "gpt-5.1", "handoffs": []string{executor.Agent.ID}}).is(201).into(&planner)
	id := executor.Agent.ID
	handoff := "handoff__Executor_" + id[len(id)-6:]
	vendor.Add(
		agenttest.Responses(agenttest.FunctionCall("h", handoff, `{"task":"echo it"}`)),
		agenttest.Responses(agenttest.FunctionCall("e", "mcp__clock__echo", `{"text":"tick"}`)),
		agenttest.Responses(agenttest.Message("It ticks.")),
		agenttest.Responses(agenttest.Message("Done.")))
	resp := c.open("POST", "/threads", map[string]any{"content": "go", "agentId": planner.Agent.ID})
	defer resp.Body.Close()
	lines := stream(t, resp.Body, nil)
	var inner, outer, said *line
	for i, l := range lines {
		switch {
		case l.Type != wire.ItemCompleted:
		case l.Item.Type == "tool_call" && l.Item.Tool.Type == "mcp_tool":
			inner = &lines[i]
		case l.Item.Type == "tool_call":
			outer = &lines[i]
		case l.Item.Content == "It ticks.":
			said = &lines[i]
		}
	}
	if inner == nil || outer == nil || said == nil {
		t.Fatalf("lines %+v", types(lines))
	}
	if tool := inner.Item.Tool; tool.Name != "echo" || tool.Server != "clock" || tool.Output != "tick" || inner.Item.Name != "mcp__clock__echo" {
		t.Errorf("the server's tool is told as %+v", inner.Item)
	}
	for _, l := range []*line{inner, said} {
		if l.AgentID != id || l.AgentName != "Executor" || l.ParentID != outer.Item.ID {
			t.Errorf("%s is told as of %q %q within %q", l.Item.ID, l.AgentID, l.AgentName, l.ParentID)
		}
	}
	if outer.Item.Tool.Type != "handoff" || outer.Item.Content != "It ticks." || outer.ParentID != "" {
		t.Errorf("the handoff is told as %+v", outer)
	}
	end := lines[len(lines)-2]
	if end.Type != wire.ResponseDone || *end.Response.Content != "Done." || end.Response.Usage.Input != 400 {
		t.Errorf("the end is %+v", end.Response)
	}
	var list wire.List[wire.Message]
	c.do("GET", "/threads/"+lines[0].Thread.ID+"/messages", nil).is(200).into(&list)
	if list.TotalCount != 2 {
		t.Errorf("messages %+v", list.Data)
	}
	steps := string(c.do("GET", "/threads/"+lines[0].Thread.ID+"/steps", nil).is(200).body)
	for _, want := range []string{`"stepKind":"mcp_tool_call"`, `"title":"clock: echo"`, `"agentName":"Executor"`} {
		if !strings.Contains(steps, want) {
			t.Errorf("no %s in %s", want, steps)
		}
	}
	if said := strings.Count(steps, `"stepKind":"assistant_message"`); said != 1 {
		t.Errorf("%d messages of the assistant in %s", said, steps)
	}
}

func TestAnAgentsHandoffsAreChecked(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var a, b wire.OneAgent
	c.do("POST", "/agents", `{"name":"A","model":"script"}`).is(201).into(&a)
	c.do("POST", "/agents", map[string]any{"name": "B", "model": "script", "handoffs": []string{a.Agent.ID}}).is(201).into(&b)
	if e := c.do("PATCH", "/agents/"+a.Agent.ID, map[string]any{"handoffs": []string{b.Agent.ID}}).refused(400, "makes a loop"); !strings.Contains(e.Message, "handoffs[0]") {
		t.Errorf("%+v", e)
	}
	c.do("POST", "/agents", `{"name":"C","model":"script","handoffs":["agent_none"]}`).refused(400, "handoffs[0] names no agent")
	c.do("DELETE", "/agents/"+a.Agent.ID, nil).is(200)
	c.do("PATCH", "/agents/"+b.Agent.ID, `{"description":"still here"}`).is(200).into(&b)
	resp := c.open("POST", "/threads", map[string]any{"content": "go", "agentId": b.Agent.ID})
	defer resp.Body.Close()
	told := func(l line) bool { return l.Type == wire.ResponseNotice && strings.Contains(l.Message, "was deleted") }
	if lines := stream(t, resp.Body, nil); !slices.ContainsFunc(lines, told) {
		t.Errorf("no notice in %v", types(lines))
	}
}
