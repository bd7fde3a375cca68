package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// recipeRequests are the requests about one environment's recipe and builds;
// each succeeds or is a 409 for its owner.
var recipeRequests = []struct{ method, path, body string }{
	{"GET", "/runtimes", ""},
	{"PUT", "/runtimes", `{"runtimes":{"go":"1.22"}}`},
	{"GET", "/packages", ""},
	{"POST", "/packages", `{"type":"system","packages":["jq"]}`},
	{"DELETE", "/packages/system/jq", ""},
	{"GET", "/dockerfile", ""},
	{"PUT", "/dockerfile", `{"dockerfileExtensions":"RUN true"}`},
	{"POST", "/dockerfile/validate", `{}`},
	{"POST", "/build", `{}`},
	{"POST", "/build/cancel", `{}`},
	{"GET", "/build/status", ""},
	{"GET", "/build/logs", ""},
	{"GET", "/build/logs?stream=true", ""},
	{"POST", "/build/test", `{}`},
	{"GET", "/config", ""},
	{"PUT", "/config", `{"config":"x"}`},
	{"GET", "/status", ""},
	{"POST", "/start", `{}`},
	{"POST", "/stop", `{}`},
	{"POST", "/set-default", `{}`},
}

func TestEnvironmentsOfOthersAreNotThere(t *testing.T) {
	h := doortest.Open(t)
	_, path := as(t, h, h.Key).env(`{"name":"e"}`)
	_, key := h.NewAccount("rival", 10_000_000)
	c := as(t, h, key)
	for _, r := range recipeRequests {
		var body any
		if r.body != "" {
			body = r.body
		}
		for _, prefix := range []string{"", "/v1"} {
			c.do(r.method, prefix+path+r.path, body).refused(404, "Environment not found")
		}
		c.do(r.method, "/environments/env_missing"+r.path, body).refused(404, "Environment not found")
		as(t, h, "").do(r.method, path+r.path, body).is(401)
	}
	reader := as(t, h, h.NewKey(keyFor(h, "environments:read")))
	for _, r := range recipeRequests {
		if r.method != "GET" && r.path != "/dockerfile/validate" {
			reader.do(r.method, path+r.path, r.body).is(403)
		}
	}
}

func TestADeletedEnvironmentIsNotUsed(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","packages":{"node":["tsx"]}}`)
	c.do("DELETE", path, nil).is(200)
	for _, use := range []string{"/build", "/build/test", "/set-default", "/start"} {
		c.do("POST", path+use, `{}`).refused(409, "deleted")
	}
	c.do("POST", path+"/build/cancel", nil).refused(409, "No build is in progress")
	c.do("GET", path+"/dockerfile", nil).is(200)
	c.do("GET", path+"/build/status", nil).is(200).like(`{"buildStatus":"pending"}`)
}

func TestWhatPackagesAreCalled(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","packages":{"node":["typescript"]}}`)
	path += "/packages"
	c.do("POST", path, `{"type":"node","packages":["@types/node@20","typescript@5"]}`).is(200).like(`{"environment":{"packages":{"node":["@types/node@20","typescript@5"]}}}`)
	c.do("DELETE", path+"/node/@types/node", nil).is(200).like(`{"environment":{"packages":{"node":["typescript@5"]}},"uninstalled":"@types/node"}`)
	c.do("DELETE", path+"/node/%40types%2Fnode", nil).refused(404, "Package not found: @types/node")
	c.do("DELETE", path+"/ruby/rails", nil).refused(400, "Invalid package type")
	c.do("DELETE", path+"/node/", nil).refused(400, "name")
	many := `["p0"` + strings.Repeat(`,"p0"`, 300) + `]`
	tests := map[string]struct{ body, field, text string }{
		"a type":               {`{"type":"ruby","packages":["rails"]}`, "type", "Invalid package type"},
		"no type":              {`{"packages":["x"]}`, "type", "Invalid package type"},
		"none":                 {`{"type":"node","packages":[]}`, "packages", "packages must be a non-empty array"},
		"nothing":              {`{"type":"node"}`, "packages", "packages must be a non-empty array"},
		"no array":             {`{"type":"node","packages":"tsx"}`, "packages", "packages"},
		"a number":             {`{"type":"node","packages":[5]}`, "packages", "packages"},
		"too many":             {`{"type":"node","packages":` + many + `}`, "packages", "at most 250"},
		"a system option":      {`{"type":"system","packages":["jq","-o=x"]}`, "packages[1]", "-o=x"},
		"a python url":         {`{"type":"python","packages":["git+https://x"]}`, "packages[0]", "Python package"},
		"a python option":      {`{"type":"python","packages":["--pre"]}`, "packages[0]", "Python package"},
		"a node path":          {`{"type":"node","packages":["../x"]}`, "packages[0]", "Node package"},
		"a line":               {`{"type":"system","packages":["jq\nRUN id"]}`, "packages[0]", "Debian package"},
		"a shell's characters": {`{"type":"node","packages":["a;id"]}`, "packages[0]", "Node package"},
		"a long one":           {`{"type":"node","packages":["` + strings.Repeat("a", 300) + `"]}`, "packages[0]", "200 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			e := c.do("POST", path, tt.body).refused(400, tt.text)
			if details, _ := e.Details.([]any); len(details) != 1 || details[0].(map[string]any)["field"] != tt.field {
				t.Fatalf("%+v", e)
			}
		})
	}
	full := make([]string, 250)
	for i := range full {
		full[i] = fmt.Sprintf("p%d", i)
	}
	c.do("POST", path, map[string]any{"type": "python", "packages": full}).is(200)
	c.do("POST", path, `{"type":"python","packages":["p250"]}`).refused(400, "packages.python")
}

