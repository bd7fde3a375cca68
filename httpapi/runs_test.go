package httpapi_test

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// edits is a message whose tools create, modify and delete files.
const edits = "```bash\nprintf 'one\\ntwo\\nthree\\n' > kept.txt; printf 'x\\n' > gone.txt; printf 'a\\0b' > bin.dat\n```\n"

const edits2 = "```bash\nprintf 'one\\n2\\nthree\\n' > kept.txt; rm gone.txt; printf 'a\\0c' > bin.dat; mkdir -p d/node_modules; echo new > d/new.txt; echo no > d/node_modules/x; touch .git-keep\n```\n" +
	"```python file=d/new.txt\nnew\nand more\n```\n"

func TestWhatRunsChanged(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	first := run(c, edits)
	path := "/threads/" + first.Thread.ID
	resp := c.open("POST", path+"/messages", map[string]string{"content": edits2})
	lines := stream(t, resp.Body, nil)
	resp.Body.Close()
	changes := map[string][]wire.FileChange{} // as the stream told them
	for _, l := range lines {
		if l.Type == wire.ItemCompleted && l.Item.Type == "file_change" {
			if l.Item.Path != l.Item.Changes[0].Path || l.Item.Kind != l.Item.Changes[0].Kind {
				t.Errorf("a file change is told two ways: %+v", l.Item)
			}
			changes[l.Item.Path] = append(changes[l.Item.Path], l.Item.Changes...)
		}
	}
	kept := changes["kept.txt"]
	if len(kept) != 1 || kept[0].Kind != "modified" || kept[0].Additions != 1 || kept[0].Deletions != 1 || !strings.Contains(kept[0].Diff, "-two\n+2\n") {
		t.Errorf("kept.txt streamed as %+v", kept)
	}
	if gone := changes["gone.txt"]; len(gone) != 1 || gone[0].Kind != "deleted" || !strings.Contains(gone[0].Diff, "-x\n") {
		t.Errorf("gone.txt streamed as %+v", gone)
	}
	if made := changes["d/new.txt"]; len(made) != 2 || made[0].Kind != "created" || made[1].Kind != "modified" || made[1].Additions == 0 {
		t.Errorf("d/new.txt streamed as %+v", made)
	}
	runs := map[string]string{"first": first.Run.ID, "second": lines[len(lines)-1].RunID}
	var diffs wire.ThreadDiffs
	c.do("GET", path+"/diffs", nil).is(200).into(&diffs)
	if len(diffs.Runs) != 2 || diffs.Runs[0].RunID != runs["second"] || diffs.Runs[0].Note != nil || diffs.HasMore || len(diffs.Data) != len(diffs.Diffs) {
		t.Fatalf("%+v", diffs)
	}
	got := map[string]wire.FileDiff{}
	for _, d := range diffs.Diffs {
		if d.RunID == runs["second"] {
			got[d.Path] = d
		}
	}
	for path, want := range map[string]struct {
		status, diff string
		add, del     int
		binary       bool
	}{
		"kept.txt":  {"modified", "--- a/kept.txt\n+++ b/kept.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n", 1, 1, false},
		"gone.txt":  {"deleted", "--- a/gone.txt\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n", 0, 1, false},
		"bin.dat":   {"modified", "", 0, 0, true},
		"d/new.txt": {"added", "--- /dev/null\n+++ b/d/new.txt\n", 2, 0, false},
		".git-keep": {"added", "", 0, 0, false},
	} {
		d, ok := got[path]
		if !ok || d.Status != want.status || !strings.HasPrefix(d.Diff, want.diff) || (want.diff == "") != (d.Diff == "") ||
			d.Additions != want.add || d.Deletions != want.del || d.Binary != want.binary {
			t.Errorf("%s is %+v, want %+v", path, d, want)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("changed too: %v", got)
	}
	var one wire.ThreadDiffs
	c.do("GET", path+"/diffs?executionId="+runs["first"], nil).is(200).into(&one)
	if len(one.Runs) != 1 || len(one.Diffs) != 3 {
		t.Errorf("the first run changed %+v", one)
	}
	c.do("GET", "/threads/"+runs["second"]+"/diffs", nil).is(200).into(&one)
	if len(one.Runs) != 1 || len(one.Diffs) != 5 {
		t.Errorf("by the run's id: %+v", one)
	}
	c.do("GET", path+"/diffs?executionId=run_none", nil).is(200).into(&one)
	if len(one.Runs) != 0 || len(one.Diffs) != 0 {
		t.Errorf("of no run: %+v", one)
	}
	_, stranger := h.NewAccount("other", 1_000_000)
	for _, sub := range []string{"/diffs", "/logs", "/steps", "/status"} {
		as(t, h, stranger).do("GET", path+sub, nil).refused(404, "not found")
	}
	as(t, h, stranger).do("GET", "/threads/"+runs["first"]+"/diffs", nil).refused(404, "not found")
	if all, err := h.Driver.Snapshots(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("snapshots are left: %v, %v", all, err)
	}
}

func TestLogsStepsAndStatus(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", nil).is(201).into(&made)
	var status wire.ThreadStatus
	c.do("GET", "/threads/"+made.Thread.ID+"/status", nil).is(200).into(&status)
	if status.Status != "active" || status.RunID != nil || status.Duration != nil {
		t.Errorf("before the first run: %+v", status)
	}
	done := run(c, hello)
	path := "/threads/" + done.Thread.ID
	c.do("GET", path+"/status", nil).is(200).into(&status)
	if status.Status != "completed" || *status.RunID != done.Run.ID || status.StartedAt == nil || status.CompletedAt == nil || status.Duration == nil {
		t.Errorf("after a run: %+v", status)
	}
	var logs wire.ThreadLogs
	c.do("GET", path+"/logs", nil).is(200).into(&logs)
	kinds := map[string]int{}
	for _, l := range logs.Logs {
		kinds[l.EventType]++
	}
	if logs.Logs[0].Role != "user" || logs.Logs[0].Content != hello || kinds["command_execution"] != 1 || kinds["file_change"] != 1 ||
		kinds["assistant_message"] == 0 || kinds["turn_completed"] != 1 || logs.TotalCount != len(logs.Logs) || len(logs.Data) != len(logs.Logs) {
		t.Fatalf("%+v", logs)
	}
	var steps wire.List[wire.ThreadStep]
	c.do("GET", path+"/steps", nil).is(200).into(&steps)
	if len(steps.Data) != len(logs.Logs) {
		t.Fatalf("%d steps of %d entries", len(steps.Data), len(logs.Logs))
	}
	for i, s := range steps.Data {
		if s.ID != logs.Logs[i].ID || s.StepKind != logs.Logs[i].EventType || s.SourceMessageID == nil {
			t.Errorf("step %d is %+v, entry %+v", i, s, logs.Logs[i])
		}
		var diff wire.StepDiff
		c.do("GET", path+"/steps/"+s.ID+"/diff", nil).is(200).into(&diff)
		if s.StepKind == "file_change" && (diff.Additions != 1 || !strings.Contains(diff.Diff, "+print(")) {
			t.Errorf("the diff of %+v is %+v", s, diff)
		}
	}
	c.do("GET", path+"/steps?limit=2&offset=1", nil).is(200).into(&steps)
	if len(steps.Data) != 2 || steps.Data[0].ID != logs.Logs[1].ID || !steps.HasMore {
		t.Errorf("a page is %+v", steps)
	}
	c.do("GET", path+"/steps/none/diff", nil).refused(404, "Step not found")
	c.do("GET", path+"/logs?limit=1001", nil).refused(400, "limit must be")
}
