package mcp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
)

func TestAProgramsToolsAreToldAndCalled(t *testing.T) {
	d := newDesk()
	s := started(t, d, clock())
	if n := len(s.Tools()); n != 7 || len(s.Notes()) > 0 {
		t.Fatalf("%d tools, notes %q", n, s.Notes())
	}
	tool := s.Tools()[0]
	if !strings.HasPrefix(tool.Name, "mcp__clock__") || tool.Description == "" || tool.Schema["type"] != "object" || tool.Schema["properties"] == nil {
		t.Errorf("a tool is told as %+v", tool)
	}
	if advice := strings.Join(s.Advice(), "\n"); !strings.Contains(advice, "Echo with care.") {
		t.Errorf("advice %q", advice)
	}
	for _, tt := range []struct {
		tool, text string
		status     agent.ResultStatus
		want       string
	}{
		{"echo", "hello", agent.Done, "hello"},
		{"env", "HAND", agent.Done, "long"},
		{"fail", "why", agent.Failed, "no: why"},
		{"echo", "", agent.Done, "(no output)"},
	} {
		if r := call(t, s, "mcp__clock__"+tt.tool, tt.text); r.Status != tt.status || r.Text != tt.want {
			t.Errorf("%s: %+v", tt.tool, r)
		}
	}
	for arguments, want := range map[string]string{`[1]`: "not a JSON object", `{"text":1}`: "text", `{"no":"such"}`: "no"} {
		r, err := s.Run(t.Context(), agent.Call{ID: "c", Name: "mcp__clock__echo", Arguments: arguments})
		if err != nil || r.Status == agent.Done || !strings.Contains(r.Text, want) {
			t.Errorf("%s: %+v, %v", arguments, r, err)
		}
	}
	if d.starts() != 1 {
		t.Errorf("it was started %d times", d.starts())
	}
}

func TestWhatIsNoTextGoesToTheWorkspace(t *testing.T) {
	d := newDesk()
	s := started(t, d, clock())
	r := call(t, s, "mcp__clock__picture", "")
	if r.Status != agent.Done || string(d.files[".bothy/output/c1_1.png"]) != "\x89PNG" {
		t.Fatalf("%+v, files %v", r, d.files)
	}
	for _, want := range []string{"image/png, 4 bytes", ".bothy/output/c1_1.png", "[resource clock://hand]\nat noon", "clock://face"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("no %q in %q", want, r.Text)
		}
	}
	r = call(t, s, "mcp__clock__long", "tick ")
	if len(r.Text) > agent.MaxToolOutputBytes+500 || r.Saved == "" || len(d.files[r.Saved]) != 50_000 || !strings.Contains(r.Text, r.Saved) {
		t.Errorf("%d bytes told, %d saved in %q", len(r.Text), len(d.files[r.Saved]), r.Saved)
	}
}

func TestAResourceThatAResultNamesIsRead(t *testing.T) {
	s := started(t, newDesk(), clock())
	for arguments, want := range map[string]struct {
		status agent.ResultStatus
		text   string
	}{
		`{"server":"clock","uri":"clock://face"}`:  {agent.Done, "[resource clock://face]\ntwelve numbers"},
		`{"server":"clock","uri":"clock://chime"}`: {agent.Failed, "error: "},
		`{"server":"other","uri":"clock://face"}`:  {agent.Invalid, "server must be one of clock"},
		`{"server":1}`: {agent.Invalid, "do not fit"},
	} {
		r, err := s.Run(t.Context(), agent.Call{ID: "c", Name: mcp.ReadTool, Arguments: arguments})
		if err != nil || r.Status != want.status || !strings.Contains(r.Text, want.text) {
			t.Errorf("%s: %+v, %v", arguments, r, err)
		}
	}
	narrow := clock()
	narrow.AllowedTools = []string{"echo"}
	if s := started(t, newDesk(), narrow); s.Has(mcp.ReadTool) {
		t.Error("who may only echo may read")
	}
}

func TestAServerThatDiesIsStartedOnceMore(t *testing.T) {
	d := newDesk()
	s := started(t, d, clock())
	r := call(t, s, "mcp__clock__die", "")
	if r.Status != agent.Failed || !strings.Contains(r.Text, "exit code 3") || !strings.Contains(r.Text, "the clock stops") || !strings.Contains(r.Text, "started anew") {
		t.Fatalf("%+v", r)
	}
	if r := call(t, s, "mcp__clock__echo", "again"); r.Text != "again" {
		t.Fatalf("%+v", r)
	}
	if r := call(t, s, "mcp__clock__die", ""); !strings.Contains(r.Text, "not started again") {
		t.Fatalf("%+v", r)
	}
	if r := call(t, s, "mcp__clock__echo", "no"); r.Status != agent.Failed || !strings.Contains(r.Text, "cannot be used") {
		t.Fatalf("%+v", r)
	}
	if d.starts() != 2 {
		t.Errorf("it was started %d times", d.starts())
	}
}

