package httpapi_test

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestAgentsAreKeptAsTheirPagesShow(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made, executor wire.OneAgent
	c.do("POST", "/v1/agents", `{"name":"Code Executor","workspace":"/projects/my-app"}`).is(201).into(&executor)
	c.do("POST", "/v1/agents", `{"name":"Code Planner","model":"gpt-5.1","instructions":"You plan.","handoffs":["`+executor.Agent.ID+`"],
		"mcpServers":[{"type":"http","name":"notion","url":"https://notion-mcp.example.com/mcp","bearerToken":"your-token","headers":{}}],
		"metadata":{"team":"a"}}`).is(201).into(&made)
	a := made.Agent
	if a.AgentType != "llm" || a.Model != "gpt-5.1" || a.Execution.Timeout != 600000 || a.Execution.Debug ||
		len(a.MCPServers) != 1 || a.MCPServers[0].BearerToken != "your-token" || string(a.Metadata) != `{"team":"a"}` {
		t.Fatalf("%+v", a)
	}
	var got wire.OneAgent
	c.do("GET", "/agents/"+a.ID, nil).is(200).into(&got)
	if got.Agent.Name != "Code Planner" || got.Agent.Handoffs[0] != executor.Agent.ID {
		t.Fatalf("%+v", got.Agent)
	}
	c.do("PATCH", "/v1/agents/"+a.ID, `{"instructions":"You are senior.","description":"d","reasoningEffort":"high","appId":"app","execution":{"debug":true}}`).is(200).into(&got)
	if *got.Agent.Instructions != "You are senior." || got.Agent.Model != "gpt-5.1" || !got.Agent.Execution.Debug || got.Agent.Execution.Timeout != 600000 {
		t.Fatalf("%+v", got.Agent)
	}
	var list wire.List[wire.Agent]
	c.do("GET", "/agents?appId=app", nil).is(200).into(&list)
	if list.TotalCount != 1 {
		t.Fatalf("%+v", list)
	}
	c.do("GET", "/agents?appId=other", nil).is(200).into(&list)
	if list.TotalCount != 0 {
		t.Fatalf("%+v", list)
	}
	var done map[string]bool
	c.do("DELETE", "/agents/"+a.ID+"?hard=true", nil).is(200).into(&done)
	if !done["success"] || !done["deleted"] {
		t.Fatalf("%v", done)
	}
	c.do("GET", "/agents/"+a.ID, nil).refused(404, "Agent not found")
}

