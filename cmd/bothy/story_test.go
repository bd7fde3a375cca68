package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime/guest/process/processconnect"
)

const (
	// startBalance is what the story's account begins with, and callPrice what
	// each model call of agenttest.Responses costs with gpt-5.1: 60 tokens in
	// at $1.25 a million, 40 cached at $0.125 and 20 out at $10.
	startBalance = wire.USD(1_000_000)
	callPrice    = wire.USD(280)
	// heldText is the call that the server of tools never answers.
	heldText = "the one that is held"
	primes   = "print([n for n in range(2, 20) if all(n % d for d in range(2, n))])\n"
	found    = "[2, 3, 5, 7, 11, 13, 17, 19]"
)

// tale is three nodes, an account, a vendor and a server of tools.
type tale struct {
	*sdk
	vendor *agenttest.Server
	desk   *desk
	env    string
}

// TestTheWholeStory is what the product is for, over three real nodes: the
// vendor's client runs its programs at any of them, an account's computers are
// out of another's reach, and a team of agents outlives the node it works on.
func TestTheWholeStory(t *testing.T) {
	s := &tale{desk: openDesk(t)}
	s.vendor = agenttest.ServeFunc(t, author(t))
	t.Setenv("OPENAI_BASE_URL", s.vendor.URL)
	t.Setenv("OPENAI_API_KEY", "test")
	nodes := launchWith(t, newIndex(t).config()+"outside: {allow: [127.0.0.9]}\n", "n1", "n2", "n3")
	s.sdk = &sdk{t: t, nodes: nodes, key: newTenant(t, nodes[0], "acme")}
	s.env = s.call("POST", "/environments", object{"name": "tale"}).in(t, "environment").text("id")
	for _, part := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"the overview's program", s.overview}, {"the environments' program", s.environments}, {"another account", s.attacked},
		{"a team outlives its node", s.team},
	} {
		if !t.Run(part.name, func(inner *testing.T) {
			s.t = inner
			defer func() { s.t = t }()
			part.do(inner)
		}) {
			return
		}
	}
}

// newTenant makes an account with a key, on the command line.
func newTenant(t *testing.T, p *process, name string) (key string) {
	t.Helper()
	out, code := p.bothy("accounts", "create", name, "--balance", startBalance.String(), "-o", "json")
	var made wire.Account
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != 0 {
		t.Fatalf("exit %d: %s: %v", code, out, err)
	}
	key, code = p.bothy("keys", "create", "ci", "--account", made.ID, "-o", "table")
	if code != 0 {
		t.Fatalf("exit %d: %q", code, key)
	}
	return strings.TrimSpace(key)
}

// overview is the program on the product's first page, with and without an
// environment, and a second run.
func (s *tale) overview(t *testing.T) {
	var types []string
	one := s.run("Create a REST API", sdkRun{environment: s.env, model: "gpt-5.1", onEvent: func(e object) { types = append(types, e.text("type")) }})
	one.isSuccess(t, "It is created.")
	if len(types) != len(one.events) || types[0] != wire.ResponseCreated || types[len(types)-1] != wire.StreamCompleted {
		t.Errorf("onEvent saw %v", types)
	}
	s.asked = nil
	two := s.run("Again", sdkRun{model: "gpt-5.1"})
	two.isSuccess(t, "Nothing is left to do.")
	s.run("And again", sdkRun{model: "gpt-5.1", thread: two.thread}).isSuccess(t, "Nothing is left to do.")
	messages := "POST /threads/" + two.thread + "/messages"
	want := []string{"GET /environments", "POST /environments", "POST /threads", messages, messages}
	if !slices.Equal(s.asked, want) {
		t.Errorf("it asked %v, want %v", s.asked, want)
	}
	if _, err := s.send("thread_none", object{"content": "x"}, nil); err == nil || err.(*sdkError).status != http.StatusNotFound {
		t.Errorf("a message to no thread: %v", err)
	}
}

