package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// env makes an environment and returns it with its path.
func (c *caller) env(body string) (wire.Environment, string) {
	c.t.Helper()
	var made wire.OneEnvironment
	c.do("POST", "/environments", body).is(201).into(&made)
	return made.Environment, "/environments/" + made.Environment.ID
}

// built waits until an environment's image is ready or has failed.
func (c *caller) built(path string) wire.BuildStatus {
	c.t.Helper()
	var s wire.BuildStatus
	within(c.t, "the build is over", func() bool {
		c.do("GET", path+"/build/status", nil).is(200).into(&s)
		return s.BuildStatus == "ready" || s.BuildStatus == "failed"
	})
	return s
}

// holding has builds say a text and wait; the test ends their wait.
func holding(t *testing.T, h *doortest.House, text string) (release func()) {
	t.Helper()
	held := make(chan struct{})
	h.Builder.Play(fake.Holding(text, held, nil))
	return func() { close(held) }
}

// like checks that a reply holds at least what is printed; "*" stands for any
// text.
func (r *reply) like(printed string) {
	r.t.Helper()
	var want, got any
	if err := json.Unmarshal([]byte(printed), &want); err != nil {
		r.t.Fatalf("%v in %s", err, printed)
	}
	r.into(&got)
	if at := differs(want, got, "."); at != "" {
		r.t.Fatalf("%s differs: %s, want %s", at, r.body, printed)
	}
}

func differs(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return at
		}
		for key, value := range w {
			found, there := g[key]
			if !there {
				return at + key
			}
			if d := differs(value, found, at+key+"."); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return at
		}
		for i := range w {
			if d := differs(w[i], g[i], fmt.Sprintf("%s%d.", at, i)); d != "" {
				return d
			}
		}
		return ""
	case string:
		if g, ok := got.(string); ok && w == "*" && g != "" {
			return ""
		}
	}
	if want != got {
		return at
	}
	return ""
}

