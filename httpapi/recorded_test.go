package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// recorded is one request of the vendor's own client, to the byte but for ids,
// and the fields of the reply that the client reads. Where a status is 0 the
// reply is a stream. BUILT waits for a build, FORM is a POST of a file, its body
// the file's name and directory; the id in the reply becomes {keep}.
type recorded struct {
	ask, body string
	status    int
	printed   string
	keep      string
}

const (
	justDone  = `{"success":true}`
	notServed = `{"message":"*"}` // not served: what the client shows
)

// clientsRequests are all that its tests made, in their order. What the client
// has beyond the product that Bothy stands for is a plain 404.
var clientsRequests = []recorded{
	{"GET /environments", "", 200, `{"data":[{"id":"*","isDefault":true}]}`, ""},
	{"POST /threads", `{"environmentId":"{env}"}`, 201, `{"thread":{"id":"*"}}`, "thread"},
	{"POST /threads/{thread}/messages", `{"content":"Create a REST API"}`, 0, "", ""},
	{"POST /threads/{thread}/messages", `{"content":"Again","agentConfig":{"model":"gpt-5.1"}}`, 0, "", ""},
	{"POST /threads/{thread}/messages", `{"content":"Again"}`, 0, "", ""},
	{"POST /threads/thread_err/messages", `{"content":"x"}`, 404, notServed, ""},
	{"GET /threads/thread_404", "", 404, notServed, ""},
	{"GET /err/nonjson", "", 404, notServed, ""},
	{"POST /threads", `{"environmentId":"{env}"}`, 201, `{"thread":{"id":"*"}}`, "doomed"},
	{"DELETE /threads/{doomed}", "", 200, justDone, ""},
	{"DELETE /threads/thread_204", "", 404, notServed, ""},
	{"POST /agents", `{"name":"First","model":"gpt-5.1"}`, 201, `{"agent":{"id":"*"}}`, "agent"},
	{"POST /threads", `{"environmentId":"{env}","agentId":"{agent}","title":"t","messages":[{"role":"user","content":"x"}]}`, 0, "", ""},
	{"GET /threads?limit=5&offset=0&environmentId={env}&status=active", "", 200, `{"data":[],"has_more":false,"total_count":0}`, ""},
	{"PATCH /threads/{thread}", `{"title":"n"}`, 200, `{"thread":{"id":"{thread}","title":"n"}}`, ""},
	{"GET /threads/{thread}/messages", "", 200, `{"data":[{"role":"user","content":"Create a REST API"},{"role":"assistant","content":"It is done."},{"content":"Again"},{},{"content":"Again"},{}],"has_more":false,"total_count":6}`, ""},
	{"POST /threads/{thread}/copy", "", 201, `{"thread":{"id":"*","title":"n Copy","status":"completed"},"messagesCopied":6}`, ""},
	{"POST /threads/{thread}/copy", `{"title":"z"}`, 201, `{"thread":{"title":"z"}}`, ""},
	{"POST /threads/search", `{"query":"REST","limit":10,"includeMessages":true}`, 200, `{"total":3,"hasMore":false,"searchMetadata":{"query":"REST"}}`, ""},
	{"GET /threads/{thread}/logs", "", 200, `{}`, ""},
	{"GET /threads/{thread}/research", "", 404, notServed, ""},
	{"GET /threads/{thread}/research/rs_1", "", 404, notServed, ""},
	{"DELETE /threads/{thread}/research/rs_1", "", 404, notServed, ""},
	{"POST /threads/{thread}/cancel", "", 400, notServed, ""},
	{"POST /threads/{thread}/resume", "", 200, `{"thread":{"id":"{thread}"}}`, ""},

	{"POST /environments", `{"name":"e","runtimes":{"python":"3.12"},"packages":{"python":["pandas"]},"environmentVariables":[{"key":"A","value":"b"}]}`, 201, `{"environment":{"id":"*","isActive":true}}`, "environment"},
	{"GET /environments?isActive=true&isDefault=false&limit=2&offset=1", "", 200, `{"data":[],"total_count":1}`, ""},
	{"GET /environments/default", "", 200, `{"id":"{env}","isDefault":true,"environment":{"id":"{env}"}}`, ""},
	{"GET /environments/{env}", "", 200, `{"environment":{"id":"{env}"}}`, ""},
	{"PATCH /environments/{env}", `{"name":"x"}`, 200, `{"environment":{"name":"x"}}`, ""},
	{"DELETE /environments/{environment}", "", 200, justDone, ""},
	{"GET /environments/runtimes/available", "", 200, `{"runtimes":{"nodejs":["18","20","22"]}}`, ""},
	{"GET /environments/{env}/runtimes", "", 200, `{"runtimes":{}}`, ""},
	{"PUT /environments/{env}/runtimes", `{"runtimes":{"python":"3.12","nodejs":"22"}}`, 200, `{"environment":{"runtimes":{"python":"3.12","nodejs":"22"}}}`, ""},
	{"GET /environments/{env}/packages", "", 200, `{"packages":{"system":[],"python":[],"node":[]}}`, ""},
	{"POST /environments/{env}/packages", `{"type":"python","packages":["pandas","numpy"]}`, 200, `{"environment":{},"installed":["pandas","numpy"]}`, ""},
	{"POST /environments/{env}/packages", `{"type":"node","packages":["@types/node"]}`, 200, `{}`, ""},
	{"DELETE /environments/{env}/packages/node/@types/node", "", 200, `{"environment":{"packages":{"node":[]}}}`, ""},
	{"GET /environments/{env}/dockerfile", "", 200, `{"baseImage":"*","dockerfileExtensions":null,"effectiveDockerfile":"*"}`, ""},
	{"PUT /environments/{env}/dockerfile", `{"dockerfileExtensions":"RUN x"}`, 200, `{"environment":{"dockerfileExtensions":"RUN x"}}`, ""},
	{"POST /environments/{env}/dockerfile/validate", `{"dockerfileExtensions":"RUN x"}`, 200, `{"valid":true,"warnings":[],"effectiveDockerfile":"*"}`, ""},
	{"POST /environments/{env}/build", `{}`, 200, `{"buildId":"*","status":"building","message":"*"}`, ""},
	{"BUILT", "", 0, "", ""},
	{"POST /environments/{env}/build?force=true", `{}`, 200, `{"buildId":"*","status":"building","message":"*"}`, ""},
	{"BUILT", "", 0, "", ""},
	{"POST /environments/{env}/build", `{"force":true}`, 200, `{"buildId":"*","status":"building","message":"*"}`, ""},
	{"BUILT", "", 0, "", ""},
	{"GET /environments/{env}/build/status", "", 200, `{"buildStatus":"ready","buildError":null,"imageTag":"*","lastBuildAt":"*","buildHash":"*"}`, ""},
	{"GET /environments/{env}/build/logs", "", 200, `{"logs":"*","buildLogs":"*"}`, ""},
	{"POST /environments/{env}/build/test", `{}`, 200, `{"success":true,"imageTag":"*"}`, ""},
	{"POST /environments/{env}/start", `{}`, 200, `{"success":true,"containerName":"*","containerId":"*","imageTag":"*","workspacePath":"*"}`, ""},
	{"POST /environments/{env}/stop", "", 200, `{"success":true,"stopped":1}`, ""},
	{"GET /environments/{env}/status", "", 200, `{"status":"stopped"}`, ""},
	{"GET /environments/{env}/config", "", 200, `{"config":""}`, ""},
	{"PUT /environments/{env}/config", `{"config":"cfg"}`, 200, `{}`, ""},

	{"POST /agents", `{"name":"P","model":"gpt-5.1","instructions":"x"}`, 201, `{"agent":{"id":"*","mcpServers":[]}}`, "agent"},
	{"GET /agents", "", 200, `{"data":[{"name":"P"},{"name":"First"}]}`, ""},
	{"GET /agents/{agent}", "", 200, `{"agent":{"id":"{agent}"}}`, ""},
	{"PATCH /agents/{agent}", `{"instructions":"y"}`, 200, `{"agent":{"instructions":"y"}}`, ""},
	{"DELETE /agents/{agent}", "", 200, justDone, ""},
	{"POST /agents", `{"name":"R","model":"gpt-5.1"}`, 201, `{"agent":{"id":"*"}}`, "agent"},
	{"DELETE /agents/{agent}?hard=true", "", 200, justDone, ""},
	{"POST /agents", `{"name":"R","model":"gpt-5.1"}`, 201, `{"agent":{"id":"*"}}`, "agent"},

	{"GET /environments/{env}/files", "", 200, `{"object":"list","path":"/","has_more":false}`, ""},
	{"GET /environments/{env}/files/src/a%20b%23c.py", "", 200, "print(2)", ""},
	{"GET /environments/{env}/files/src/app.py", "", 200, "print(1)", ""},
	{"FORM /environments/{env}/files/upload", "app.py src", 200, `{"success":true,"filename":"app.py","path":"src/app.py"}`, ""},
	{"FORM /environments/{env}/files/upload", "app.py", 200, `{"success":true,"filename":"app.py","path":"app.py"}`, ""},
	{"FORM /environments/{env}/files/upload", "undefined src/app.py", 200, `{"success":true,"filename":"app.py","path":"src/app.py"}`, ""},
	{"DELETE /environments/{env}/files/src/app.py", "", 200, justDone, ""},
	{"POST /environments/{env}/files/move", `{"sourcePath":"a","destPath":"b"}`, 200, `{"success":true,"sourcePath":"a","destPath":"b"}`, ""},
	{"POST /environments/{env}/files/mkdir", `{"path":"src/x"}`, 200, `{"success":true,"path":"src/x"}`, ""},

	{"POST /schedules", `{"name":"Daily","agentId":"{agent}","agentName":"R","task":"t","scheduleType":"recurring","cronExpression":"0 9 * * *"}`, 201, `{"schedule":{"id":"*","nextRunAt":"*"}}`, "schedule"},
	{"GET /schedules?enabled=true&limit=1", "", 200, `{"data":[{"id":"{schedule}"}]}`, ""},
	{"GET /schedules/{schedule}", "", 200, `{"schedule":{"id":"{schedule}"}}`, ""},
	{"PATCH /schedules/{schedule}", `{"task":"q"}`, 200, `{"schedule":{"task":"q"}}`, ""},
	{"POST /schedules/{schedule}/trigger", "", 200, `{"runId":"*","triggered":true}`, ""},
	{"PATCH /schedules/{schedule}/enable", "", 200, `{"schedule":{"enabled":true}}`, ""},
	{"PATCH /schedules/{schedule}/disable", "", 200, `{"schedule":{"enabled":false}}`, ""},
	{"DELETE /schedules/{schedule}", "", 200, `{"deleted":true}`, ""},

	{"POST /triggers", `{"name":"T","environmentId":"{env}","source":"github","event":"push","action":{"type":"send_message","message":"m"}}`, 404, notServed, ""},
	{"GET /triggers?environmentId={env}", "", 404, notServed, ""},
	{"POST /orchestrations", `{"name":"O","environmentId":"{env}","strategy":"sequential","steps":[{"agentId":"{agent}","name":"s"}]}`, 404, notServed, ""},

	{"GET /costs/summary", "", 200, `{"totals":{}}`, ""},
	{"POST /budget/increase", `{"amount":5}`, 200, `{"success":true,"budget":{"addedAmount":5}}`, ""},
	{"GET /billing/records?limit=5", "", 200, `{"has_more":true}`, ""},
	{"GET /billing/summary", "", 200, `{"periodStart":"*","periodEnd":"*"}`, ""},
	{"GET /billing/daily", "", 200, `{}`, ""},
	{"POST /billing/mcp-usage", `{"serverType":"deep_research"}`, 501, notServed, ""},
	{"GET /budget/topup-options", "", 200, `{"options":[]}`, ""},
	{"POST /budget/checkout", `{"variantId":"v"}`, 501, notServed, ""},
	{"GET /budget/payment-status", "", 200, `{"configured":false,"pendingPayments":0}`, ""},
	{"GET /billing/account", "", 200, `{"account":{"apiKeyId":"*","status":"active"}}`, ""},
	{"GET /billing/stats?period=month", "", 200, `{"stats":{"period":"month"}}`, ""},
	{"GET /billing/usage/workspace", "", 200, `{"total":{"projectCount":2}}`, ""},
	{"GET /billing/transactions?limit=2", "", 200, `{"transactions":[{},{}],"pagination":{"limit":2,"offset":0}}`, ""},

	{"POST /environments/{env}/start", `{}`, 200, justDone, ""}, // it was stopped above, and stays so until it is asked for
	{"GET /git/{env}/diff", "", 200, `{"diffs":[{"path":"kept"}],"stats":{"filesChanged":1,"insertions":1,"deletions":0}}`, ""},
	{"POST /git/{env}/commit", `{"message":"m","files":["kept"]}`, 200, `{"success":true,"commit":{"sha":"*","message":"m","filesChanged":1}}`, ""},
	{"POST /git/{env}/push", `{}`, 400, notServed, ""},
	{"GET /git/{env}/commits/HEAD/diff", "", 200, `{"diffs":[{"path":"kept"}],"stats":{"filesChanged":1}}`, ""},

	{"GET /project", "", 200, `{"project":{"id":"*"}}`, ""},
	{"PATCH /project", `{"name":"x"}`, 405, notServed, ""},
	{"POST /project/sync", `{}`, 404, notServed, ""},
	{"PUT /files/a%2Fb.txt", `{"content":"x"}`, 404, notServed, ""},
	{"GET /runs?limit=1", "", 404, notServed, ""},
	{"GET /threads/{thread}/diffs", "", 200, `{"diffs":[]}`, ""},
	{"GET /environments", "", 200, `{"data":[{"id":"{env}"}]}`, ""},
	{"GET /health", "", 200, `{"status":"healthy","timestamp":"*","checks":{}}`, ""},
	{"GET /metrics", "", 200, `{"failedExecutions":0}`, ""},
	{"GET /metrics/history", "", 200, `{"count":30}`, ""},
}