// environments is the program on the page of environments.
func (s *tale) environments(t *testing.T) {
	env := s.call("GET", "/environments/default", nil)
	env.has(t, "id:s name:s isDefault:b isActive:b internetAccess:b buildStatus:s runtimes:o packages:o environment:o createdAt:t updatedAt:t")
	at := "/environments/" + env.text("id")
	set := s.call("PUT", at+"/runtimes", object{"runtimes": object{"python": "3.12", "nodejs": "22"}}).in(t, "environment")
	if got := set.in(t, "runtimes").text("nodejs"); got != "22" {
		t.Errorf("nodejs is %q", got)
	}
	s.call("POST", at+"/packages", object{"type": "python", "packages": []string{"pandas", "numpy"}}).has(t, "environment:o installed:a")
	s.call("POST", at+"/build", object{}).has(t, "buildId:s status:s message:s environmentId:s buildStatus:s")
	var status object
	eventually(t, "a build that is over", buildTime, func() error {
		if status = s.call("GET", at+"/build/status", nil); status.text("buildStatus") == "building" {
			return fmt.Errorf("%v", status)
		}
		return nil
	})
	status.has(t, "buildStatus:s imageTag:s buildHash:s lastBuildAt:t")
	if status.text("buildStatus") != "ready" {
		t.Fatalf("%v\n%v", status, s.call("GET", at+"/build/logs", nil)["logs"])
	}
}

// attacked has another account try all that reaches into a computer, at every
// node, with keys and tokens of its own.
func (s *tale) attacked(t *testing.T) {
	mine := s.call("GET", "/environments/"+s.env, nil).in(t, "environment").text("computerId")
	key := newTenant(t, s.nodes[0], "rival")
	rival := &product{t: t, nodes: s.nodes, key: key}
	theirs := rival.computer(rival.call("POST", "/v1/computers", `{"handle":"theirs"}`, 202)).text("id")
	rival.resolve(theirs)
	own := &product{t: t, nodes: s.nodes, key: s.key}
	session := func(p *product, computer string) object {
		return p.call("POST", "/v1/computers/"+computer+"/access-sessions", `{"kind":"exec"}`, 201).in(t, "session")
	}
	ours, other := session(own, mine), session(rival, theirs)
	at := "/v1/computers/" + mine
	for _, ask := range []struct{ method, path, body string }{
		{"GET", at, ""}, {"GET", at + "/connection", ""}, {"POST", at + "/exec", `{"command":["id"]}`},
		{"POST", at + "/files/ops", `{"operation":"read_text","path":"/workspace/api.txt"}`}, {"POST", at + "/access-sessions", `{"kind":"exec"}`},
		{"GET", at + "/access-sessions/" + ours.text("id"), ""}, {"DELETE", at + "/access-sessions/" + ours.text("id"), ""},
		{"DELETE", "/v1/computers/theirs/access-sessions/" + ours.text("id"), ""}, {"POST", at + "/ssh-credentials", "{}"}, {"POST", at + "/ports", `{"port":80}`},
		{"POST", at + "/shares/links", `{"allow_browser":true}`}, {"POST", at + "/snapshots", ""}, {"POST", at + "/actions/stop", ""}, {"DELETE", at, ""},
	} {
		for range s.nodes {
			if status, reply := rival.try(ask.method, ask.path, ask.body); status != http.StatusNotFound {
				t.Errorf("%s %s: %d: %v", ask.method, ask.path, status, reply)
			}
		}
	}
	for _, node := range s.nodes {
		for name, want := range map[string]struct {
			token string
			code  connect.Code // 0 is let in
			mine  bool
		}{
			"the account's own session": {ours.text("connect_token"), 0, true}, "a session of the other's": {other.text("connect_token"), 0, false},
			"the other's key": {key, connect.CodeUnauthenticated, false}, "no token": {"", connect.CodeUnauthenticated, false},
			"half a token": {ours.text("connect_token")[:20], connect.CodeUnauthenticated, false}, "the session's id": {ours.text("id"), connect.CodeUnauthenticated, false},
		} {
			files, err := listed(t, node, want.token)
			if (err != nil) != (want.code != 0) || err != nil && connect.CodeOf(err) != want.code || want.mine != strings.Contains(files, "api.txt") {
				t.Errorf("%s at %s: %q, %v", name, node.name, files, err)
			}
		}
	}
}