func TestADockerfileIsChecked(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","dockerfileExtensions":"RUN one"}`)
	path += "/dockerfile/validate"
	check := func(body any) (got wire.CheckedDockerfile) {
		t.Helper()
		c.do("POST", path, body).is(200).into(&got)
		return got
	}
	if got := check(nil); !got.Valid || !strings.HasSuffix(got.EffectiveDockerfile, "RUN one\n") {
		t.Fatalf("its own: %+v", got)
	}
	got := check(map[string]string{"dockerfileExtensions": "RUN one\nRUM two"})
	if got.Valid || len(got.Errors) != 1 || !strings.HasPrefix(got.Errors[0], "Dockerfile syntax error on line 2") {
		t.Fatalf("a word: %+v", got)
	}
	if got = check(map[string]string{"dockerfileExtensions": "VOLUME /data"}); !got.Valid || len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "Line 1: VOLUME") {
		t.Fatalf("a warning: %+v", got)
	}
	if got = check(map[string]string{"baseImage": "nobody/has"}); len(got.Errors) != 1 || !strings.Contains(got.Errors[0], "nobody/has") {
		t.Fatalf("a base: %+v", got)
	}
	if got = check(map[string]string{"dockerfileExtensions": "RUN " + strings.Repeat("x", 129<<10)}); got.Valid || len(got.Errors) == 0 {
		t.Fatalf("a long one: %+v", got)
	}
	c.do("POST", path, `{"dockerfileExtensions":7}`).refused(400, "dockerfileExtensions")
	if builds := h.Builder.Builds(); len(builds) != 0 {
		t.Fatalf("it was built: %+v", builds)
	}
}

func TestRuntimesAreThoseThatThereAre(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e"}`)
	path += "/runtimes"
	c.do("GET", path, nil).is(200).like(`{"runtimes":{}}`)
	c.do("PUT", path, `{"runtimes":{"python":"2.7"}}`).refused(400, "there are 3.9")
	c.do("PUT", path, `{"runtimes":{"cobol":"1"}}`).refused(400, "cobol")
	c.do("PUT", path, `{"runtimes":["python"]}`).refused(400, "runtimes")
	c.do("PUT", path, `{}`).refused(400, "runtimes")
	c.do("PUT", path, `{"runtimes":{"go":"1.22"}}`).is(200).like(`{"environment":{"runtimes":{"go":"1.22"},"buildStatus":"pending"}}`)
	c.do("PUT", path, `{"runtimes":{}}`).is(200).like(`{"environment":{"runtimes":{},"buildStatus":"ready"}}`)
}

