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

// run makes a thread by a message and returns it once its run has ended.
func run(c *caller, content string) wire.RunReply {
	c.t.Helper()
	var done wire.RunReply
	c.do("POST", "/threads", map[string]any{"content": content, "stream": false}).is(200).into(&done)
	return done
}

func TestWithoutAStreamTheAnswerIsJSON(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	done := run(c, hello)
	if done.Run.Status != "success" || done.Response.Content == nil || done.Thread.Status != "completed" || done.Thread.MessageCount != 2 {
		t.Fatalf("%+v", done)
	}
}

func TestThreadsAreKept(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", nil).is(201)
	c.do("POST", "/v1/threads", `{"title":"t","appId":"app","metadata":{"a":1},"messages":[]}`).is(201).into(&made)
	path := "/threads/" + made.Thread.ID
	if made.Thread.Status != "active" || made.Thread.EnvironmentID == "" || *made.Thread.Title != "t" || string(made.Thread.Metadata) != `{"a":1}` {
		t.Fatalf("%+v", made.Thread)
	}
	var got wire.OneThread
	c.do("PATCH", path, `{"title":"n","status":"completed","metadata":{"b":2}}`).is(200).into(&got)
	if *got.Thread.Title != "n" || got.Thread.Status != "completed" {
		t.Fatalf("%+v", got.Thread)
	}
	for query, want := range map[string]int{
		"": 2, "?status=completed": 1, "?status=active": 1, "?status=all": 2, "?environmentId=" + made.Thread.EnvironmentID: 2,
		"?environmentId=env_other": 0, "?appId=app": 1, "?agentId=agent_x": 0, "?createdAfter=2999-01-01": 0,
		"?createdAfter=2020-01-01T00:00:00.000Z": 2, "?limit=1": 2, "?limit=1&offset=1": 2, "?consistency=stale": 2,
	} {
		var list wire.List[wire.Thread]
		c.do("GET", "/v1/threads"+query, nil).is(200).into(&list)
		if list.TotalCount != want {
			t.Errorf("%s: %d threads, want %d", query, list.TotalCount, want)
		}
		if strings.HasPrefix(query, "?limit=1") && (len(list.Data) != 1 || list.HasMore == strings.Contains(query, "offset")) {
			t.Errorf("%s: %d on the page, more %v", query, len(list.Data), list.HasMore)
		}
	}
	c.do("DELETE", path, nil).is(200)
	c.do("GET", path, nil).refused(404, "Thread not found")
	c.do("DELETE", path, nil).refused(404, "Thread not found")
}

func TestMessagesAndCopies(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	done := run(c, hello)
	path := "/threads/" + done.Thread.ID
	var list wire.List[wire.Message]
	c.do("GET", path+"/messages?order=desc&limit=1", nil).is(200).into(&list)
	if list.TotalCount != 2 || len(list.Data) != 1 || list.Data[0].Role != "assistant" || !list.HasMore {
		t.Fatalf("%+v", list)
	}
	var copied wire.CopiedThread
	c.do("POST", path+"/copy", nil).is(201).into(&copied)
	if copied.MessagesCopied != 2 || copied.Thread.Status != "completed" {
		t.Fatalf("%+v", copied)
	}
	c.do("POST", path+"/copy", `{"title":"z"}`).is(201).into(&copied)
	var got wire.OneThread
	c.do("GET", "/threads/"+copied.Thread.ID, nil).is(200).into(&got)
	if *got.Thread.Title != "z" || len(got.Thread.Messages) != 2 || got.Thread.Messages[0].Content != hello {
		t.Fatalf("%+v", got.Thread)
	}
	c.do("POST", path+"/cancel", nil).refused(400, "No active execution")
	c.do("POST", path+"/resume", nil).is(200)
}

func TestABusyThreadIsAConflictAndCancelEndsItsStream(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	resp := c.open("POST", "/threads", map[string]any{"content": "```bash\nsleep 600\n```\n"})
	defer resp.Body.Close()
	var id string
	lines := stream(t, resp.Body, func(l line) bool {
		if l.Thread != nil {
			id = l.Thread.ID
		}
		return l.Type == wire.OutputItemAdded
	})
	if id == "" {
		t.Fatalf("no thread in %v", types(lines))
	}
	c.do("POST", "/threads/"+id+"/messages", `{"content":"more"}`).refused(409, "busy")
	c.do("PATCH", "/threads/"+id, `{"status":"completed"}`).refused(409, "busy")
	c.do("POST", "/threads/"+id+"/cancel", nil).is(200)
	rest := stream(t, resp.Body, nil)
	last := rest[len(rest)-1]
	if last.Type != wire.StreamError || last.Error != "Execution cancelled by user" || last.Event.Run.Status != "cancelled" {
		t.Fatalf("ended with %+v", last.Event)
	}
}

func TestAStreamIsResumedFromAnyEvent(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	done := run(c, hello)
	path := "/threads/" + done.Thread.ID + "/events"
	until := func(l line) bool { return l.Ends() }
	whole := follow(c, path, "", until)
	if whole[len(whole)-1].Type != wire.StreamCompleted {
		t.Fatalf("%v", types(whole))
	}
	for i, l := range whole {
		if l.id == "" {
			continue
		}
		for _, ask := range []struct{ query, header string }{{"?after=" + l.id, ""}, {"", l.id}, {"?after=0", l.id}} {
			got := follow(c, path+ask.query+map[bool]string{true: "&", false: "?"}[ask.query != ""]+"follow=false", ask.header, nil)
			want := whole[i+1:]
			if !slices.Equal(types(got), types(want)) {
				t.Fatalf("after %s: %v, want %v", l.id, types(got), types(want))
			}
			for j := range got {
				if got[j].id != want[j].id || got[j].Item != nil && got[j].Item.Name != want[j].Item.Name {
					t.Fatalf("after %s: event %d is %+v, want %+v", l.id, j, got[j], want[j])
				}
			}
		}
	}
}

func follow(c *caller, path, lastID string, stop func(line) bool) []line {
	c.t.Helper()
	var headers []string
	if lastID != "" {
		headers = []string{"Last-Event-ID", lastID}
	}
	resp := c.open("GET", path, nil, headers...)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		c.t.Fatalf("status %d", resp.StatusCode)
	}
	return stream(c.t, resp.Body, stop)
}

func TestSeveralMessagesAreOneRequest(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var done wire.RunReply
	c.do("POST", "/threads", `{"stream":false,"messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":"three"}]}`).is(200).into(&done)
	var got wire.OneThread
	c.do("GET", "/threads/"+done.Thread.ID, nil).is(200).into(&got)
	if said := got.Thread.Messages[0].Content; !strings.Contains(said, "assistant: two") || !strings.HasSuffix(said, "three") {
		t.Fatalf("%q", said)
	}
}
