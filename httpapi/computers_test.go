package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// asked is a reply about a computer of the Agent Computer dialect.
type asked struct {
	Computer struct {
		ID           string `json:"id"`
		Handle       string `json:"handle"`
		DisplayName  string `json:"display_name"`
		OrgID        string `json:"clerk_org_id"`
		State        string `json:"state"`
		SizePreset   string `json:"size_preset"`
		MemoryMiB    int64  `json:"requested_memory_mib"`
		StorageBytes int64  `json:"requested_storage_bytes"`
		PrimaryURL   string `json:"primary_url"`
	} `json:"computer"`
	Operation *struct {
		ID     string `json:"id"`
		Kind   string `json:"kind"`
		Status string `json:"status"`
		Error  string `json:"error_message"`
	} `json:"operation"`
}

// fails checks a refusal of the dialect: its status, its code, and what it says.
func (r *reply) fails(status int, code, text string) {
	r.t.Helper()
	r.is(status)
	var e struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	r.into(&e)
	if e.Error.Code != code || !strings.Contains(e.Error.Message, text) {
		r.t.Fatalf("%s; want %s saying %q", r.body, code, text)
	}
}

// ended polls an operation as the product's client does, and returns why it failed.
func (c *caller) ended(a asked) string {
	c.t.Helper()
	if a.Operation == nil {
		return ""
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		c.do("GET", "/v1/operations/"+a.Operation.ID, nil).is(200).into(&a)
		if s := a.Operation.Status; s == "succeeded" || s == "failed" {
			return a.Operation.Error
		}
	}
	c.t.Fatalf("operation %s does not end", a.Operation.ID)
	return ""
}

// running makes a computer and waits until it runs.
func (c *caller) running(body string) asked {
	c.t.Helper()
	var a asked
	c.do("POST", "/v1/computers", body).is(202).into(&a)
	if why := c.ended(a); why != "" {
		c.t.Fatalf("the computer does not run: %s", why)
	}
	return a
}

func TestAComputersLife(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	a := c.running(`{"source":{"kind":"image","image_id":""},"handle":"my-box","display_name":"My Box"}`)
	path := "/v1/computers/my-box"
	if a.Operation.Kind != "computer.create" || a.Computer.SizePreset != "ram-2g" || a.Computer.StorageBytes != 5<<30 {
		t.Fatalf("%+v", a)
	}
	c.do("GET", path, nil).is(200).into(&a)
	if a.Computer.State != "running" || !strings.HasPrefix(a.Computer.PrimaryURL, h.URL) || a.Computer.OrgID != string(h.Account.ID) {
		t.Fatalf("%+v", a.Computer)
	}
	var out struct {
		ExitCode   int `json:"exit_code"`
		Stdout     string
		Stderr     string
		DurationMS int64 `json:"duration_ms"`
	}
	c.do("POST", path+"/exec", `{"command":["sh","-c","echo $GREETING; echo oops >&2; exit 3"],"env":{"GREETING":"hi"}}`).is(200).into(&out)
	if out.ExitCode != 3 || out.Stdout != "hi\n" || out.Stderr != "oops\n" {
		t.Fatalf("%+v", out)
	}
	c.do("PATCH", path, `{"display_name":"Other"}`).is(200).into(&a)
	if a.Computer.DisplayName != "Other" {
		t.Fatalf("%+v", a.Computer)
	}
	c.do("POST", path+"/actions/resize", `{"size_preset":"ram-4g"}`).is(202).into(&a)
	if why := c.ended(a); why != "" {
		t.Fatal(why)
	}
	c.do("GET", path, nil).is(200).into(&a)
	if a.Computer.SizePreset != "ram-4g" || a.Computer.MemoryMiB != 4096 {
		t.Fatalf("%+v", a.Computer)
	}
	for _, action := range []struct{ verb, state string }{{"stop", "stopped"}, {"start", "running"}, {"ensure-ready", "running"}} {
		var step asked
		c.do("POST", path+"/actions/"+action.verb, nil).is(202).into(&step)
		if why := c.ended(step); why != "" {
			t.Fatalf("%s: %s", action.verb, why)
		}
		c.do("GET", path, nil).is(200).into(&a)
		if a.Computer.State != action.state {
			t.Fatalf("after %s it is %s", action.verb, a.Computer.State)
		}
	}
	c.do("DELETE", path, nil).is(202).into(&a)
	if why := c.ended(a); why != "" {
		t.Fatal(why)
	}
	c.do("GET", path, nil).fails(404, "not_found", "Computer not found")
	c.do("GET", "/v1/computers/"+a.Computer.ID, nil).fails(404, "not_found", "Computer not found")
}

