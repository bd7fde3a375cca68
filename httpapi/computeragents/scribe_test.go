package computeragents_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/computeragents"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func zero() *int { n := 0; return &n }

// story is what a run with one of everything writes into its log.
func story(end ...state.Event) []state.Event {
	events := []state.Event{
		{Kind: state.EventRunStarted, Model: "gpt-5.1"},
		{Kind: state.EventNotice, Text: "The environment is being built."},
		{Kind: state.EventLog, Text: "model call 1 took 20ms"},
		{Kind: state.EventItemStarted, Item: "r1", Type: state.ItemReasoning},
		{Kind: state.EventText, Item: "r1", Type: state.ItemReasoning, Text: "Let me "},
		{Kind: state.EventText, Item: "r1", Type: state.ItemReasoning, Text: "see."},
		{Kind: state.EventItemCompleted, Item: "r1", Type: state.ItemReasoning, Text: "Let me see.", Status: "completed"},
		{Kind: state.EventText, Item: "t0", Type: state.ItemText, Text: "half a sen"},
		{Kind: state.EventItemCompleted, Item: "t0", Type: state.ItemText, Text: "half a sen", Status: "incomplete"},
		{Kind: state.EventText, Item: "t1", Type: state.ItemText, Text: "I will write it."},
		{Kind: state.EventItemCompleted, Item: "t1", Type: state.ItemText, Text: "I will write it.", Status: "completed"},
		{Kind: state.EventItemCompleted, Item: "c1", Type: state.ItemToolCall, Status: "completed",
			Tool: &state.ToolCall{ID: "c1", Name: "write_file", Arguments: `{"path":"hello.py","content":"x"}`}},
		{Kind: state.EventItemCompleted, Item: "c2", Type: state.ItemToolCall, Status: "completed",
			Tool: &state.ToolCall{ID: "c2", Name: "shell", Arguments: `{"command":"python3 hello.py"}`}},
		{Kind: state.EventUsage, Usage: &state.Usage{InputTokens: 10, OutputTokens: 5}, Model: "gpt-5.1"},
		{Kind: state.EventItemCompleted, Item: "c1_r", Type: state.ItemToolResult, Status: "completed", Tool: &state.ToolCall{ID: "c1", Output: "written", Millis: 3}},
		{Kind: state.EventItemCompleted, Item: "c1_f0", Type: state.ItemFileChange, Status: "completed", Path: "hello.py", Change: "created",
			Text: "--- /dev/null\n+++ b/hello.py\n@@ -0,0 +1,1 @@\n+print('hello')\n"},
		{Kind: state.EventItemStarted, Item: "c2", Type: state.ItemToolCall, Tool: &state.ToolCall{ID: "c2"}},
		{Kind: state.EventItemCompleted, Item: "c2_r", Type: state.ItemToolResult, Status: "completed",
			Tool: &state.ToolCall{ID: "c2", Output: "hello\n", ExitCode: zero(), Millis: 40}},
		{Kind: state.EventItemCompleted, Item: "s1", Type: state.ItemSummary, Text: "So far: a file.", Status: "completed"},
		{Kind: state.EventItemCompleted, Item: "c3", Type: state.ItemToolCall, Status: "completed",
			Tool: &state.ToolCall{ID: "c3", Name: "mystery", Arguments: `not JSON`}},
		{Kind: state.EventItemCompleted, Item: "c3_lost", Type: state.ItemToolResult, Status: "interrupted", Tool: &state.ToolCall{ID: "c3", Output: "interrupted", Failed: true}},
	}
	events = append(events, end...)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	for i := range events {
		events[i].Seq, events[i].Run, events[i].At = uint64(i+1), "run_abc", at
	}
	return events
}

var usage = &state.Usage{InputTokens: 10, CachedTokens: 4, OutputTokens: 5, ReasoningTokens: 2, Cost: 1500}

var endings = map[string]state.Event{
	"success":   {Kind: state.EventRunCompleted, Status: "success", Text: "Done: hello.py prints hello.", Usage: usage},
	"failed":    {Kind: state.EventRunCompleted, Status: "failed", Error: "The vendor refused the key", Usage: usage},
	"cancelled": {Kind: state.EventRunCompleted, Status: "cancelled", Usage: usage},
}

func TestTheStreamOfARunIsAsRecorded(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			scribe := computeragents.NewScribe()
			for _, e := range story(end) {
				for _, line := range scribe.Write(e) {
					b, err := json.Marshal(line)
					if err != nil {
						t.Fatal(err)
					}
					got.Write(append(b, '\n'))
				}
			}
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("got:\n%s\nwant:\n%s", got.Bytes(), want)
			}
		})
	}
}

// TestWhatIsWrittenDoesNotDependOnWhereAStreamBegan: a scribe that recalls the
// events before writes what one that was there from the start does.
func TestWhatIsWrittenDoesNotDependOnWhereAStreamBegan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := story(endings["success"])
		cut := rapid.IntRange(0, len(events)-1).Draw(t, "cut")
		first, second := computeragents.NewScribe(), computeragents.NewScribe()
		for i, e := range events {
			want := first.Write(e)
			if i < cut {
				continue
			}
			if i == cut && !second.Knows(e) {
				for _, earlier := range events[:cut] {
					second.Recall(earlier)
				}
			}
			if a, b := text(t, want), text(t, second.Write(e)); a != b {
				t.Fatalf("event %d after a cut at %d: %s, want %s", i, cut, b, a)
			}
		}
	})
}

func text(t *rapid.T, lines []wire.Event) string {
	b, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDeltasAddUpToTheirItems(t *testing.T) {
	scribe := computeragents.NewScribe()
	said := map[string]string{}
	for _, e := range story(endings["success"]) {
		for _, l := range scribe.Write(e) {
			switch {
			case l.Delta != nil:
				said[l.ItemID] += l.Delta.Text
			case l.Type == wire.ItemCompleted && said[l.ItemID] != "" && said[l.ItemID] != l.Item.Content:
				t.Errorf("item %s streamed %q and is %q", l.ItemID, said[l.ItemID], l.Item.Content)
			}
		}
	}
	if strings.Join([]string{said["r1"], said["t1"]}, "|") != "Let me see.|I will write it." {
		t.Fatalf("%v", said)
	}
}
