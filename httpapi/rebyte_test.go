package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// rebyteComputer is a reply of the Rebyte dialect.
type rebyteComputer struct {
	ID, Name, Status, URL string
	SandboxID             *string
	Icon                  *string
	ProvisionError        *string
	TaskCount             *int
	RecentTasks           []any
	AgentInstructions     *string
}

func TestRebytesAgentComputers(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, "")
	var made, got rebyteComputer
	key := func(header string) []string { return []string{header, h.Key} }
	c.do("POST", "/v1/agent-computers", `{"name":"My Agent","icon":"robot"}`, key("API_KEY")...).is(201).into(&made)
	if made.Name != "My Agent" || *made.Icon != "robot" || !strings.HasPrefix(made.URL, h.URL) || made.ProvisionError != nil || made.TaskCount != nil {
		t.Fatalf("%+v", made)
	}
	for deadline := time.Now().Add(patience); got.Status != "ready"; time.Sleep(5 * time.Millisecond) {
		c.do("GET", "/v1/agent-computers/"+made.ID, nil, key("api-key")...).is(200).into(&got)
		if got.Status == "provisioning" && got.SandboxID != nil || time.Now().After(deadline) {
			t.Fatalf("%+v", got)
		}
	}
	if got.SandboxID == nil || *got.SandboxID != made.ID || *got.TaskCount != 0 || got.RecentTasks == nil {
		t.Fatalf("%+v", got)
	}
	c.do("POST", "/v1/agent-computers", nil, key("x-api-key")...).is(201).into(&got)
	if got.Name != "Agent Computer" || got.Icon != nil {
		t.Fatalf("%+v", got)
	}
	var list struct {
		Data                 []rebyteComputer
		Total, Limit, Offset int
	}
	c.do("GET", "/v1/agent-computers?limit=1&offset=1", nil, key("API_KEY")...).is(200).into(&list)
	if list.Total != 2 || list.Limit != 1 || list.Offset != 1 || len(list.Data) != 1 || list.Data[0].ID != made.ID {
		t.Fatalf("%+v", list)
	}
	c.do("PATCH", "/v1/agent-computers/"+made.ID, `{"agent_instructions":"Be brief.","name":"Other"}`, key("API_KEY")...).is(200).into(&got)
	if got.Name != "Other" || *got.AgentInstructions != "Be brief." {
		t.Fatalf("%+v", got)
	}
	// The same computer is in the other dialect's list, and deleted only here.
	whole := as(t, h, h.Key)
	whole.do("GET", "/v1/computers/"+made.ID, nil).is(200)
	whole.do("DELETE", "/v1/computers/"+made.ID, nil).fails(409, "conflict", "agent-computers")
	c.do("DELETE", "/v1/agent-computers/"+made.ID, nil, key("API_KEY")...).is(204)
	box := whole.running(`{"handle":"box"}`)
	c.do("GET", "/v1/agent-computers/"+box.Computer.ID, nil, key("API_KEY")...).fails(404, "not_found", "")
}

func TestRebyteRefuses(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, "")
	_, rival := h.NewAccount("rival", 10_000_000)
	var made rebyteComputer
	c.do("POST", "/v1/agent-computers", `{}`, "API_KEY", h.Key).is(201).into(&made)
	tests := map[string]struct {
		key, method, path, body string
		status                  int
		code                    string
	}{
		"no key":             {"", "GET", "/v1/agent-computers", "", 401, "missing_api_key"},
		"a wrong key":        {"rbk_wrong", "GET", "/v1/agent-computers", "", 401, "invalid_api_key"},
		"a long name":        {h.Key, "POST", "/v1/agent-computers", `{"name":"` + strings.Repeat("x", 201) + `"}`, 400, "validation_error"},
		"a long icon":        {h.Key, "POST", "/v1/agent-computers", `{"icon":"` + strings.Repeat("x", 51) + `"}`, 400, "validation_error"},
		"malformed":          {h.Key, "POST", "/v1/agent-computers", `{`, 400, "validation_error"},
		"a limit of 0":       {h.Key, "GET", "/v1/agent-computers?limit=0", "", 400, "validation_error"},
		"an unknown id":      {h.Key, "GET", "/v1/agent-computers/550e8400-e29b-41d4-a716-446655440000", "", 404, "not_found"},
		"an unknown view":    {h.Key, "PATCH", "/v1/agent-computers/" + made.ID, `{"views":{"x":true}}`, 400, "validation_error"},
		"another's":          {rival, "GET", "/v1/agent-computers/" + made.ID, "", 404, "not_found"},
		"deleting another's": {rival, "DELETE", "/v1/agent-computers/" + made.ID, "", 404, "not_found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			var body any
			if tt.body != "" {
				body = tt.body
			}
			var headers []string
			if tt.key != "" {
				headers = []string{"API_KEY", tt.key}
			}
			c.do(tt.method, tt.path, body, headers...).fails(tt.status, tt.code, "")
		})
	}
}