// TestAllThatTheOfficialClientAsks sends the client's requests with its
// headers, each reply held to the OpenAPI document and to what the client reads
// of it, and another time under /v1.
func TestAllThatTheOfficialClientAsks(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // git reads no configuration of whoever runs the test
	for _, prefix := range []string{"", "/v1"} {
		t.Run("under "+prefix+"/", func(t *testing.T) {
			vendor := agenttest.ServeFunc(t, func(agenttest.Request) agenttest.Turn { return agenttest.Responses(agenttest.Message("It is done.")) })
			h := doortest.Open(t, doortest.Vendor("OPENAI_BASE_URL", vendor.URL), doortest.Vendor("OPENAI_API_KEY", "test"))
			c := as(t, h, h.FullKey())
			names := c.beforeTheClient()
			for _, r := range clientsRequests {
				c.asksAsRecorded(prefix, r, names)
			}
		})
	}
}

// beforeTheClient makes what the client's requests take for granted.
func (c *caller) beforeTheClient() map[string]string {
	c.t.Helper()
	env, path := c.env(`{"name":"default","internetAccess":true,"isDefault":true}`)
	c.uploads(path+"/files/upload", file("a b#c.py", "print(2)"), at("src")).is(200)
	c.uploads(path+"/files/upload", file("app.py", "print(1)"), at("src")).is(200)
	c.uploads(path+"/files/upload", file("a", "a")).is(200)
	script := "git init -q -b main .; printf 'src\\na\\nb\\napp.py\\n' > .git/info/exclude; touch kept; git add kept; git -c user.name=a -c user.email=a@example.org commit -qm first; echo more >> kept"
	var done wire.RunReply
	c.do("POST", "/threads", map[string]any{"environmentId": env.ID, "content": "```bash\n" + script + "\n```\n", "agentConfig": map[string]string{"model": "script"}, "stream": false}).is(200).into(&done)
	c.do("DELETE", "/threads/"+done.Thread.ID, nil).is(200)
	return map[string]string{"env": env.ID}
}

