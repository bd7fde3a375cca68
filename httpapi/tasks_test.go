package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

type task struct {
	ID, WorkspaceID, URL, Title, Status, Executor, Model, Visibility, FinalResult string
	CreatedAt                                                                     time.Time
	CompletedAt                                                                   *time.Time
	Prompts                                                                       []struct {
		ID, Status, UserPrompt string
		Response               *string
		Events                 []taskEvent
	}
}

type taskEvent struct {
	Seq       uint64
	EventType string
	Payload   struct {
		Text, Message, Name string
		Result, Output      *string
		Input               map[string]any
	}
}

// watched is what a stream of a task said.
type watched struct {
	events []taskEvent
	done   struct{ Status, FinalResult string }
}

// watch reads a task's stream to its end, as clients do: by the names of its
// events, and whatever else it holds is a comment.
func (c *caller) watch(id string) (w watched) {
	c.t.Helper()
	resp := c.open("GET", "/v1/tasks/"+id+"/events", nil)
	defer resp.Body.Close()
	name, ended := "", false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case isData && name == "event":
			var e taskEvent
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				c.t.Fatalf("%v in %s", err, data)
			}
			w.events = append(w.events, e)
		case isData && name == "done":
			ended = true
			if err := json.Unmarshal([]byte(data), &w.done); err != nil {
				c.t.Fatalf("%v in %s", err, data)
			}
		case line != "" && !strings.HasPrefix(line, ":"):
			c.t.Fatalf("a line of a stream: %q", line)
		}
	}
	if !ended {
		c.t.Fatalf("the stream ended after %d events without saying how", len(w.events))
	}
	return w
}

func (w watched) of(kind string) (found []taskEvent) {
	for _, e := range w.events {
		if e.EventType == kind {
			found = append(found, e)
		}
	}
	return found
}

func TestATaskFromFirstToLastCall(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made, got task
	c.do("POST", "/v1/tasks", map[string]any{"prompt": "Write a note\n```bash\necho hello | tee note.txt\n```"}).is(201).into(&made)
	if made.ID == "" || made.WorkspaceID == "" || made.Status != "running" || !strings.HasPrefix(made.URL, h.URL) {
		t.Fatalf("%+v", made)
	}
	first := c.watch(made.ID)
	if first.done.Status != "succeeded" || first.done.FinalResult == "" || len(first.of("tool_use")) != 1 || len(first.of("tool_result")) != 1 || len(first.of("text")) == 0 {
		t.Fatalf("%+v", first)
	}
	if use := first.of("tool_use")[0].Payload; use.Name != "shell" || use.Input["command"] == nil {
		t.Fatalf("%+v", use)
	}
	if again := c.watch(made.ID); !reflect.DeepEqual(again, first) {
		t.Fatalf("a second stream differs:\n%+v\n%+v", again, first)
	}
	c.do("GET", "/v1/tasks/"+made.ID, nil).is(200).into(&got)
	if got.Status != "completed" || got.CompletedAt == nil || got.Title != "Write a note" || got.Executor != "script" || got.Model == "" ||
		got.Visibility != "shared" || got.FinalResult != first.done.FinalResult || len(got.Prompts) != 1 || got.Prompts[0].Status != "succeeded" {
		t.Fatalf("%+v", got)
	}
	var next struct{ PromptID string }
	c.do("POST", "/v1/tasks/"+made.ID+"/prompts", `{"prompt":"`+"```bash\\ncat note.txt\\n```"+`"}`).is(201).into(&next)
	second := c.watch(made.ID)
	if out := second.of("tool_result"); second.done.Status != "succeeded" || len(out) != 1 || !strings.Contains(*out[0].Payload.Output, "hello") {
		t.Fatalf("%+v", second)
	}
	c.do("GET", "/v1/tasks/"+made.ID+"/content?include=events", nil).is(200).into(&got)
	if p := got.Prompts; len(p) != 2 || p[1].ID != next.PromptID || p[0].UserPrompt == "" || p[0].Response == nil || len(p[1].Events) == 0 {
		t.Fatalf("%+v", p)
	}
	c.do("DELETE", "/v1/tasks/"+made.ID, nil).is(204)
	c.do("GET", "/v1/tasks/"+made.ID, nil).fails(404, "not_found", "")
}

