package httpapi_test

import (
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// TestTheOfficialClientsFirstRun sends what the TypeScript client's run() does:
// it looks for a default environment, makes one, makes a thread and sends the
// message, all on bare paths and without asking for JSON.
func TestTheOfficialClientsFirstRun(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var envs wire.List[wire.Environment]
	c.do("GET", "/environments", nil, "Accept", "*/*").is(200).into(&envs)
	if envs.Object != "list" || len(envs.Data) != 0 {
		t.Fatalf("%+v", envs)
	}
	var env wire.OneEnvironment
	c.do("POST", "/environments", `{"name":"default","internetAccess":true,"isDefault":true}`, "Accept", "*/*").is(201).into(&env)
	var thread wire.OneThread
	c.do("POST", "/threads", map[string]any{"environmentId": env.Environment.ID}).is(201).into(&thread)
	resp := c.open("POST", "/threads/"+thread.Thread.ID+"/messages", `{"content":"Create a REST API"}`, "Accept", "text/event-stream")
	defer resp.Body.Close()
	lines := stream(t, resp.Body, nil)
	var content string
	var run *wire.Run
	for _, l := range lines {
		if l.Type == wire.ResponseDone {
			content = *l.Response.Content
		}
		if l.Type == wire.StreamCompleted {
			run = l.Event.Run
		}
	}
	if content == "" || run == nil || run.Status != "success" || run.Tokens == nil {
		t.Fatalf("content %q, run %+v", content, run)
	}
	c.do("GET", "/environments", nil).is(200).into(&envs)
	if envs.TotalCount != 1 || !envs.Data[0].IsDefault {
		t.Fatalf("%+v", envs)
	}
	// Calls without a body come with no Content-Type and Content-Length 0.
	c.do("POST", "/threads/"+thread.Thread.ID+"/copy", nil).is(201)
	c.do("POST", "/environments/"+env.Environment.ID+"/set-default", `{}`).is(200)
	c.do("POST", "/environments/"+env.Environment.ID+"/stop", nil).is(200)
	c.do("GET", "/costs/summary", nil).is(200)
}