func (c *caller) asksAsRecorded(prefix string, r recorded, names map[string]string) {
	c.t.Helper()
	method, path, _ := strings.Cut(r.ask, " ")
	path, printed := prefix+named(path, names), named(r.printed, names)
	var got *reply
	switch method {
	case "BUILT":
		c.built("/environments/" + names["env"])
		return
	case "FORM":
		name, dir, inDir := strings.Cut(r.body, " ")
		parts := []part{file(name, "print(1)")}
		if inDir {
			parts = append(parts, at(dir))
		}
		got = c.uploads(path, parts...)
	default:
		if r.status == 0 {
			c.streams(r, path, names)
			return
		}
		accept := "*/*"
		if strings.Contains(r.ask, "/files/src/") && method == "GET" {
			accept = "text/event-stream"
		}
		got = c.do(method, path, filled(r.body, names), "Accept", accept)
	}
	if got.status != r.status {
		c.t.Errorf("%s: %d, want %d: %s", r.ask, got.status, r.status, got.body)
		return
	}
	if !json.Valid([]byte(printed)) {
		if string(got.body) != printed {
			c.t.Errorf("%s: %q, want %q", r.ask, got.body, printed)
		}
		return
	}
	var want, have any
	if err := json.Unmarshal([]byte(printed), &want); err != nil {
		c.t.Fatal(err)
	}
	got.into(&have)
	if where := differs(want, have, "."); where != "" {
		c.t.Errorf("%s: %s differs: %s, want %s", r.ask, where, got.body, printed)
	}
	if r.keep != "" {
		var made struct{ Thread, Agent, Environment, Schedule struct{ ID string } }
		got.into(&made)
		names[r.keep] = made.Thread.ID + made.Agent.ID + made.Environment.ID + made.Schedule.ID
	}
}

// streams reads the two events that the client looks into.
func (c *caller) streams(r recorded, path string, names map[string]string) {
	c.t.Helper()
	resp := c.open("POST", path, filled(r.body, names), "Accept", "text/event-stream")
	defer resp.Body.Close()
	lines := stream(c.t, resp.Body, nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || len(lines) < 3 {
		c.t.Fatalf("%s: %s, %v", r.ask, resp.Status, lines)
	}
	done, end := lines[len(lines)-2], lines[len(lines)-1]
	if done.Type != wire.ResponseDone || *done.Response.Content != "It is done." || end.Type != wire.StreamCompleted || end.Run.Status != "success" || end.Run.Tokens.Output != 20 {
		c.t.Errorf("%s: it ends with %+v and %+v", r.ask, done.Event, end.Event)
	}
}