func TestPromptsWaitAndAreCancelled(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made, got task
	c.do("POST", "/v1/tasks", map[string]any{"prompt": "```bash\nsleep 600\n```"}).is(201).into(&made)
	c.do("POST", "/v1/tasks/"+made.ID+"/prompts", `{"prompt":"and then"}`).is(201)
	c.do("GET", "/v1/tasks/"+made.ID+"/content", nil).is(200).into(&got)
	if p := got.Prompts; got.Status != "running" || len(p) != 2 || p[1].Status != "pending" || p[1].UserPrompt != "and then" {
		t.Fatalf("%+v", got)
	}
	ended := make(chan watched, 1)
	go func() { ended <- c.watch(made.ID) }() // of the one that waits
	c.do("POST", "/v1/tasks/"+made.ID+"/cancel", nil).is(200)
	if w := <-ended; w.done.Status != "canceled" {
		t.Fatalf("%+v", w)
	}
	for deadline := time.Now().Add(patience); got.Status != "canceled"; time.Sleep(5 * time.Millisecond) {
		if c.do("GET", "/v1/tasks/"+made.ID, nil).is(200).into(&got); time.Now().After(deadline) {
			t.Fatalf("%+v", got)
		}
	}
	c.do("POST", "/v1/tasks/"+made.ID+"/cancel", nil).is(200)
}

func TestATaskHasSkills(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	c.do("POST", "/v1/skills", map[string]any{"files": []map[string]any{{"path": "SKILL.md", "content": skillText}}}).is(201)
	var made task
	c.do("POST", "/v1/tasks", map[string]any{"prompt": "```bash\ncat .skills/release-notes/SKILL.md\n```", "skills": []string{"release-notes"}}).is(201).into(&made)
	if out := c.watch(made.ID).of("tool_result"); len(out) != 1 || !strings.Contains(*out[0].Payload.Output, "release-notes") {
		t.Fatalf("%+v", out)
	}
}

func TestTasksOfAComputer(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var box struct {
		ID          string
		TaskCount   int
		RecentTasks []task
	}
	c.do("POST", "/v1/agent-computers", `{"name":"box"}`).is(201).into(&box)
	var made task
	for i := range 11 {
		c.do("POST", "/v1/tasks", map[string]any{"prompt": fmt.Sprintf("task %d", i), "workspaceId": box.ID}).is(201).into(&made)
		c.watch(made.ID)
	}
	c.do("GET", "/v1/agent-computers/"+box.ID, nil).is(200).into(&box)
	if box.TaskCount != 11 || len(box.RecentTasks) != 10 || box.RecentTasks[0].Title != "task 10" || box.RecentTasks[0].CompletedAt == nil || made.WorkspaceID != box.ID {
		t.Fatalf("%+v", box)
	}
	var list struct {
		Data  []task
		Total int
	}
	c.do("GET", "/v1/tasks?limit=2&offset=1", nil).is(200).into(&list)
	if list.Total != 11 || len(list.Data) != 2 || list.Data[0].Title != "task 9" {
		t.Fatalf("%+v", list)
	}
	c.do("DELETE", "/v1/tasks/"+made.ID, nil).is(204)
	c.do("GET", "/v1/agent-computers/"+box.ID, nil).is(200)
	// A computer that was made for a task is no agent computer, and goes with it.
	c.do("POST", "/v1/tasks", `{"prompt":"alone"}`).is(201).into(&made)
	c.watch(made.ID)
	c.do("GET", "/v1/agent-computers/"+made.WorkspaceID, nil).fails(404, "not_found", "")
	c.do("DELETE", "/v1/computers/"+made.WorkspaceID, nil).fails(409, "conflict", "task")
	c.do("DELETE", "/v1/tasks/"+made.ID, nil).is(204)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r := c.do("GET", "/v1/computers/"+made.WorkspaceID, nil)
		if r.status == 404 || strings.Contains(string(r.body), `"deleted"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
}

// A task can also be deleted as the thread that it is; then its computer is
// left, for anybody to delete.
func TestAComputerWhoseTaskWasDeletedAsAThread(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"alone"}`).is(201).into(&made)
	c.watch(made.ID)
	c.do("DELETE", "/threads/"+made.ID, nil).is(200)
	c.do("DELETE", "/v1/computers/"+made.WorkspaceID, nil).is(202)
}

