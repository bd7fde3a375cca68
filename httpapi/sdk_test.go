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

// TestTheOfficialClientsEnvironmentCalls sends what the TypeScript client's
// environments resource sends: bodies that are {} or absent, and names of
// packages in the path as they are.
func TestTheOfficialClientsEnvironmentCalls(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","runtimes":{"python":"3.12"},"packages":{"python":["pandas"]},"environmentVariables":[{"key":"A","value":"b"}]}`)
	send := func(method, suffix string, body any, printed string) {
		t.Helper()
		c.do(method, path+suffix, body, "Accept", "*/*").is(200).like(printed)
	}
	c.do("GET", "/environments?isActive=true&isDefault=false&limit=2&offset=0", nil).is(200).like(`{"object":"list","total_count":1}`)
	send("PATCH", "", `{"name":"x"}`, `{"environment":{"name":"x"}}`)
	send("PUT", "/runtimes", `{"runtimes":{"python":"3.12","nodejs":"22"}}`, `{"environment":{"runtimes":{"python":"3.12","nodejs":"22"}}}`)
	send("GET", "/runtimes", nil, `{"runtimes":{"python":"3.12","nodejs":"22"}}`)
	send("POST", "/packages", `{"type":"python","packages":["pandas","numpy"]}`, `{"installed":["pandas","numpy"],"environment":{"packages":{"python":["pandas","numpy"]}}}`)
	send("POST", "/packages", `{"type":"node","packages":["@types/node"]}`, `{"installed":["@types/node"]}`)
	send("DELETE", "/packages/node/@types/node", nil, `{"environment":{"packages":{"node":[]}},"uninstalled":"@types/node"}`)
	send("GET", "/packages", nil, `{"packages":{"system":[],"python":["pandas","numpy"],"node":[]}}`)
	send("PUT", "/dockerfile", `{"dockerfileExtensions":"RUN x"}`, `{"environment":{"dockerfileExtensions":"RUN x"}}`)
	send("GET", "/dockerfile", nil, `{"baseImage":"testbase-base","dockerfileExtensions":"RUN x","effectiveDockerfile":"*"}`)
	send("POST", "/dockerfile/validate", `{"dockerfileExtensions":"RUN x"}`, `{"valid":true,"warnings":[],"effectiveDockerfile":"*"}`)
	for _, ask := range []struct{ suffix, body string }{{"/build", `{}`}, {"/build?force=true", `{}`}, {"/build", `{"force":true}`}} {
		send("POST", ask.suffix, ask.body, `{"message":"Build started","environmentId":"*","buildStatus":"building","status":"building","buildId":"*","success":true}`)
		c.built(path)
	}
	send("GET", "/build/status", nil, `{"buildStatus":"ready","buildError":null,"imageTag":"*","buildHash":"*"}`)
	send("GET", "/build/logs", nil, `{"buildLogs":"*","logs":"*","buildStatus":"ready"}`)
	send("POST", "/build/test", `{}`, `{"success":true,"imageTag":"*","logs":"*"}`)
	send("POST", "/start", `{}`, `{"success":true,"containerName":"*","containerId":"*","imageTag":"*","workspacePath":"/workspace"}`)
	send("GET", "/status", nil, `{"status":"running"}`)
	send("POST", "/stop", nil, `{"success":true,"stopped":1}`)
	send("PUT", "/config", `{"config":"cfg"}`, `{"config":"cfg"}`)
	send("GET", "/config", nil, `{"config":"cfg"}`)
	send("DELETE", "", nil, `{"success":true}`)
}
