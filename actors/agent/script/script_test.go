package script

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
)

// say1 asks the model once, after the results given.
func say1(t *testing.T, message string, results ...agent.Result) (call *agent.Call, text string) {
	t.Helper()
	entries := []agent.Entry{{Kind: agent.User, Text: message}}
	for _, r := range results {
		entries = append(entries, agent.Entry{Kind: agent.ToolResult, Result: &r})
	}
	reply, err := Model{}.Call(t.Context(), agent.Request{Entries: entries}, func(agent.Delta) {})
	if err != nil || len(reply.Entries) != 1 {
		t.Fatalf("%+v, %v", reply, err)
	}
	return reply.Entries[0].Call, reply.Entries[0].Text
}

var (
	zero = 0
	done = agent.Result{Status: agent.Done, ExitCode: &zero, Text: "\n[exit code 0]"}
	lost = agent.Result{Status: agent.Lost}
)

func TestBlocksRunInOrder(t *testing.T) {
	message := "```bash\none\n```\n```yaml\nskipped: true\n```\n```yaml file=a.yaml\nx: 1\n```\n```js\nthree()\n```\n"
	for i, want := range []string{"one", "a.yaml", "three()"} {
		call, text := say1(t, message, []agent.Result{done, done}[:i]...)
		if call == nil || !strings.Contains(call.Arguments, want) {
			t.Fatalf("after %d blocks: %+v %s", i, call, text)
		}
	}
	call, text := say1(t, message, done, done, done)
	if call != nil || !strings.Contains(text, "block 2 (yaml) is neither") {
		t.Errorf("%+v, %s", call, text)
	}
}

func TestInterruptedBlockEndsTheRunUnlessItSaysRetry(t *testing.T) {
	call, text := say1(t, "```bash\none\n```\n```bash\ntwo\n```\n", lost)
	if call != nil || !strings.HasPrefix(text, "Stopped: block 1 (bash) was interrupted") || !strings.Contains(text, "Block 2 (bash): not run") {
		t.Errorf("%+v, %s", call, text)
	}
	again := "```bash retry\none\n```\n```bash\ntwo\n```\n"
	for tries, want := range map[int]string{1: "one", 2: "one"} {
		call, text := say1(t, again, []agent.Result{lost, lost, lost}[:tries]...)
		if call == nil || !strings.Contains(call.Arguments, want) {
			t.Errorf("after %d losses: %+v, %s", tries, call, text)
		}
	}
	if call, _ := say1(t, again, lost, lost, lost); call != nil {
		t.Errorf("tried without end: %+v", call)
	}
	if call, _ := say1(t, again, lost, done); call == nil || !strings.Contains(call.Arguments, "two") {
		t.Errorf("did not go on after a retry: %+v", call)
	}
}

func TestUnclosedBlockRunsNothing(t *testing.T) {
	call, text := say1(t, "```bash\none\n```\n```bash\nrm -rf /tmp/half-a-")
	if call != nil || !strings.HasPrefix(text, "Block 2 is not closed") {
		t.Errorf("%+v, %s", call, text)
	}
}

func TestOnlyTheLatestMessageCounts(t *testing.T) {
	entries := []agent.Entry{
		{Kind: agent.User, Text: "```bash\nold\n```"}, {Kind: agent.ToolResult, Result: &done}, {Kind: agent.Text, Text: "done"},
		{Kind: agent.User, Text: "```bash\nnew\n```"},
	}
	reply, err := Model{}.Call(t.Context(), agent.Request{Entries: entries}, func(agent.Delta) {})
	if err != nil || !strings.Contains(reply.Entries[0].Call.Arguments, "new") {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestCallsAreWhatTheToolsAccept(t *testing.T) {
	call, _ := say1(t, "```python\nprint('x')\n```")
	var args agent.ShellArgs
	if err := json.Unmarshal([]byte(call.Arguments), &args); err != nil || args.Command != "python3 - <<'END'\nprint('x')\nEND\n" {
		t.Errorf("%q, %v", args.Command, err)
	}
}
