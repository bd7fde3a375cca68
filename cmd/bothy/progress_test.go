package main

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestAnotherAgentsWordsAreTold(t *testing.T) {
	p := newProgress(false)
	call := func(id string, tool wire.Tool) *wire.Item {
		return &wire.Item{ID: id, Type: "tool_call", Status: "completed", Name: "mcp__clock__echo", Tool: &tool}
	}
	var drawn strings.Builder
	for _, e := range []wire.Event{
		{Type: wire.OutputItemAdded, Item: &wire.Item{ID: "h", Type: "tool_call", Name: "handoff__Doer_abc", Tool: &wire.Tool{Type: "handoff"}}},
		{Type: wire.ItemCompleted, AgentID: "agent_2", AgentName: "Doer", ParentID: "h", Item: call("c", wire.Tool{Type: "mcp_tool", Name: "echo", Server: "clock", Output: "tick"})},
		{Type: wire.ContentPartDelta, AgentID: "agent_2", AgentName: "Doer", ParentID: "h", ItemID: "t", Delta: &wire.Delta{Text: "It ticks."}},
		{Type: wire.ItemCompleted, Item: &wire.Item{ID: "h", Type: "tool_call", Status: "completed", Tool: &wire.Tool{Type: "handoff", Output: "It ticks."}}},
		{Type: wire.ContentPartDelta, ItemID: "u", Delta: &wire.Delta{Text: "Done."}},
	} {
		drawn.WriteString(p.draw(e))
	}
	want := "• handoff__Doer_abc\n→ Doer\n• clock: echo\n  tick\nIt ticks.\n← back from it\n  It ticks.\nDone."
	if drawn.String() != want {
		t.Errorf("drawn:\n%s\nwant:\n%s", drawn.String(), want)
	}
}