func TestAgentTypeIsInferred(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	tests := map[string]struct {
		body, want string // an agent type, or what the refusal says
		status     int
	}{
		"model":                       {`{"name":"a","model":"gpt-5.2"}`, "llm", 201},
		"workspace":                   {`{"name":"a","workspace":"/projects/my-app"}`, "computer", 201},
		"both":                        {`{"name":"a","model":"gpt-5","workspace":"/p"}`, "computer", 201},
		"null workspace":              {`{"name":"a","model":"gpt-5","workspace":null}`, "llm", 201},
		"script":                      {`{"name":"a","model":"script"}`, "llm", 201},
		"neither":                     {`{"name":"a"}`, "Either 'model' or 'workspace' must be provided", 422},
		"no name":                     {`{"model":"gpt-5"}`, "Missing required field: name", 422},
		"llm with workspace":          {`{"name":"a","agentType":"llm","model":"gpt-5","workspace":"/p"}`, "agentType", 400},
		"computer without workspace":  {`{"name":"a","agentType":"computer","model":"gpt-5"}`, "agentType", 400},
		"unknown type":                {`{"name":"a","agentType":"robot","model":"gpt-5"}`, "agentType", 422},
		"workspace that leaves":       {`{"name":"a","workspace":"/projects/../../etc"}`, "workspace", 400},
		"unknown model":               {`{"name":"a","model":"invalid-model"}`, "Invalid model 'invalid-model'. Supported models: gpt-5.2, gpt-5.1, gpt-5.1-codex, gpt-5-codex, gpt-5, gpt-5-mini, gpt-5-nano, script", 400},
		"ill-typed instructions":      {`{"name":"a","model":"gpt-5","instructions":5}`, "instructions must be a string", 422},
		"ill-typed metadata":          {`{"name":"a","model":"gpt-5","metadata":[]}`, "metadata must be an object", 422},
		"ill-typed timeout":           {`{"name":"a","model":"gpt-5","execution":{"timeout":"1"}}`, "execution", 400},
		"a short timeout":             {`{"name":"a","model":"gpt-5","execution":{"timeout":999}}`, "execution.timeout", 400},
		"a timeout that overflows":    {`{"name":"a","model":"gpt-5","execution":{"timeout":9223372036854775807}}`, "execution.timeout", 400},
		"bad effort":                  {`{"name":"a","model":"gpt-5","reasoningEffort":"huge"}`, "reasoningEffort", 422},
		"mcp without url":             {`{"name":"a","model":"gpt-5","mcpServers":[{"type":"stdio","name":"x","command":"y"},{"type":"http","name":"z"}]}`, "mcpServers[1].url", 400},
		"mcp twice":                   {`{"name":"a","model":"gpt-5","mcpServers":[{"type":"stdio","name":"x","command":"y"},{"type":"stdio","name":"x","command":"y"}]}`, "mcpServers[1].name", 400},
		"mcp of a wrong type":         {`{"name":"a","model":"gpt-5","mcpServers":[{"type":"carrier","name":"x"}]}`, "mcpServers[0].type", 400},
		"mcp ill-typed":               {`{"name":"a","model":"gpt-5","mcpServers":"x"}`, "mcpServers must be an array", 400},
		"malformed":                   {`{"name":`, "not valid JSON", 400},
		"a handoff that is no id":     {`{"name":"a","model":"gpt-5","handoffs":["../x"]}`, "handoffs[0]", 422},
		"a name with a line break":    {`{"name":"a\nb","model":"gpt-5"}`, "name", 422},
		"a name with a NUL":           {`{"name":"a\u0000b","model":"gpt-5"}`, "NUL", 400},
		"an oversized name":           {`{"name":"` + strings.Repeat("x", 300) + `","model":"gpt-5"}`, "name must be at most 256 bytes", 422},
		"an array instead of a thing": {`[]`, "JSON object", 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			r := c.do("POST", "/agents", tt.body)
			if tt.status != 201 {
				e := r.refused(tt.status, tt.want)
				if want := map[int]string{422: "Validation Error", 400: "Bad Request"}[tt.status]; e.Error != want {
					t.Fatalf("error %q, want %q", e.Error, want)
				}
				if tt.status == 422 && e.Code != "VALIDATION_FAILED" {
					t.Fatalf("code %q", e.Code)
				}
				return
			}
			var made wire.OneAgent
			r.is(201).into(&made)
			if made.Agent.AgentType != tt.want {
				t.Fatalf("agentType %q", made.Agent.AgentType)
			}
		})
	}
}

func TestPatchingAnAgentKeepsItOne(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var llm wire.OneAgent
	c.do("POST", "/agents", `{"name":"a","model":"gpt-5"}`).is(201).into(&llm)
	path := "/agents/" + llm.Agent.ID
	c.do("PATCH", path, `{"workspace":"/p"}`).refused(400, "workspace")
	c.do("PATCH", path, `{"model":""}`).refused(422, "model")
	c.do("PATCH", path, `{"name":""}`).refused(422, "name")
	c.do("PATCH", path, `{"model":"nope"}`).refused(400, "Invalid model 'nope'")
	c.do("PATCH", path, `{"agentType":"computer"}`).refused(400, "agentType")
	c.do("PATCH", "/agents/agent_unknown", `{"name":"b"}`).refused(404, "Agent not found")
}