// TestTheEnvironmentsPage sends every request of the page in its order.
func TestTheEnvironmentsPage(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.do("GET", "/environments/default", nil).is(200).like(`{"id":"*","isDefault":true}`)
	c.do("GET", "/environments", nil).is(200).like(`{"object":"list","data":[{"id":"*","name":"default","buildStatus":"ready","isDefault":true,"createdAt":"*"}],"has_more":false,"total_count":1}`)
	e, path := c.env(`{"name":"data-science","description":"Environment for data science tasks","runtimes":{"python":"3.12"},
		"packages":{"system":["ffmpeg"],"python":["pandas","numpy","matplotlib"]}}`)
	c.do("GET", path, nil).is(200).like(`{"environment":{"id":"` + e.ID + `","userId":"*","name":"data-science","baseImage":null,"dockerfileExtensions":null,
		"runtimes":{"python":"3.12"},"packages":{"system":["ffmpeg"],"python":["pandas","numpy","matplotlib"],"node":[]},"environmentVariables":[],"secrets":[],
		"setupScripts":[],"mcpServers":[],"documentation":[],"internetAccess":true,"buildStatus":"pending","buildError":null,"buildLogs":null,"imageTag":null,
		"isDefault":false,"isActive":true}}`)
	c.do("PATCH", path, `{"name":"production"}`).is(200).like(`{"environment":{"name":"production"}}`)
	c.do("DELETE", path, nil).is(200).like(`{"success":true}`)
	c.do("PATCH", path, `{"isActive":true}`).is(200).like(`{"environment":{"isActive":true,"buildStatus":"pending"}}`)
	_, doomed := c.env(`{"name":"doomed"}`)
	c.do("DELETE", doomed+"?hard=true", nil).is(200)
	c.do("POST", path+"/set-default", nil).is(200).like(`{"environment":{"id":"` + e.ID + `","isDefault":true}}`)
	c.do("GET", "/environments/runtimes/available", nil).is(200).like(`{"runtimes":{"python":["3.9","3.10","3.11","3.12","3.13"],"nodejs":["18","20","22"],
		"go":["1.20","1.21","1.22","1.23"],"php":["8.1","8.2","8.3"],"java":["11","17","21"],"ruby":["3.1","3.2","3.3"],"rust":["stable","1.75","1.76","1.77"]}}`)
	c.do("PUT", path+"/runtimes", `{"runtimes":{"python":"3.12","nodejs":"20"}}`).is(200).like(`{"environment":{"buildStatus":"pending"}}`)
	c.do("GET", path+"/runtimes", nil).is(200).like(`{"runtimes":{"python":"3.12","nodejs":"20"}}`)
	c.do("POST", path+"/packages", `{"type":"python","packages":["requests","beautifulsoup4"]}`).is(200).like(`{"environment":{"id":"*"},"installed":["requests","beautifulsoup4"]}`)
	c.do("GET", path+"/packages", nil).is(200).like(`{"packages":{"system":["ffmpeg"],"python":["pandas","numpy","matplotlib","requests","beautifulsoup4"],"node":[]}}`)
	c.do("DELETE", path+"/packages/python/requests", nil).is(200).like(`{"environment":{"packages":{"python":["pandas","numpy","matplotlib","beautifulsoup4"]}},"uninstalled":"requests"}`)
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":"RUN pip install custom-package"}`).is(200).like(`{"environment":{"dockerfileExtensions":"RUN pip install custom-package"}}`)
	var file wire.Dockerfile
	r := c.do("GET", path+"/dockerfile", nil).is(200)
	r.like(`{"baseImage":"testbase-base","dockerfileExtensions":"RUN pip install custom-package"}`)
	if r.into(&file); !regexp.MustCompile(`(?s)^FROM testbase-base\nWORKDIR /workspace\n.*3\.12.*beautifulsoup4.*RUN pip install custom-package\n$`).MatchString(file.EffectiveDockerfile) {
		t.Fatalf("the Dockerfile:\n%s", file.EffectiveDockerfile)
	}
	c.do("POST", path+"/dockerfile/validate", `{"dockerfileExtensions":"RUN pip install package"}`).is(200).like(`{"valid":true,"errors":[],"warnings":[],"effectiveDockerfile":"*"}`)
	c.do("POST", path+"/build", nil).is(200).like(`{"message":"Build started","environmentId":"` + e.ID + `","buildStatus":"building"}`)
	c.built(path)
	c.do("GET", path+"/build/status", nil).is(200).like(`{"buildStatus":"ready","buildError":null,"imageTag":"*","lastBuildAt":"*","buildHash":"*"}`)
	var logs wire.BuildLogs
	if c.do("GET", path+"/build/logs", nil).is(200).into(&logs); !strings.HasPrefix(logs.BuildLogs, "Step 1/") || logs.Logs != logs.BuildLogs || logs.BuildStatus != "ready" {
		t.Fatalf("%+v", logs)
	}
	c.do("POST", path+"/build/test", nil).is(200).like(`{"success":true,"imageTag":"*","message":"Build test completed successfully"}`)
	h.Builder.Play(fake.Saying("", &runtime.BuildFailure{Reason: "Dockerfile syntax error on line 5"}))
	c.do("POST", path+"/build/test", nil).is(200).like(`{"success":false,"error":"Dockerfile syntax error on line 5"}`)
	const values = `"mcpServers":[{"type":"stdio","name":"filesystem","command":"npx","args":["@modelcontextprotocol/server-filesystem","/workspace"],"enabled":true},
		{"type":"http","name":"database","url":"https://db-mcp.example.com/mcp","bearerToken":"token","enabled":true}],
		"environmentVariables":[{"key":"NODE_ENV","value":"production"},{"key":"DATABASE_URL","value":"postgres://..."}]`
	c.do("PATCH", path, "{"+values+"}").is(200).like(`{"environment":{"buildStatus":"ready",` + values + `}}`) // no change of the image
}

