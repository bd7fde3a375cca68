package httpapi_test

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestTheDefaultEnvironmentIsBareAndWrapped(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var got wire.DefaultEnvironment
	c.do("GET", "/environments/default", nil).is(200).into(&got)
	if got.ID == "" || got.ID != got.Wrapped.ID || !got.IsDefault || !got.IsActive || got.BuildStatus != "ready" {
		t.Fatalf("%+v", got)
	}
	var again wire.DefaultEnvironment
	c.do("GET", "/v1/environments/default", nil).is(200).into(&again)
	if again.ID != got.ID {
		t.Fatal("a second default was made")
	}
}

func TestEnvironmentsAreKeptAsTheirPagesShow(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.do("GET", "/environments/default", nil).is(200)
	var made wire.OneEnvironment
	c.do("POST", "/environments", `{"name":"data-science","description":"For data","runtimes":{"python":"3.12"},
		"packages":{"system":["ffmpeg"],"python":["pandas","numpy"]},"environmentVariables":[{"key":"NODE_ENV","value":"production"}],
		"secrets":[{"key":"TOKEN","value":"hush"}],"mcpServers":[{"type":"stdio","name":"filesystem","command":"npx","args":["x"],"enabled":true}],
		"networkAccess":{"allow":["example.com"]}}`).is(201).into(&made)
	e := made.Environment
	if e.BuildStatus != "pending" || e.EnvironmentVariables[0].Value != "production" || len(e.Secrets) != 1 || e.Secrets[0].Value != "" ||
		e.Packages.Python[1] != "numpy" || e.Packages.Node == nil || e.Status != "stopped" {
		t.Fatalf("%+v", e)
	}
	path := "/environments/" + e.ID
	var got wire.OneEnvironment
	c.do("PATCH", path, `{"secrets":[{"key":"TOKEN"},{"key":"MORE","value":"x"}],"internetAccess":false}`).is(200).into(&got)
	if len(got.Environment.Secrets) != 2 || got.Environment.InternetAccess || got.Environment.Name != "data-science" {
		t.Fatalf("%+v", got.Environment)
	}
	c.do("POST", path+"/set-default", nil).is(200).into(&got)
	if !got.Environment.IsDefault {
		t.Fatal("not the default")
	}
	var list wire.List[wire.Environment]
	c.do("GET", "/environments", nil).is(200).into(&list)
	if list.TotalCount != 2 || list.Data[0].ID != e.ID || list.Data[1].IsDefault {
		t.Fatalf("the default is not first and alone: %+v", list.Data)
	}
	c.do("GET", "/environments?isDefault=true", nil).is(200).into(&list)
	if list.TotalCount != 1 {
		t.Fatalf("%d defaults", list.TotalCount)
	}
	var plain wire.OneEnvironment
	c.do("PUT", path, `{"name":"plain"}`).is(200).into(&plain)
	if p := plain.Environment; p.Name != "plain" || len(p.Secrets) != 0 || len(p.Runtimes) != 0 {
		t.Fatalf("%+v", p)
	}
}

func TestDeletingAnEnvironmentCanBeTakenBackUnlessHard(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made wire.OneEnvironment
	c.do("POST", "/environments", `{"name":"e","isDefault":true}`).is(201).into(&made)
	path := "/environments/" + made.Environment.ID
	c.do("DELETE", path, nil).is(200)
	var got wire.OneEnvironment
	c.do("GET", path, nil).is(200).into(&got)
	if got.Environment.IsActive || got.Environment.IsDefault {
		t.Fatalf("%+v", got.Environment)
	}
	c.do("POST", path+"/start", nil).refused(409, "deleted")
	c.do("POST", path+"/set-default", nil).refused(409, "deleted")
	c.do("POST", "/threads", map[string]any{"environmentId": made.Environment.ID, "content": "hi"}).refused(409, "deleted")
	var list wire.List[wire.Environment]
	c.do("GET", "/environments?isActive=false", nil).is(200).into(&list)
	if list.TotalCount != 1 {
		t.Fatalf("%+v", list)
	}
	c.do("PATCH", path, `{"isActive":true}`).is(200).into(&got)
	if !got.Environment.IsActive {
		t.Fatal("not restored")
	}
	c.do("DELETE", path+"?hard=maybe", nil).refused(400, "hard must be true or false")
	c.do("DELETE", path+"?hard=true", nil).is(200)
	c.do("GET", path, nil).refused(404, "Environment not found")
}