// listed lists a workspace through the exec gateway of a node.
func listed(t *testing.T, p *process, token string) (files string, err error) {
	t.Helper()
	c := processconnect.NewProcessClient(&http.Client{Transport: bearing{token, http.DefaultTransport}}, p.url, connect.WithProtoJSON())
	stream, err := c.Start(t.Context(), connect.NewRequest(script("ls -a /workspace")))
	if err != nil {
		return "", err
	}
	defer stream.Close()
	for stream.Receive() {
		files += string(stream.Msg().GetEvent().GetData().GetStdout())
	}
	return files, stream.Err()
}

// team has a planner hand a task to an executor, and kills the node they work
// on while a tool is being used. Meanwhile the executor is put on a schedule.
func (s *tale) team(t *testing.T) {
	executor := s.call("POST", "/agents", object{"name": "Executor", "model": "gpt-5.1", "instructions": "You work.",
		"mcpServers": []object{{"type": "http", "name": "desk", "url": s.desk.url}}}).in(t, "agent").text("id")
	planner := s.call("POST", "/agents", object{"name": "Planner", "model": "gpt-5.1", "instructions": "You plan.", "handoffs": []string{executor}}).in(t, "agent").text("id")
	thread := s.call("POST", "/threads", object{"environmentId": s.env, "agentId": planner}).in(t, "thread").text("id")
	owner := s.owner(thread)
	others := without(s.nodes, owner)
	w := watch(t, s.client(append([]*process{owner}, others...)...), client.Message{Thread: thread, Content: "Have the primes found."})
	select {
	case <-s.desk.held:
	case <-w.done:
		t.Fatalf("the run ended early: %+v %v", w.result, w.err)
	case <-time.After(runTime):
		t.Fatalf("no tool is asked: %v", w.seen())
	}
	held := w.saw(t, "the call that is held", func(e client.Event) bool {
		return (e.Type == wire.OutputItemAdded || e.Type == wire.ToolStarted) && strings.Contains(string(e.Item.Arguments), heldText)
	})
	s.nodes = others
	due := time.Now().Add(2 * time.Second)
	schedule := s.call("POST", "/schedules", object{"name": "ticks", "task": "Tick now.", "agentId": executor, "agentName": "Executor", "environmentId": s.env,
		"scheduleType": "one-time", "scheduledTime": due.UTC().Format(time.RFC3339Nano)}).in(t, "schedule").text("id")
	owner.kill()
	w.ended(t)
	w.tells(t, held.Item.ID)
	for _, p := range others {
		same(t, w.seen(), s.replayed(p, thread, 0))
	}
	middle := held.Seq
	same(t, slices.DeleteFunc(w.seen(), func(e client.Event) bool { return e.Seq <= middle }), s.replayed(others[0], thread, middle))
	s.ticked(schedule)
	s.settled(thread, w)
}