func TestTheQuickStartOfTheClient(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var got wire.DefaultEnvironment
	c.do("GET", "/environments/default", nil, "Accept", "*/*").is(200).into(&got)
	path := "/environments/" + got.ID
	c.do("PUT", path+"/runtimes", `{"runtimes":{"python":"3.12","nodejs":"22"}}`).is(200)
	c.do("POST", path+"/packages", `{"type":"python","packages":["pandas","numpy"]}`).is(200)
	c.do("POST", path+"/build", `{}`).is(200).like(`{"message":"Build started","success":true,"buildId":"*"}`)
	s := c.built(path)
	if s.BuildStatus != "ready" || len(h.Builder.Builds()) != 1 {
		t.Fatalf("%+v after %d builds", s, len(h.Builder.Builds()))
	}
	tag := regexp.MustCompile(`^env-[a-z0-9_-]+:[0-9a-f]{12}$`)
	if !tag.MatchString(*s.ImageTag) || !strings.HasPrefix(*s.BuildHash, (*s.ImageTag)[strings.Index(*s.ImageTag, ":")+1:]) {
		t.Fatalf("%s of %s", *s.ImageTag, *s.BuildHash)
	}
}

func TestBuildsOneAtATime(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	e, path := c.env(`{"name":"e","packages":{"node":["tsx"]}}`)
	c.do("POST", path+"/build/cancel", nil).is(200).like(`{"message":"Build cancelled"}`) // the one that follows the change
	c.do("POST", path+"/build/cancel", nil).refused(409, "No build is in progress")
	release := holding(t, h, "at it\n")
	c.do("POST", path+"/build", nil).is(200)
	if got := c.do("POST", path+"/build", nil).refused(409, "Build already in progress"); got.Error != "Conflict" {
		t.Fatalf("%+v", got)
	}
	c.do("POST", path+"/build?force=true", nil).refused(409, "Build already in progress")
	c.do("GET", path+"/status", nil).is(200).like(`{"status":"building"}`)
	release()
	first := c.built(path)
	c.do("POST", path+"/build", `{}`).is(200).like(`{"message":"Environment is up to date","buildStatus":"ready","environmentId":"` + e.ID + `"}`)
	for _, how := range []struct{ query, body string }{{"?force=true", `{}`}, {"", `{"force":true}`}} {
		c.do("POST", path+"/build"+how.query, how.body).is(200).like(`{"message":"Build started","buildStatus":"building"}`)
		if s := c.built(path); s.BuildStatus != "ready" || *s.BuildID == *first.BuildID || *s.ImageTag != *first.ImageTag {
			t.Fatalf("%+v", s)
		}
	}
	builds := h.Builder.Builds()
	if len(builds) != 3 || builds[0].NoCache || !builds[1].NoCache || !builds[2].NoCache {
		t.Fatalf("%+v", builds)
	}
	c.do("POST", path+"/build?force=perhaps", nil).refused(400, "force must be true or false")
	c.do("POST", path+"/build", `{"force":"yes"}`).refused(400, "force")
}

func TestABuildIsCancelled(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","packages":{"node":["tsx"]}}`)
	release := holding(t, h, "at it\n")
	defer release()
	c.do("POST", path+"/build", nil).is(200)
	within(t, "it is at it", func() bool {
		var logs wire.BuildLogs
		c.do("GET", path+"/build/logs", nil).is(200).into(&logs)
		return logs.BuildLogs == "at it\n" && logs.BuildStatus == "building"
	})
	c.do("POST", path+"/build/cancel", nil).is(200).like(`{"message":"Build cancelled","success":true,"buildStatus":"failed"}`)
	if s := c.built(path); s.BuildStatus != "failed" || *s.BuildError != "Build cancelled" || s.ImageTag != nil {
		t.Fatalf("%+v", s)
	}
}