func TestServersThatCannotBeStartedAreToldAndFailNothing(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you?", http.StatusUnauthorized) }))
	t.Cleanup(locked.Close)
	s := started(t, newDesk(), clock(),
		mcp.Server{Name: "silent", Command: "true"},
		mcp.Server{Name: "loud", Command: "sh", Args: []string{"-c", "echo 'no such package' >&2; exit 7"}},
		mcp.Server{Name: "absent", Command: "/nowhere/at/all"},
		mcp.Server{Name: "babble", Command: "echo", Args: []string{"this is no protocol"}},
		mcp.Server{Name: "gone", URL: gone.URL + "/mcp?key=in-the-address"},
		mcp.Server{Name: "locked", URL: locked.URL, Bearer: "hush-hush-hush"})
	notes := strings.Join(s.Notes(), "\n")
	for _, want := range []string{"silent could not be started", "exit code 0", "exit code 7: no such package", "absent could not be started", "babble could not",
		"gone could not be started", "connection refused", "locked could not be started"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in:\n%s", want, notes)
		}
	}
	for _, never := range []string{"in-the-address", "hush-hush"} {
		if strings.Contains(notes, never) {
			t.Errorf("%q in:\n%s", never, notes)
		}
	}
	if r := call(t, s, "mcp__clock__echo", "still here"); r.Text != "still here" {
		t.Errorf("%+v", r)
	}
}

func TestOnlyAllowedToolsAreTold(t *testing.T) {
	c := clock()
	c.AllowedTools = []string{"echo", "sing"}
	s := started(t, newDesk(), c)
	if len(s.Tools()) != 1 || s.Tools()[0].Name != "mcp__clock__echo" || s.Has("mcp__clock__die") {
		t.Errorf("tools %+v", s.Tools())
	}
	if len(s.Notes()) != 1 || !strings.Contains(s.Notes()[0], "sing") {
		t.Errorf("notes %q", s.Notes())
	}
}

func TestHeadersGoToTheServerAlone(t *testing.T) {
	var told []string
	other, inner := mcptest.Handler(), mcptest.Handler()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Header.Get("Authorization"), r.Header.Get("X-Key"))
		other.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hush-hush-hush" || r.Header.Get("X-Key") != "opensesame" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(moved.Close)
	signed := func(name, url string) mcp.Server {
		return mcp.Server{Name: name, URL: url, Bearer: "hush-hush-hush", Headers: map[string]string{"X-Key": "opensesame"}}
	}
	s := started(t, newDesk(), signed("web", server.URL), signed("moved", moved.URL))
	if r := call(t, s, "mcp__web__echo", "over http, hush-hush-hush"); r.Text != "over http, [hidden]" {
		t.Errorf("%+v, notes %q", r, s.Notes())
	}
	for _, header := range told {
		if header != "" {
			t.Errorf("another host was told %q", header)
		}
	}
	if len(told) == 0 {
		t.Error("the redirect was not followed")
	}
}

func TestAgentsOfARunShareAServer(t *testing.T) {
	d := newDesk()
	p := mcp.New(t.Context(), mcp.Options{Computer: func(context.Context) (agent.Computer, error) { return d, nil }})
	t.Cleanup(p.Close)
	narrow, other := clock(), clock()
	narrow.AllowedTools, other.Args = []string{"echo"}, []string{"-another"}
	for _, tt := range []struct {
		server        mcp.Server
		tools, starts int
	}{{clock(), 7, 1}, {narrow, 1, 1}, {other, 7, 2}} {
		s := p.Set([]mcp.Server{tt.server})
		if err := s.Start(t.Context()); err != nil || len(s.Tools()) != tt.tools || d.starts() != tt.starts {
			t.Errorf("%v: %d tools, %d starts, %v", tt.server.Args, len(s.Tools()), d.starts(), err)
		}
	}
}

func TestWithoutAComputerThereIsNoServer(t *testing.T) {
	gone := errors.New("moved")
	p := mcp.New(t.Context(), mcp.Options{Computer: func(context.Context) (agent.Computer, error) { return nil, gone }})
	defer p.Close()
	if err := p.Set([]mcp.Server{clock()}).Start(t.Context()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatForgotItsSessionIsMetAnew(t *testing.T) {
	web := mcptest.Handler()
	server := httptest.NewServer(web)
	t.Cleanup(server.Close)
	s := started(t, newDesk(), mcp.Server{Name: "web", URL: server.URL})
	if r := call(t, s, "mcp__web__echo", "one"); r.Text != "one" {
		t.Fatalf("%+v, notes %q", r, s.Notes())
	}
	web.Forget()
	lost := call(t, s, "mcp__web__echo", "two")
	if r := call(t, s, "mcp__web__echo", "three"); lost.Status != agent.Failed || !strings.Contains(lost.Text, "was not run") || r.Text != "three" {
		t.Errorf("%+v, then %+v", lost, r)
	}
}