func TestComputersAreRefusedByField(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	a := c.running(`{"handle":"box"}`)
	path := "/v1/computers/" + a.Computer.ID
	tests := map[string]struct {
		path, body string
		status     int
		code, says string
	}{
		"a taken handle":             {"/v1/computers", `{"handle":"box"}`, 409, "handle_taken", `"box"`},
		"an upper-case handle":       {"/v1/computers", `{"handle":"Box"}`, 400, "invalid_request", "handle must be"},
		"two hyphens":                {"/v1/computers", `{"handle":"a--b"}`, 400, "invalid_request", "handle must be"},
		"a handle like an id":        {"/v1/computers", `{"handle":"0190a0b0-0000-7000-8000-000000000000"}`, 400, "invalid_request", "handle must be"},
		"half a custom size":         {"/v1/computers", `{"size_preset":"custom","requested_memory_mib":2048}`, 400, "invalid_request", "both"},
		"too little memory":          {"/v1/computers", `{"requested_memory_mib":1024,"requested_storage_bytes":5368709120}`, 400, "invalid_request", "requested_memory_mib must be from 2048 to 65536"},
		"storage between steps":      {"/v1/computers", `{"requested_memory_mib":2048,"requested_storage_bytes":5368709121}`, 400, "invalid_request", "requested_storage_bytes"},
		"an unknown preset":          {"/v1/computers", `{"size_preset":"ram-3g"}`, 400, "invalid_request", "size_preset"},
		"a preset with another size": {"/v1/computers", `{"size_preset":"ram-4g","requested_memory_mib":2048}`, 400, "invalid_request", "size_preset"},
		"an ill-typed size":          {"/v1/computers", `{"requested_memory_mib":"2"}`, 400, "invalid_request", "requested_memory_mib"},
		"an unknown source":          {"/v1/computers", `{"source":{"kind":"disk"}}`, 400, "invalid_request", "source.kind"},
		"macos":                      {"/v1/computers", `{"platform":"macos"}`, 422, "platform_unavailable", "macOS"},
		"another platform":           {"/v1/computers", `{"platform":"plan9"}`, 400, "invalid_request", "platform"},
		"a long name":                {"/v1/computers", `{"display_name":"` + strings.Repeat("x", 201) + `"}`, 400, "invalid_request", "200"},
		"a key of two lines":         {"/v1/computers", `{"guest":{"authorized_keys":["a\nb"]}}`, 400, "invalid_request", "authorized_keys[0]"},
		"malformed":                  {"/v1/computers", `{"handle":`, 400, "invalid_request", "not valid JSON"},
		"no command":                 {path + "/exec", `{"command":[]}`, 400, "invalid_request", "command"},
		"a shell line":               {path + "/exec", `{"command":"ls"}`, 400, "invalid_request", "command must be an array"},
		"a variable without a name":  {path + "/exec", `{"command":["true"],"env":{"":"x"}}`, 400, "invalid_request", "env"},
		"a negative timeout":         {path + "/exec", `{"command":["true"],"timeout_ms":-1}`, 400, "invalid_request", "timeout_ms"},
		"a command that hangs":       {path + "/exec", `{"command":["sleep","30"],"timeout_ms":50}`, 408, "exec_timeout", "50ms"},
		"shrinking storage":          {path + "/actions/resize", `{"requested_storage_bytes":5368709120,"requested_memory_mib":1}`, 400, "invalid_request", "requested_memory_mib"},
		"an unknown account":         {path + "/actions/transfer", `{"target_org_id":"acct_none"}`, 403, "forbidden", "computers:transfer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.do("POST", tt.path, tt.body).fails(tt.status, tt.code, tt.says)
		})
	}
	c.do("PATCH", path, `{}`).fails(400, "invalid_request", "display_name")
	c.do("POST", path+"/actions/stop", nil).is(202)
	c.do("POST", path+"/exec", `{"command":["true"]}`).fails(409, "computer_not_running", "stopped")
	c.do("GET", "/v1/operations/op_none", nil).fails(404, "not_found", "Operation not found")
	as(t, h, "").do("GET", "/v1/computers", nil).fails(401, "unauthorized", "API key")
	as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"computers:read"}})).do("POST", "/v1/computers", `{}`).
		fails(403, "forbidden", "computers:write")
}