func TestTheSharedPageOfATask(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"<b>bold</b> words"}`).is(201).into(&made)
	c.watch(made.ID)
	page := func(url string, status int, want string) {
		t.Helper()
		resp, err := h.Client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text strings.Builder
		if _, err := bufio.NewReader(resp.Body).WriteTo(&text); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || !strings.Contains(text.String(), want) || strings.Contains(text.String(), "<b>bold") {
			t.Fatalf("%s: %d %s", url, resp.StatusCode, text.String())
		}
	}
	page(made.URL, http.StatusNotFound, "not public")
	var shown struct{ Visibility, ShareURL string }
	c.do("PATCH", "/v1/tasks/"+made.ID+"/visibility", `{"visibility":"public"}`).is(200).into(&shown)
	page(shown.ShareURL, http.StatusOK, "&lt;b&gt;bold")
	shown.ShareURL = ""
	c.do("PATCH", "/v1/tasks/"+made.ID+"/visibility", `{"visibility":"private"}`).is(200).into(&shown)
	if shown.ShareURL != "" || shown.Visibility != "private" {
		t.Fatalf("%+v", shown)
	}
	page(made.URL, http.StatusNotFound, "not public")
}

func TestTasksRefuse(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, rival := h.NewAccount("rival", 10_000_000)
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"hello"}`).is(201).into(&made)
	c.watch(made.ID)
	tests := map[string]struct {
		key, method, path, body string
		status                  int
		code, text              string
	}{
		"no prompt":          {h.Key, "POST", "", `{}`, 400, "validation_error", "prompt"},
		"a long prompt":      {h.Key, "POST", "", `{"prompt":"` + strings.Repeat("x", 100_001) + `"}`, 400, "validation_error", "100000"},
		"an executor":        {h.Key, "POST", "", `{"prompt":"x","executor":"claude"}`, 400, "validation_error", "executor"},
		"a model":            {h.Key, "POST", "", `{"prompt":"x","model":"none"}`, 400, "validation_error", "model"},
		"a skill":            {h.Key, "POST", "", `{"prompt":"x","skills":["none"]}`, 400, "validation_error", "skills[0]"},
		"no such computer":   {h.Key, "POST", "", `{"prompt":"x","workspaceId":"0190d3a4-0000-7000-8000-000000000000"}`, 404, "not_found", ""},
		"an odd computer":    {h.Key, "POST", "", `{"prompt":"x","workspaceId":"a/b"}`, 400, "validation_error", "workspaceId"},
		"a repository":       {h.Key, "POST", "", `{"prompt":"x","githubUrl":"a/b'; rm -rf /"}`, 400, "validation_error", "githubUrl"},
		"a branch":           {h.Key, "POST", "", `{"prompt":"x","githubUrl":"a/b","branchName":"--upload-pack=x"}`, 400, "validation_error", "branchName"},
		"another's":          {rival, "GET", "/" + made.ID, "", 404, "not_found", ""},
		"another's events":   {rival, "GET", "/" + made.ID + "/events", "", 404, "not_found", ""},
		"another's content":  {rival, "GET", "/" + made.ID + "/content", "", 404, "not_found", ""},
		"to another's":       {rival, "POST", "/" + made.ID + "/prompts", `{"prompt":"x"}`, 404, "not_found", ""},
		"cancel another's":   {rival, "POST", "/" + made.ID + "/cancel", "", 404, "not_found", ""},
		"show another's":     {rival, "PATCH", "/" + made.ID + "/visibility", `{"visibility":"public"}`, 404, "not_found", ""},
		"delete another's":   {rival, "DELETE", "/" + made.ID, "", 404, "not_found", ""},
		"an odd visibility":  {h.Key, "PATCH", "/" + made.ID + "/visibility", `{"visibility":"odd"}`, 400, "validation_error", "visibility"},
		"include what":       {h.Key, "GET", "/" + made.ID + "/content?include=all", "", 400, "validation_error", "include"},
		"a limit out of it":  {h.Key, "GET", "?limit=101", "", 400, "validation_error", "limit"},
		"a prompt of spaces": {h.Key, "POST", "/" + made.ID + "/prompts", `{"prompt":"  "}`, 400, "validation_error", "prompt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := as(t, h, tt.key)
			var body any
			if tt.body != "" {
				body = tt.body
			}
			c.do(tt.method, "/v1/tasks"+tt.path, body).fails(tt.status, tt.code, tt.text)
		})
	}
}