func (s *tale) client(nodes ...*process) *client.Client {
	s.t.Helper()
	var urls []string
	for _, p := range nodes {
		urls = append(urls, p.url)
	}
	c, err := client.New(urls, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// owner is the node that owns a thread's computer.
func (s *tale) owner(thread string) *process {
	s.t.Helper()
	res := s.fetch("GET", "/threads/"+thread, nil, "*/*", sdkPatience)
	res.Body.Close()
	return named(s.nodes, res.Header.Get("X-Bothy-Owner"))
}

func (s *tale) replayed(p *process, thread string, after uint64) (events []client.Event) {
	s.t.Helper()
	if err := s.client(p).Replay(s.t.Context(), thread, after, func(e client.Event) error { events = append(events, e); return nil }); err != nil {
		s.t.Fatal(err)
	}
	return events
}

// same compares a stream with what the log holds.
func same(t *testing.T, stream, log []client.Event) {
	t.Helper()
	one, two := jsonText(t, stream), jsonText(t, log)
	if one != two {
		t.Errorf("the stream told\n%s\nand the log has\n%s", one, two)
	}
}

// tells checks that each tool call has one end, and that only the held one was
// interrupted.
func (w *watched) tells(t *testing.T, held string) {
	t.Helper()
	ends := map[string]int{}
	for _, e := range w.seen() {
		switch {
		case e.Type == wire.OutputItemAdded && e.Item.Type == "tool_call":
			ends[e.Item.ID] += 0
		case e.Type == wire.ItemCompleted && e.Item.Type == "tool_call":
			ends[e.Item.ID]++
			if lost := strings.HasPrefix(e.Item.Tool.Output, "interrupted:"); lost != (e.Item.ID == held) {
				t.Errorf("%s ended with %q", e.Item.Name, e.Item.Tool.Output)
			}
		}
	}
	if len(ends) != 8 {
		t.Errorf("%d calls were told of: %v", len(ends), ends)
	}
	for id, n := range ends {
		if n != 1 {
			t.Errorf("call %s has %d ends", id, n)
		}
	}
	if w.result.Run.Status != "success" || w.result.Content != "The primes are found." {
		t.Errorf("it ended as %+v with %q", w.result.Run, w.result.Content)
	}
}

// ticked waits for the schedule's run.
func (s *tale) ticked(id string) {
	s.t.Helper()
	var now object
	eventually(s.t, "the schedule ran", runTime, func() error {
		now = s.call("GET", "/schedules/"+id, nil).in(s.t, "schedule")
		if now["successCount"] != 1.0 {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	if now["runCount"] != 1.0 || now["enabled"] != false {
		s.t.Errorf("%v", now)
	}
}

// settled checks the bill: each model call once, and in all what was spent.
func (s *tale) settled(thread string, w *watched) {
	t := s.t
	if got := *w.result.Run.Cost; got != 10*callPrice {
		t.Errorf("the run cost %s, want ten calls of %s", got, callPrice)
	}
	s.call("POST", "/environments/"+s.env+"/stop", nil)
	c := s.client(s.nodes...)
	eventually(t, "the bill adds up", startTime, func() error {
		before, err := c.Budget().Get(t.Context())
		if err != nil {
			return err
		}
		records, err := c.Billing().Records(t.Context(), client.Span{}, "", client.Page{Limit: 100})
		if err != nil {
			return err
		}
		after, err := c.Budget().Get(t.Context())
		if err != nil {
			return err
		}
		var calls, all wire.USD
		for _, r := range records.Data {
			if r.RecordType == "charge" {
				all += r.Amount
			}
			if r.Type == "execution" {
				calls += r.Amount
			}
		}
		if want := callPrice * wire.USD(len(s.vendor.Requests())); calls != want {
			t.Fatalf("model calls cost %s, want %s: %+v", calls, want, records.Data)
		}
		if before.TotalSpent != after.TotalSpent || after.Reserved != 0 {
			return fmt.Errorf("it still changes: %+v, %+v", before, after)
		}
		if all != after.TotalSpent || after.Balance != startBalance-all || all <= calls {
			return fmt.Errorf("the records say %s, of which model calls %s, the budget %+v", all, calls, after)
		}
		return nil
	})
	costs := s.call("GET", "/costs/summary?period=all", nil).in(t, "totals")
	if got := jsonText(t, costs["agentCost"]); got != (callPrice * wire.USD(len(s.vendor.Requests()))).String() {
		t.Errorf("the summary has %s for model calls", got)
	}
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	if want := []string{"eight primes", heldText}; !slices.Equal(s.desk.heard, want) {
		t.Errorf("the server of tools heard %q, want %q", s.desk.heard, want)
	}
	if got := s.call("GET", "/threads/"+thread, nil).in(t, "thread").text("status"); got != "completed" {
		t.Errorf("the thread is %s", got)
	}
}