func TestAnotherAccountsComputersAreNotFound(t *testing.T) {
	h := doortest.Open(t)
	mine := as(t, h, h.Key)
	rival, key := h.NewAccount("rival", 10_000_000)
	theirs := as(t, h, key)
	a := mine.running(`{"handle":"box"}`)
	for _, name := range []string{"box", a.Computer.ID} {
		theirs.do("GET", "/v1/computers/"+name, nil).fails(404, "not_found", name)
		theirs.do("POST", "/v1/computers/"+name+"/exec", `{"command":["true"]}`).fails(404, "not_found", name)
		theirs.do("DELETE", "/v1/computers/"+name, nil).fails(404, "not_found", name)
	}
	theirs.do("GET", "/v1/operations/"+a.Operation.ID, nil).fails(404, "not_found", "")
	b := theirs.running(`{"handle":"box"}`)
	if b.Computer.Handle != "box" {
		t.Fatalf("%+v", b.Computer)
	}
	// Given away it is the other's alone; who gives needs leave to.
	gives := as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"computers:transfer", "computers:write"}}))
	to := fmt.Sprintf(`{"target_org_id":%q}`, rival.ID)
	gives.do("POST", "/v1/computers/box/actions/transfer", to).fails(409, "handle_taken", "box")
	second := mine.running(`{"handle":"gift"}`)
	gives.do("POST", "/v1/computers/gift/actions/transfer", to).is(200)
	mine.do("GET", "/v1/computers/"+second.Computer.ID, nil).fails(404, "not_found", "")
	theirs.do("GET", "/v1/computers/gift", nil).is(200)
}

func TestWhoCallsAndWhatThereIs(t *testing.T) {
	h := doortest.Open(t)
	c, nobody := as(t, h, h.Key), as(t, h, "")
	var me struct {
		AuthMethod string `json:"auth_method"`
		OrgID      string `json:"active_org_id"`
		Plan       struct {
			AccessStatus string  `json:"access_status"`
			Credit       float64 `json:"credit_balance"`
		} `json:"computer_plan"`
	}
	c.do("GET", "/v1/me", nil).is(200).into(&me)
	if me.OrgID != string(h.Account.ID) || me.Plan.AccessStatus != "active" || me.Plan.Credit != 1000 {
		t.Fatalf("%+v", me)
	}
	var presets struct {
		Presets []struct {
			ID     string `json:"id"`
			Memory int64  `json:"memory_mib"`
		}
	}
	nobody.do("GET", "/v1/computer-size-presets", nil).is(200).into(&presets)
	if len(presets.Presets) != 3 || presets.Presets[0].ID != "ram-2g" || presets.Presets[0].Memory != 2048 {
		t.Fatalf("%+v", presets)
	}
	var images struct{ Images []struct{ ID, Status string } }
	c.do("GET", "/v1/computer-images", nil).is(200).into(&images)
	if len(images.Images) == 0 || images.Images[0].Status != "active" {
		t.Fatalf("%+v", images)
	}
	c.do("GET", "/v1/computer-images/"+images.Images[0].ID, nil).is(200)
	c.do("GET", "/v1/computer-images/none", nil).fails(404, "not_found", "none")
}

func TestCapacityIsWhatTheNodesHaveFree(t *testing.T) {
	h := doortest.Open(t) // one node: 8 GiB of memory and 100 GiB of disk free
	c := as(t, h, h.Key)
	a := c.running(`{"handle":"box","size_preset":"ram-8g"}`)
	tests := map[string]struct {
		body      string
		available bool
		reason    string
	}{
		"the default":            {`{}`, true, ""},
		"all there is":           {`{"requested_memory_mib":8192,"requested_storage_bytes":107374182400}`, true, ""},
		"too much memory":        {`{"requested_memory_mib":9216,"requested_storage_bytes":5368709120}`, false, "insufficient_memory"},
		"too much storage":       {`{"requested_memory_mib":2048,"requested_storage_bytes":108447924224}`, false, "insufficient_storage"},
		"with what it holds now": {`{"computer_id":"` + a.Computer.ID + `","requested_memory_mib":16384}`, true, ""},
		"macos":                  {`{"platform":"macos"}`, false, "platform_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			var got struct {
				Available bool   `json:"available"`
				Reason    string `json:"reason_code"`
				Hosts     int    `json:"configured_hosts"`
			}
			c.do("POST", "/v1/computer-capacity/check", tt.body).is(200).into(&got)
			if got.Available != tt.available || got.Reason != tt.reason || got.Hosts != 1 {
				t.Fatalf("%+v", got)
			}
		})
	}
	c.do("POST", "/v1/computer-capacity/check", `{"computer_id":"none"}`).fails(404, "not_found", "none")
}

func TestTheSameRequestMakesOneComputer(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var first, second asked
	c.do("POST", "/v1/computers", `{}`, "Idempotency-Key", "once").is(202).into(&first)
	c.do("POST", "/v1/computers", `{}`, "Idempotency-Key", "once").is(202).into(&second)
	if first.Computer.ID != second.Computer.ID {
		t.Fatalf("%s and %s", first.Computer.ID, second.Computer.ID)
	}
	var list struct{ Computers []json.RawMessage }
	if c.do("GET", "/v1/computers", nil).is(200).into(&list); len(list.Computers) != 1 {
		t.Fatalf("%d computers", len(list.Computers))
	}
}
