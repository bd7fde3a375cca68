package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// aRun is what a node streams of a run that writes and runs a file.
func aRun() []any {
	zero, cost := 0, wire.USD(1250)
	call := func(status, output string, exit *int) *wire.Item {
		return &wire.Item{ID: "call_1", Type: "tool_call", Name: "shell", Status: status,
			Tool: &wire.Tool{Type: "command_execution", Name: "shell", Command: "python3 hello.py\n", Output: output, ExitCode: exit, DurationMS: 1240}}
	}
	event := func(e wire.Event) wire.Event { e.RunID = "run_1"; return e }
	return []any{
		10, event(wire.Event{Type: wire.ResponseStarted, Response: &wire.Response{ID: "resp_1", Model: "script"}}),
		11, event(wire.Event{Type: wire.ContentPartDelta, ItemID: "item_1", Delta: &wire.Delta{Text: "Running "}}),
		12, event(wire.Event{Type: wire.ContentPartDelta, ItemID: "item_1", Delta: &wire.Delta{Text: "it.\x1b[2J"}}),
		13, event(wire.Event{Type: wire.ItemCompleted, Item: &wire.Item{ID: "item_1", Type: "text", Content: "Running it."}}),
		14, event(wire.Event{Type: wire.OutputItemAdded, ItemID: "call_1", Item: call("in_progress", "", nil)}),
		15, event(wire.Event{Type: wire.ResponseNotice, Message: "the computer moved"}),
		16, event(wire.Event{Type: wire.ItemCompleted, Item: call("completed", "hello\nworld\n", &zero)}),
		17, event(wire.Event{Type: wire.ItemCompleted, Item: &wire.Item{ID: "item_2", Type: "text", Content: "Done."}}),
		18, event(wire.Event{Type: wire.StreamCompleted, Run: &wire.Run{ID: "run_1", Status: "success", Tokens: &wire.Tokens{Input: 12, Output: 34}, Cost: &cost}}),
	}
}

const aRunDrawn = `thread thread_1
run run_1 with script
Running it.[2J
$ python3 hello.py
! the computer moved
  hello
  world
  exit 0 in 1.2s
Done.
✓ done · 12 tokens in, 34 out · $0.00125
`

// created begins the reply that makes a thread.
func created(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "id: 9\n\nid: 9\ndata: "+`{"type":"thread.created","thread":{"id":"thread_1","status":"running","environmentId":"env_1"}}`+"\n\n")
}

func TestRunIsDrawnAsItHappens(t *testing.T) {
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/threads": func(w http.ResponseWriter, _ *http.Request) {
		created(w)
		stream(w, aRun()...)
	}})
	s := newShell(t, a.URL)
	if code := s.run("run", "--env", "env_1", "--model", "script", "hi"); code != 0 {
		t.Fatalf("exit %d: %s", code, s.err.String())
	}
	if got := uncoloured(s.out.String()); got != aRunDrawn {
		t.Errorf("drew:\n%s\nwant:\n%s", got, aRunDrawn)
	}
	const asked = `POST /v1/threads {"content":"hi","agentConfig":{"model":"script"},"environmentId":"env_1"}`
	if len(a.asked) != 1 || a.asked[0] != asked {
		t.Errorf("asked %q, want %q", a.asked, asked)
	}
}

// uncoloured takes this program's own colours out.
func uncoloured(text string) string {
	return strings.NewReplacer(ansiBold, "", ansiFaint, "", ansiRed, "", ansiGreen, "", ansiYellow, "", ansiPlain, "").Replace(text)
}

