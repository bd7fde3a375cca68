package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// hello is a message that the script model runs.
const hello = "```python file=hello.py\nprint('hello from bothy')\n```\n\n```bash\npython3 hello.py\n```\n"

func TestTheQuickStartStreamsInOrder(t *testing.T) {
	h := doortest.Open(t)
	resp := as(t, h, h.Key).open("POST", "/v1/threads", map[string]any{
		"messages": []map[string]string{{"role": "user", "content": hello}}, "stream": true})
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("status %d, %s", resp.StatusCode, got)
	}
	if got := resp.Header.Get("X-Bothy-Owner"); got != "n1" {
		t.Fatalf("owner %q", got)
	}
	lines := stream(t, resp.Body, nil)
	got := types(lines)
	want := []string{wire.ThreadCreated, wire.ResponseCreated, wire.ResponseStarted, wire.OutputItemAdded,
		wire.ItemCompleted, wire.ResponseDone, wire.StreamCompleted}
	at := 0
	for _, w := range want {
		next := slices.Index(got[at:], w)
		if next < 0 {
			t.Fatalf("%s is not in order in %v", w, got)
		}
		at += next + 1
	}
	if at != len(got) {
		t.Fatalf("the stream goes on after stream.completed: %v", got)
	}
	var output string
	for _, l := range lines {
		if l.Type == wire.ItemCompleted && l.Item.Type == "tool_call" {
			output += l.Item.Tool.Output
			if l.Item.Name == "" {
				t.Errorf("a tool call without a name: %+v", l.Item)
			}
		}
	}
	if !strings.Contains(output, "hello from bothy") {
		t.Fatalf("the tools printed %q", output)
	}
	done := lines[len(lines)-2]
	if done.Response.Content == nil || *done.Response.Content == "" || lines[len(lines)-1].Run.Status != "success" {
		t.Fatalf("ended with %+v and %+v", done.Response, lines[len(lines)-1].Run)
	}
}