func TestAChangeIsBuiltWhenNoMoreFollow(t *testing.T) {
	clock := actorstest.NewClock()
	h := doortest.Open(t, doortest.Clock(clock))
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e"}`)
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":"RUN one"}`).is(200).like(`{"environment":{"buildStatus":"pending"}}`)
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":"RUN two"}`).is(200)
	clock.Advance(state.BuildDelay + 1)
	if err := h.Node.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := c.built(path); s.BuildStatus != "ready" {
		t.Fatalf("%+v", s)
	}
	if builds := h.Builder.Builds(); len(builds) != 1 || !strings.Contains(builds[0].Dockerfile, "RUN two") {
		t.Fatalf("%+v", builds)
	}
	c.do("PUT", path+"/dockerfile", `{"dockerfileExtensions":null}`).is(200).like(`{"environment":{"buildStatus":"ready","imageTag":null,"dockerfileExtensions":null}}`)
	c.do("PUT", path+"/dockerfile", `{}`).refused(400, "dockerfileExtensions")
	c.do("PUT", path+"/dockerfile", `{"baseImage":"not an image"}`).refused(400, "baseImage")
}

func TestABuildFailsInTheWordsOfItsTool(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","packages":{"python":["no-such-thing"]}}`)
	why := "Package not found: no-such-thing: ERROR: No matching distribution found for no-such-thing"
	h.Builder.Play(fake.Saying("trying\n", &runtime.BuildFailure{Reason: why}))
	c.do("POST", path+"/build", nil).is(200)
	if s := c.built(path); s.BuildStatus != "failed" || *s.BuildError != why {
		t.Fatalf("%+v", s)
	}
	var logs wire.BuildLogs
	if c.do("GET", path+"/build/logs", nil).is(200).into(&logs); logs.Logs != "trying\n"+why+"\n" {
		t.Fatalf("%+v", logs)
	}
}

// told is a line of a log's stream with the id it came with.
type told struct {
	id string
	wire.BuildEvent
}

// listen reads a log's stream until its end, or until stop says so.
func (c *caller) listen(path string, stop func(told) bool, headers ...string) []told {
	c.t.Helper()
	resp := c.open("GET", path, nil, headers...)
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("%s: %s", resp.Status, b)
	}
	documented(c.t, resp, nil)
	var all []told
	id := ""
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "id: "); ok {
			id = v
		}
		v, ok := strings.CutPrefix(s.Text(), "data: ")
		if !ok {
			continue
		}
		documentedAs(c.t, "BuildEvent", []byte(v))
		l := told{id: id}
		if err := json.Unmarshal([]byte(v), &l.BuildEvent); err != nil {
			c.t.Fatalf("%v in %s", err, v)
		}
		if all = append(all, l); stop != nil && stop(l) {
			break
		}
	}
	return all
}

func texts(all []told) (text string) {
	for _, l := range all {
		text += l.Text
	}
	return text
}

func TestALogIsFollowedAcrossNodes(t *testing.T) {
	h := doortest.Open(t)
	c, other := as(t, h, h.Key), as(t, h.Another(), h.Key)
	_, path := c.env(`{"name":"e","packages":{"node":["tsx"]}}`)
	next := make(chan struct{})
	h.Builder.Play(func(ctx context.Context, b runtime.Build) (string, error) {
		for i := range 3 {
			select {
			case <-next:
			case <-ctx.Done():
				return "", ctx.Err()
			}
			fmt.Fprintf(b.Log, "line %d\n", i)
		}
		return "", nil
	})
	c.do("POST", path+"/build", nil).is(200)
	logs := path + "/build/logs?stream=true"
	next <- struct{}{}
	begun := c.listen(logs, func(told) bool { return true })
	if len(begun) != 1 || begun[0].Text != "line 0\n" || begun[0].Type != wire.BuildLog || begun[0].id != "1" {
		t.Fatalf("%+v", begun)
	}
	next <- struct{}{}
	next <- struct{}{}
	rest := other.listen(logs, nil, "Last-Event-ID", begun[0].id)
	end := rest[len(rest)-1]
	if texts(rest) != "line 1\nline 2\n" || end.Type != wire.BuildCompleted || end.BuildStatus != "ready" || end.ImageTag == nil {
		t.Fatalf("%+v", rest)
	}
	h.Builder.Play(fake.Saying("another\n", nil))
	c.do("POST", path+"/build?force=true", nil).is(200)
	c.built(path)
	for _, c := range []*caller{c, other} {
		if all := c.listen(logs+"&build="+end.BuildID, nil); texts(all) != "line 0\nline 1\nline 2\n" {
			t.Fatalf("the build that is named: %+v", all)
		}
		if all := c.listen(logs+"&after=1&build="+end.BuildID, nil); texts(all) != "line 1\nline 2\n" {
			t.Fatalf("the rest of it: %+v", all)
		}
		if all := c.listen(logs+"&after=99", nil); texts(all) != "another\n" {
			t.Fatalf("the newest, after another's event: %+v", all)
		}
	}
	_, stranger := c.env(`{"name":"other"}`)
	c.do("GET", stranger+"/build/logs?stream=true&build="+end.BuildID, nil).refused(404, "Build not found")
	c.do("GET", logs+"&build=../x", nil).refused(400, "build")
	c.do("GET", logs+"&after=x", nil).refused(400, "after")
	if all := c.listen(stranger+"/build/logs?stream=true", nil); len(all) != 1 || all[0].Type != wire.BuildCompleted || all[0].BuildStatus != "ready" {
		t.Fatalf("of no build: %+v", all)
	}
	c.do("GET", stranger+"/build/logs", nil).is(200).like(`{"buildLogs":"","logs":"","buildId":null,"buildStatus":"ready"}`)
}

