package httpapi_test

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestBadInputIsAClearRefusal(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	var made wire.OneThread
	c.do("POST", "/threads", `{}`).is(201).into(&made)
	thread := "/threads/" + made.Thread.ID
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := map[string]struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		"malformed JSON":            {"POST", "/threads", `{"content":`, 400, "not valid JSON"},
		"two objects":               {"POST", "/threads", `{} {}`, 400, "not valid JSON"},
		"10 MB":                     {"POST", "/threads", `{"content":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "1048576 bytes"},
		"a message over its bound":  {"POST", "/threads", `{"content":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "262144"},
		"deep JSON":                 {"POST", "/threads", `{"metadata":{"a":` + deep + `}}`, 400, "deeper than 32"},
		"10,000 levels":             {"POST", "/threads", strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000), 400, "deeper than 32"},
		"not UTF-8":                 {"POST", "/threads", "{\"content\":\"\xff\xfe\"}", 400, "UTF-8"},
		"a raw NUL":                 {"POST", "/threads", "{\"content\":\"a\x00b\"}", 400, "NUL"},
		"an escaped NUL":            {"POST", "/threads", `{"title":"a\u0000b"}`, 400, "NUL"},
		"content of a wrong type":   {"POST", "/threads", `{"content":["a"]}`, 400, "content must be a string"},
		"messages of a wrong type":  {"POST", "/threads", `{"messages":"hi"}`, 400, "messages must be an array"},
		"a role that is none":       {"POST", "/threads", `{"messages":[{"role":"robot","content":"x"}]}`, 400, "messages[0].role"},
		"an empty message":          {"POST", "/threads", `{"messages":[{"role":"user","content":" "}]}`, 400, "messages[0].content"},
		"no user at the end":        {"POST", "/threads", `{"messages":[{"role":"assistant","content":"x"}]}`, 400, "messages[0].role"},
		"a schedule that is none":   {"POST", "/threads", `{"content":"x","schedule":{"cronExpression":"* * * *"}}`, 422, "five fields"},
		"a schedule without times":  {"POST", "/threads", `{"content":"x","schedule":{}}`, 422, "Either 'cronExpression' or 'scheduledTime'"},
		"a schedule without a task": {"POST", "/threads", `{"schedule":{"cronExpression":"* * * * *"}}`, 422, "a schedule needs a message"},
		"a schedule with a secret":  {"POST", "/threads", `{"content":"x","secrets":[{"key":"A","value":"b"}],"schedule":{"cronExpression":"* * * * *"}}`, 422, "secrets cannot be scheduled"},
		"a schedule that is a word": {"POST", "/threads", `{"content":"x","schedule":"daily"}`, 400, "schedule"},
		"an oversized title":        {"POST", "/threads", `{"title":"` + strings.Repeat("x", 1000) + `"}`, 400, "title must be at most 256 bytes"},
		"an unknown environment":    {"POST", "/threads", `{"environmentId":"env_unknown"}`, 404, "Environment not found"},
		"an unknown agent":          {"POST", "/threads", `{"agentId":"agent_unknown"}`, 404, "Agent not found"},
		"an id that is a path":      {"POST", "/threads", `{"environmentId":"../../etc"}`, 400, "environmentId is not an id"},
		"metadata that is a list":   {"POST", "/threads", `{"metadata":[1]}`, 400, "metadata must be an object"},
		"a variable's name":         {"POST", "/threads", `{"content":"x","envVars":{"A=B":"c"}}`, 400, "envVars.A=B"},
		"a secret without a key":    {"POST", "/threads", `{"content":"x","secrets":[{"value":"c"}]}`, 400, "secrets[0].key"},
		"an unlisted model":         {"POST", "/threads", `{"content":"x","agentConfig":{"model":"nope"}}`, 400, "Invalid model 'nope'"},
		"a model without a vendor":  {"POST", "/threads", `{"content":"x","agentConfig":{"model":"gpt-5"}}`, 503, "OPENAI_API_KEY"},
		"no content":                {"POST", thread + "/messages", nil, 400, "Missing required field: content"},
		"empty content":             {"POST", thread + "/messages", `{"content":""}`, 400, "Missing required field: content"},
		"a limit of 0":              {"GET", "/threads?limit=0", nil, 400, "limit must be a whole number from 1 to 100"},
		"a limit of 101":            {"GET", "/agents?limit=101", nil, 400, "from 1 to 100"},
		"a limit in words":          {"GET", "/environments?limit=ten", nil, 400, "from 1 to 100"},
		"a negative offset":         {"GET", "/threads?offset=-1", nil, 400, "offset must be a whole number"},
		"an unknown status":         {"GET", "/threads?status=asleep", nil, 400, "status must be"},
		"a time that is none":       {"GET", "/threads?createdAfter=yesterday", nil, 400, "createdAfter"},
		"an unknown consistency":    {"GET", "/threads?consistency=maybe", nil, 400, "consistency"},
		"a status set to running":   {"PATCH", thread, `{"status":"running"}`, 400, "running"},
		"an event id that is none":  {"GET", thread + "/events?after=-1", nil, 400, "after"},
		"a huge event id":           {"GET", thread + "/events?after=99999999999999999999", nil, 400, "after"},
		"an unknown thread":         {"GET", "/threads/thread_unknown", nil, 404, "Thread not found: thread_unknown"},
		"a thread that is a path":   {"GET", "/threads/..%2f..%2fetc", nil, 404, "No route"},
		"dots":                      {"GET", "/threads/..", nil, 404, ""},
		"a NUL in an id":            {"GET", "/threads/a%00b", nil, 404, "Thread not found"},
		"a long id":                 {"GET", "/threads/" + strings.Repeat("a", 5000), nil, 404, "Thread not found"},
		"a trailing slash":          {"GET", "/threads/", nil, 404, ""},
		"a double slash":            {"POST", "//v1/threads", `{}`, 404, "No route"},
		"an unknown route":          {"GET", "/v2/threads", nil, 404, "No route GET /v2/threads"},
		"a wrong method":            {"PUT", "/v1/threads", `{}`, 405, "does not take PUT"},
		"another method":            {"TRACE", "/agents", nil, 405, "does not take TRACE"},
		"money that is no number":   {"PATCH", "/billing/budget", `{"dailyLimit":"5"}`, 400, "dollars"},
		"money of seven decimals":   {"PATCH", "/billing/budget", `{"dailyLimit":0.0000001}`, 400, "6 decimals"},
		"a negative limit":          {"PATCH", "/billing/budget", `{"dailyLimit":-1}`, 400, "dailyLimit"},
		"an increase of nothing":    {"POST", "/budget/increase", `{"amount":0}`, 400, "amount must be more than 0"},
		"an increase without bound": {"POST", "/budget/increase", `{"amount":1e300}`, 400, "dollars"},
		"an unknown period":         {"GET", "/costs/summary?period=decade", nil, 400, "period"},
		"a command without words":   {"POST", "/v1/admin/computers/x/exec", `{"argv":[]}`, 404, "Computer not found"},
		"an unknown account":        {"GET", "/v1/admin/accounts/acct_none", nil, 404, "Account not found"},
		"an account's name":         {"POST", "/v1/admin/accounts", `{"name":"` + strings.Repeat("x", 200) + `"}`, 400, "name"},
		"an unknown scope":          {"POST", "/v1/admin/accounts/self/keys", `{"scopes":["everything"]}`, 400, "everything"},
		"an unknown role":           {"POST", "/v1/admin/accounts/self/users", `{"name":"a","role":"king"}`, 400, "role"},
		"admin without /v1":         {"GET", "/admin/status", nil, 404, "No route"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			r := c.do(tt.method, tt.path, tt.body)
			r.refused(tt.status, tt.says)
			if got := r.header.Get("X-Request-Id"); got == "" {
				t.Error("no request id")
			}
		})
	}
}