func TestRunGoesOnAtAnotherNode(t *testing.T) {
	events := aRun()
	first := newAPI(t, map[string]http.HandlerFunc{"POST /v1/threads": func(w http.ResponseWriter, _ *http.Request) {
		created(w)
		stream(w, events[:6]...) // and then the node is gone
	}})
	second := newAPI(t, map[string]http.HandlerFunc{"GET /v1/threads/thread_1/events": func(w http.ResponseWriter, r *http.Request) {
		if after := r.URL.Query().Get("after"); after != "12" {
			t.Errorf("resumed after %s, want 12", after)
		}
		stream(w, events[4:]...) // one that was seen, and the rest
	}})
	s := newShell(t, first.URL, second.URL)
	if code := s.run("run", "hi"); code != 0 {
		t.Fatalf("exit %d: %s", code, s.err.String())
	}
	if got := uncoloured(s.out.String()); got != aRunDrawn {
		t.Errorf("drew:\n%s\nwant:\n%s", got, aRunDrawn)
	}
}

func TestRunThatFailsFails(t *testing.T) {
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/threads/thread_1/messages": func(w http.ResponseWriter, _ *http.Request) {
		stream(w, 20, wire.Event{Type: wire.ResponseStarted, RunID: "run_2", Response: &wire.Response{Model: "script"}},
			21, wire.Event{Type: wire.StreamError, RunID: "run_2", Message: "the model is gone", Run: &wire.Run{ID: "run_2", Status: "failed"}})
	}})
	s := newShell(t, a.URL)
	s.terminal.in = strings.NewReader("from a pipe")
	if code := s.run("run", "--thread", "thread_1", "-"); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(s.out.String(), "✗ the model is gone") {
		t.Errorf("drew %q", s.out.String())
	}
	if !strings.Contains(a.asked[0], `"content":"from a pipe"`) {
		t.Errorf("asked %q", a.asked)
	}
}

func TestPipedRunIsALineForEachEvent(t *testing.T) {
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/threads": func(w http.ResponseWriter, _ *http.Request) {
		created(w)
		stream(w, aRun()...)
	}})
	s := newShell(t, a.URL)
	s.terminal.tty = false
	if code := s.run("run", "hi"); code != 0 {
		t.Fatalf("exit %d: %s", code, s.err.String())
	}
	last := uint64(0)
	lines := strings.Split(strings.TrimSpace(s.out.String()), "\n")
	for _, line := range lines {
		var e numbered
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type == "" || e.Seq < last {
			t.Errorf("%s: %v", line, err)
		}
		last = e.Seq
	}
	if want := 1 + len(aRun())/2; len(lines) != want || last != 18 {
		t.Errorf("%d lines up to %d, want %d up to 18", len(lines), last, want)
	}
}

func TestLogsEndWithTheNewestEvent(t *testing.T) {
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/threads/thread_1": reply(wire.OneThread{Thread: wire.Thread{ID: "thread_1", LastEventID: 19}}), // 19 shows nothing
		"GET /v1/threads/thread_1/events": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("follow") != "false" {
				t.Error("a replay was asked to follow")
			}
			if r.URL.Query().Get("after") == "0" {
				stream(w, aRun()...)
			}
		},
	})
	s := newShell(t, a.URL)
	if code := s.run("logs", "thread_1"); code != 0 {
		t.Fatalf("exit %d: %s", code, s.err.String())
	}
	if got, want := uncoloured(s.out.String()), strings.TrimPrefix(aRunDrawn, "thread thread_1\n"); got != want {
		t.Errorf("drew:\n%s\nwant:\n%s", got, want)
	}
}

func TestLongOutputIsShortened(t *testing.T) {
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintln(&long, i)
	}
	code := 1
	p := newProgress(false)
	drawn := p.draw(wire.Event{Type: wire.ItemCompleted, Item: &wire.Item{ID: "c", Type: "tool_call", Name: "shell", Status: "failed",
		Tool: &wire.Tool{Command: "seq 100", Output: long.String(), ExitCode: &code}}})
	if lines := strings.Count(drawn, "\n"); lines > headLines+tailLines+4 {
		t.Errorf("%d lines are drawn", lines)
	}
	for _, text := range []string{"$ seq 100", "\n  0\n", "\n  99\n", "… 70 lines …", "exit 1 failed"} {
		if !strings.Contains(drawn, text) {
			t.Errorf("%q is not in:\n%s", text, drawn)
		}
	}
}