func TestALogEndsWithItsEnvironment(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e","packages":{"node":["tsx"]}}`)
	defer holding(t, h, "at it\n")()
	c.do("POST", path+"/build", nil).is(200)
	all := c.listen(path+"/build/logs?stream=true", func(l told) bool {
		if l.Type == wire.BuildLog {
			c.do("DELETE", path+"?hard=true", nil).is(200)
		}
		return false
	})
	if end := all[len(all)-1]; end.Type != wire.BuildCompleted || texts(all) != "at it\n" {
		t.Fatalf("%+v", all)
	}
}

func TestATestOfABuildAnswersAtOnce(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e"}`) // with nothing to build it is tested all the same
	release := holding(t, h, "tested\n")
	resp := c.open("POST", path+"/build/test", `{}`)
	defer resp.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil || resp.StatusCode != 200 || string(first) != " " {
		t.Fatalf("%s, %q, %v", resp.Status, first, err)
	}
	c.do("GET", path+"/build/status", nil).is(200).like(`{"buildStatus":"ready","buildId":null}`)
	release()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	documented(t, resp, b)
	r := &reply{t: t, body: b}
	r.like(`{"success":true,"imageTag":"*","message":"Build test completed successfully"}`)
	var got wire.TestedBuild
	if r.into(&got); !strings.HasPrefix(got.Logs, "tested\nStep 1/") {
		t.Fatalf("%+v", got)
	}
	if builds := h.Builder.Builds(); len(builds) != 1 || builds[0].Name != "" || !builds[0].NoCache {
		t.Fatalf("%+v", builds)
	}
	h.Builder.Play(fake.Saying("", errors.New("open /var/lib/x: denied")))
	c.do("POST", path+"/build/test", nil).is(200).like(`{"success":false,"error":"Build failed: internal error"}`)
	c.do("POST", path+"/build/test", `{`).refused(400, "JSON")
}

func TestATestOfWhatIsDeletedSaysSo(t *testing.T) {
	for name, query := range map[string]string{"for now": "", "for good": "?hard=true"} {
		t.Run(name, func(t *testing.T) {
			h := doortest.Open(t)
			c := as(t, h, h.Key)
			_, path := c.env(`{"name":"e"}`)
			defer holding(t, h, "")()
			resp := c.open("POST", path+"/build/test", nil)
			defer resp.Body.Close()
			c.do("DELETE", path+query, nil).is(200)
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			documented(t, resp, b)
			(&reply{t: t, body: b}).like(`{"success":false,"error":"*"}`)
		})
	}
}

func TestADrainDoesNotWaitForATest(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, path := c.env(`{"name":"e"}`)
	defer holding(t, h, "")()
	resp := c.open("POST", path+"/build/test", `{}`)
	defer resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Server.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	documented(t, resp, b)
	(&reply{t: t, body: b}).like(`{"success":false,"error":"This node is draining; ask another"}`)
}