func TestSecretsAreNoPartOfAnImage(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	const secret, variable, bearer = "hush-hush", "a-variable", "a-bearer"
	e, path := c.env(`{"name":"e","packages":{"node":["tsx"]},"setupScripts":["echo done"],"environmentVariables":[{"key":"PLAIN","value":"` + variable + `"}],
		"secrets":[{"key":"TOKEN","value":"` + secret + `"}],"mcpServers":[{"type":"http","name":"m","url":"https://example.com","bearerToken":"` + bearer + `"}]}`)
	c.do("POST", path+"/build", nil).is(200)
	c.built(path)
	tested := c.do("POST", path+"/build/test", nil).is(200)
	shown := []string{string(tested.body)}
	for _, what := range []string{"/dockerfile", "/build/status", "/build/logs"} {
		shown = append(shown, string(c.do("GET", path+what, nil).is(200).body))
	}
	shown = append(shown, string(c.do("POST", path+"/dockerfile/validate", nil).is(200).body))
	v := h.Node.Stale()
	defer v.Close()
	err := v.BuildsOf(state.EnvironmentID(e.ID), func(b state.Build) bool { shown = append(shown, fmt.Sprintf("%+v", b)); return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range h.Builder.Builds() {
		shown = append(shown, b.Dockerfile)
	}
	for _, text := range shown {
		for _, value := range []string{secret, variable, bearer} {
			if strings.Contains(text, value) {
				t.Errorf("%s is in %s", value, text)
			}
		}
	}
	if len(shown) < 9 {
		t.Fatalf("only %d texts were looked at", len(shown))
	}
}

func TestATextIsKeptWithAnEnvironment(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e"}`)
	c.do("GET", path+"/config", nil).is(200).like(`{"config":""}`)
	c.do("PUT", path+"/config", `{"config":"model = \"x\""}`).is(200).like(`{"config":"model = \"x\""}`)
	c.do("PATCH", path, `{"name":"f"}`).is(200).like(`{"environment":{"buildStatus":"ready"}}`)
	c.do("GET", path+"/config", nil).is(200).like(`{"config":"model = \"x\""}`)
	c.do("PUT", path+"/config", `{}`).refused(400, "config")
	c.do("PUT", path+"/config", map[string]string{"config": strings.Repeat("x", 65<<10)}).refused(400, "65536 bytes")
}

func TestAComputerSaysWhichImageItRuns(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	e, path := c.env(`{"name":"e"}`)
	c.do("POST", path+"/start", `{}`).is(200).like(`{"success":true,"imageTag":"host"}`)
	runs := func() string {
		v := h.Node.Stale()
		defer v.Close()
		computer, _, err := v.AnyComputer(state.ComputerID(e.ComputerID))
		if err != nil {
			t.Fatal(err)
		}
		return computer.RunImage
	}
	within(t, "what it runs is known", func() bool { return runs() == "host" })
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":"RUN one"}`).is(200)
	c.do("POST", path+"/build", nil).is(200)
	tag := *c.built(path).ImageTag
	c.do("GET", path+"/status", nil).is(200).like(`{"status":"running","message":"a newer image is ready; it is used from the next start"}`)
	c.do("POST", path+"/start", `{}`).is(200).like(`{"imageTag":"host","message":"a newer image is ready; it is used from the next start"}`) // it runs already
	c.do("POST", path+"/stop", nil).is(200)
	c.do("GET", path+"/status", nil).is(200).like(`{"status":"stopped","message":null}`)
	c.do("POST", path+"/start", `{}`).is(200).like(`{"imageTag":"` + tag + `","message":null}`)
	within(t, "it runs what was built", func() bool { return strings.HasPrefix(runs(), "sha256:") })
	c.do("GET", path+"/status", nil).is(200).like(`{"status":"running","message":null}`)
	file := h.Builder.Builds()[0].Dockerfile
	if runs() != fake.DigestOf(file) {
		t.Fatalf("it runs %s", runs())
	}
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":"RUN two"}`).is(200)
	c.do("POST", path+"/build", nil).is(200)
	newest := *c.built(path).ImageTag
	c.do("POST", path+"/start", `{}`).is(200).like(`{"imageTag":"` + tag + `"}`) // still the older
	if newest == tag {
		t.Fatal("both are called " + tag)
	}
}

// keyFor is a key of the house's account with one scope.
func keyFor(h *doortest.House, scope string) actors.NewKey {
	return actors.NewKey{Account: h.Account.ID, Scopes: []string{scope}}
}