func TestAnEnvironmentsComputerStartsAndStops(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made wire.OneEnvironment
	c.do("POST", "/environments", `{"name":"e"}`).is(201).into(&made)
	path := "/environments/" + made.Environment.ID
	var status wire.EnvironmentStatus
	c.do("GET", path+"/status", nil).is(200).into(&status)
	if status.Status != "stopped" || status.Uptime != nil {
		t.Fatalf("%+v", status)
	}
	var started wire.StartedEnvironment
	r := c.do("POST", path+"/start", `{}`).is(200)
	r.into(&started)
	if started.ContainerID != made.Environment.ComputerID || started.Status != "running" || r.header.Get("X-Bothy-Owner") != "n1" {
		t.Fatalf("%+v, owner %q", started, r.header.Get("X-Bothy-Owner"))
	}
	c.do("GET", path+"/status", nil).is(200).into(&status)
	if status.Status != "running" || status.Uptime == nil {
		t.Fatalf("%+v", status)
	}
	c.do("POST", path+"/start", `{"cpus":2}`).refused(501, "cpus")
	var stopped wire.StoppedEnvironment
	c.do("POST", path+"/stop", nil).is(200).into(&stopped)
	if stopped.Stopped != 1 {
		t.Fatalf("%+v", stopped)
	}
	c.do("POST", path+"/stop", nil).is(200).into(&stopped)
	if stopped.Stopped != 0 {
		t.Fatalf("stopped twice: %+v", stopped)
	}
}

func TestWrongRecipesAreRefusedByField(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	tests := map[string]struct{ body, field string }{
		"no name":                     {`{}`, "name"},
		"a name of 300 bytes":         {`{"name":"` + strings.Repeat("x", 300) + `"}`, "name"},
		"an unknown runtime":          {`{"name":"e","runtimes":{"cobol":"1"}}`, "runtimes.cobol"},
		"an unknown version":          {`{"name":"e","runtimes":{"python":"2.7"}}`, "runtimes.python"},
		"a package that is an option": {`{"name":"e","packages":{"python":["--index-url=x"]}}`, "packages.python[0]"},
		"packages of a wrong type":    {`{"name":"e","packages":{"python":"pandas"}}`, "packages.python"},
		"a variable's name":           {`{"name":"e","environmentVariables":[{"key":"A","value":"b"},{"key":"1A","value":"b"}]}`, "environmentVariables[1].key"},
		"a variable twice":            {`{"name":"e","environmentVariables":[{"key":"A","value":"b"},{"key":"A","value":"b"}]}`, "environmentVariables[1].key"},
		"network rules":               {`{"name":"e","networkAccess":{"allow":"x"}}`, "networkAccess"},
		"a rule that is none":         {`{"name":"e","networkAccess":{"allow":["a.example","*.a.example","foo bar"]}}`, "networkAccess.allow[2]"},
		"a block with host bits":      {`{"name":"e","networkAccess":{"deny":["192.0.2.7/24"]}}`, "networkAccess.deny[0]"},
		"rules of another name":       {`{"name":"e","networkAccess":{"alow":["a.example"]}}`, "networkAccess"},
		"a number for a text":         {`{"name":7}`, "name"},
		"a text for a flag":           {`{"name":"e","isDefault":"yes"}`, "isDefault"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			e := c.do("POST", "/environments", tt.body).refused(400, "")
			details, _ := e.Details.([]any)
			if len(details) != 1 || details[0].(map[string]any)["field"] != tt.field || e.Error != "Bad Request" {
				t.Fatalf("%+v", e)
			}
		})
	}
}
