package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/cluster/trace/tracetest"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// codex plays the CLI of that name: it says that its session began, asks the
// model once through the gateway that it was given, and prints what it is told.
type codex struct {
	started chan []string // argv of each start
	hold    bool          // says that it works, and then does not end by itself
	ask     chan struct{} // closed when it may ask the model; nil is at once
	gone    bool          // its sessions are not there any more
	tool    string        // of its MCP server clock, which it calls with the text "hello"
	status  chan int      // of each call of the model
}

func newCodex() *codex {
	return &codex{started: make(chan []string, 10), status: make(chan int, 10)}
}

const codexReply = `{"model":"gpt-5.2","stream":true,"input":"hi"}`

func (c *codex) run(ctx context.Context, _ runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	c.started <- cmd.Argv
	if c.gone && slices.Contains(cmd.Argv, "resume") {
		io.WriteString(cmd.Stderr, "no such session")
		return runtime.Exit{Code: 1}, nil
	}
	fmt.Fprintln(cmd.Stdout, `{"type":"thread.started","thread_id":"session-1"}`)
	fmt.Fprintln(cmd.Stdout, `{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"ls"}}`)
	if c.hold {
		<-ctx.Done()
		return runtime.Exit{Code: -1, Signal: "killed"}, ctx.Err()
	}
	fmt.Fprintln(cmd.Stdout, `{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"ls","aggregated_output":"made.txt","exit_code":0,"status":"completed"}}`)
	if c.ask != nil {
		<-c.ask
	}
	url, token := setting(cmd.Argv, "model_providers.bothy.base_url"), ""
	for _, pair := range cmd.Env {
		if rest, ok := strings.CutPrefix(pair, executor.TokenVariable+"="); ok {
			token = rest
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/responses", strings.NewReader(codexReply))
	if err != nil {
		return runtime.Exit{Code: -1}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return runtime.Exit{Code: -1}, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	c.status <- res.StatusCode
	if res.StatusCode != http.StatusOK {
		fmt.Fprintln(cmd.Stdout, `{"type":"turn.failed","error":{"message":"Quota exceeded."}}`)
		return runtime.Exit{Code: 1}, err
	}
	answer := "All done."
	if c.tool != "" {
		answer = useTool(ctx, setting(cmd.Argv, "mcp_servers.clock.url"), token, c.tool)
	}
	said, _ := json.Marshal(answer) // a string always has a JSON form
	fmt.Fprintf(cmd.Stdout, `{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":%s}}`, said)
	return runtime.Exit{}, err
}

// setting is what codex was told on its command line, "" for nothing.
func setting(argv []string, name string) string {
	for _, arg := range argv {
		if rest, ok := strings.CutPrefix(arg, name+"="); ok {
			return strings.Trim(rest, `"`)
		}
	}
	return ""
}

// useTool calls a tool of an MCP server and returns what it said.
func useTool(ctx context.Context, url, token, name string) string {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"text":"hello"}}}`, name)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(res.StatusCode, " ", string(said))
}

// coder makes an agent of type computer and has codex play in a house.
func coder(t *testing.T, h *house, c *codex) state.AgentID {
	t.Helper()
	h.driver.Script().Run(c.run)
	a, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "coder", Type: state.AgentComputer, Model: "gpt-5.2", Workspace: "/projects/x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func sendTo(t *testing.T, h *house, a state.AgentID, content string) Started {
	t.Helper()
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Agent: a}, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAComputerAgentWorksThroughCodexAndGoesOnInItsSession(t *testing.T) {
	h := tenant(t, 10_000_000, agenttest.Responses(agenttest.Message("Hi.")), agenttest.Responses(agenttest.Message("Hi.")))
	c := newCodex()
	s := sendTo(t, h, coder(t, h, c), "look around")
	events := follow(t, h, s)
	end := last(events)
	if end.Status != string(state.RunSuccess) || end.Text != "All done." || end.Usage.InputTokens != 100 || end.Usage.OutputTokens != 20 || end.Usage.Cost <= 0 {
		t.Fatalf("run ended %s %q: %s, %+v", end.Status, end.Text, end.Error, end.Usage)
	}
	argv := <-c.started
	if !strings.HasPrefix(argv[0], runtime.ProgramsDir+"/codex-") || slices.Contains(argv, "resume") || !slices.Contains(argv, "/workspace/projects/x") {
		t.Errorf("codex was started by %q", argv)
	}
	var ran, used bool
	for _, e := range events {
		ran = ran || e.Type == state.ItemToolResult && e.Tool.Output == "made.txt\n[exit code 0]"
		used = used || e.Kind == state.EventUsage && e.Usage.Cost == end.Usage.Cost
	}
	if a := h.account(t); !ran || !used || a.Reserved != 0 || a.TotalSpent != end.Usage.Cost {
		t.Errorf("told of the command %v, of its tokens %v; the account is %+v", ran, used, a)
	}
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Thread: s.Thread.ID, Content: "go on"})
	if err != nil {
		t.Fatal(err)
	}
	follow(t, h, s)
	if argv := <-c.started; !slices.Contains(argv, "session-1") {
		t.Errorf("the second message was for %q", argv)
	}
}

// Model calls of a CLI are followed like those of the loop: below their run, in
// the trace of the request, and counted by how they ended.
func TestModelCallsOfAnExecutorAreTraced(t *testing.T) {
	h := tenant(t, 10_000_000, agenttest.Responses(agenttest.Message("Hi.")), agenttest.Turn{Status: 503, Body: "{}"})
	spans := tracetest.Listen(t)
	tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: spans.URL, Ratio: 1, Node: "n1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.shop.tracer = tracer
	a := coder(t, h, newCodex())
	const asked = "4bf92f3577b34da6a3ce929d0e0e4736"
	ctx := state.WithCause(t.Context(), state.Cause{Request: "req_1", Trace: "00-" + asked + "-00f067aa0ba902b7-01"})
	for range 2 {
		s, err := h.Threads.Start(ctx, h.caller, NewRun{Create: &NewThread{Agent: a}, Content: "look around"})
		if err != nil {
			t.Fatal(err)
		}
		follow(t, h, s)
	}
	h.Close()
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := spans.Chain(asked, "run", "executor", "model call"); err != nil {
		t.Error(err)
	}
	for _, result := range []string{"ok", string(agent.Overloaded)} {
		if n := counted(t, h.o.Registerer, "bothy_model_call_seconds", result); n != 1 {
			t.Errorf("%v calls ended as %s", n, result)
		}
	}
}

func TestASessionThatIsGoneIsBegunAnew(t *testing.T) {
	h := tenant(t, 10_000_000, agenttest.Responses(agenttest.Message("Hi.")), agenttest.Responses(agenttest.Message("Hi.")))
	c := newCodex()
	s := sendTo(t, h, coder(t, h, c), "look around")
	follow(t, h, s)
	<-c.started
	c.gone = true
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Thread: s.Thread.ID, Content: "go on"})
	if err != nil {
		t.Fatal(err)
	}
	events := follow(t, h, s)
	if end := last(events); end.Status != string(state.RunSuccess) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	told := slices.ContainsFunc(events, func(e state.Event) bool {
		return e.Kind == state.EventNotice && strings.Contains(e.Text, "begins anew")
	})
	if first, second := <-c.started, <-c.started; !slices.Contains(first, "resume") || slices.Contains(second, "resume") || !told {
		t.Errorf("started by %q, then %q; told %v", first, second, told)
	}
}

func TestAnExecutorIsToldOfItsSkills(t *testing.T) {
	h := tenant(t, 10_000_000, agenttest.Responses(agenttest.Message("Hi.")))
	c := newCodex()
	a := coder(t, h, c)
	_, err := h.Skills.Create(t.Context(), h.caller, state.Skill{Name: "brew", Description: "Makes tea."}, []state.SkillFile{{Path: "SKILL.md", Content: []byte("Boil water.")}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Agent: a}, Content: "tea", Skills: []string{"brew"}})
	if err != nil {
		t.Fatal(err)
	}
	if end := last(follow(t, h, s)); end.Status != string(state.RunSuccess) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	if told := setting(<-c.started, "developer_instructions"); !strings.Contains(told, "/workspace/.skills/brew/SKILL.md") || !strings.Contains(told, "Makes tea.") {
		t.Errorf("codex was told %q", told)
	}
}

func TestAnExecutorUsesServersThroughTheNode(t *testing.T) {
	for tool, want := range map[string]string{"echo": `"text":"hello"`, "env": "unknown tool"} {
		h := tenant(t, 10_000_000, agenttest.Responses(agenttest.Message("Hi.")))
		c := newCodex()
		c.tool = tool
		a := coder(t, h, c)
		server := clock()
		server.AllowedTools = []string{"echo"}
		h.driver.Script().Run(func(ctx context.Context, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
			if cmd.Argv[0] != os.Args[0] {
				return c.run(ctx, id, cmd)
			}
			return runHere(ctx, cmd)
		})
		s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Agent: a}, Content: "what is the time?", MCPServers: []MCPServer{server}})
		if err != nil {
			t.Fatal(err)
		}
		end := last(follow(t, h, s))
		if end.Status != string(state.RunSuccess) || !strings.Contains(end.Text, want) {
			t.Errorf("%s: the run ended %s: %s %s", tool, end.Status, end.Text, end.Error)
		}
		if argv := strings.Join(<-c.started, " "); strings.Contains(argv, "hush") {
			t.Errorf("a secret of the server is in %s", argv)
		}
	}
}

// runHere runs a computer's command on this machine.
func runHere(ctx context.Context, cmd runtime.Cmd) (runtime.Exit, error) {
	run := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	run.Env, run.Stdin, run.Stdout, run.Stderr = append(os.Environ(), cmd.Env...), cmd.Stdin, cmd.Stdout, cmd.Stderr
	run.WaitDelay = time.Second
	err := run.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return runtime.Exit{}, err
	}
	return runtime.Exit{Code: run.ProcessState.ExitCode()}, nil
}

func TestACancelledExecutorCostsNothing(t *testing.T) {
	h := tenant(t, 10_000_000)
	c := newCodex()
	a := coder(t, h, c)
	c.hold = true
	s := sendTo(t, h, a, "look around")
	<-c.started
	none := state.MicroUSD(1)
	if _, err := h.Accounts.SetLimits(t.Context(), state.SetLimits{Account: h.caller.Account, SetDaily: true, Daily: &none}); err != nil {
		t.Fatal(err)
	}
	if err := h.Threads.Cancel(t.Context(), h.caller, s.Thread.ID); err != nil {
		t.Fatal(err)
	}
	if end := last(follow(t, h, s)); end.Status != string(state.RunCancelled) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	_, err := h.Threads.Start(t.Context(), h.caller, NewRun{Thread: s.Thread.ID, Content: "go on"})
	if !fault.Is(err, fault.Payment) {
		t.Fatalf("with no money a run began: %v", err)
	}
	if a := h.account(t); a.Reserved != 0 || a.TotalSpent != 0 {
		t.Errorf("the account is %+v", a)
	}
}

func TestAnExecutorWhoseMoneyEndsMidRunIsToldSo(t *testing.T) {
	h := tenant(t, 10_000_000)
	c := newCodex()
	a := coder(t, h, c)
	c.ask = make(chan struct{})
	s := sendTo(t, h, a, "hi")
	<-c.started
	limit := state.MicroUSD(1)
	if _, err := h.Accounts.SetLimits(t.Context(), state.SetLimits{Account: h.caller.Account, SetDaily: true, Daily: &limit}); err != nil {
		t.Fatal(err)
	}
	close(c.ask)
	end := last(follow(t, h, s))
	if status := <-c.status; status != http.StatusTooManyRequests || end.Status != string(state.RunFailed) || !strings.Contains(end.Error, "Daily limit") {
		t.Fatalf("the call was answered %d, the run ended %s: %q", status, end.Status, end.Error)
	}
	if a := h.account(t); a.Reserved != 0 || a.TotalSpent != 0 {
		t.Errorf("the account is %+v", a)
	}
}

func TestAnExecutorThatWasLostWithItsNodeIsNotBegunAgain(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	vendor := agenttest.Serve(t, agenttest.Responses(agenttest.Message("Hi.")))
	env := map[string]string{"OPENAI_BASE_URL": vendor.URL}
	one, two := openHouse(t, records, world, "n1", env), openHouse(t, records, world, "n2", env)
	c := newCodex()
	c.hold = true
	a := coder(t, one, c)
	s := sendTo(t, one, a, "look around")
	<-c.started
	session := func() state.Session {
		th, err := applied(one.node, func(v *state.View) (state.Thread, error) { return v.Thread(one.caller.Account, s.Thread.ID) })
		if err != nil {
			t.Fatal(err)
		}
		return th.Session
	}
	waitFor(t, func() bool { return session().ID == "session-1" })
	one.driver.Freeze()
	next := newCodex()
	two.driver.Script().Run(next.run)
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Place(t.Context(), s.Run.Computer); err != nil {
		t.Fatal(err)
	}
	if end := last(follow(t, two, s)); end.Status != string(state.RunFailed) || !strings.Contains(end.Error, "interrupted") {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	if len(next.started) > 0 {
		t.Fatal("it was begun a second time")
	}
	s, err := two.Threads.Start(t.Context(), two.caller, NewRun{Thread: s.Thread.ID, Content: "go on"})
	if err != nil {
		t.Fatal(err)
	}
	if end := last(follow(t, two, s)); end.Status != string(state.RunSuccess) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	if argv := <-next.started; !slices.Contains(argv, "session-1") {
		t.Errorf("the next message was for %q", argv)
	}
}

func TestWhichExecutorDoesARun(t *testing.T) {
	h := tenant(t, 10_000_000)
	agentOf := func(kind state.AgentType, binary string) *state.Agent {
		return &state.Agent{Type: kind, Binary: binary}
	}
	for name, tt := range map[string]struct {
		model, asked string
		agent        *state.Agent
		want         string
		err          bool
	}{
		"a computer agent":              {"gpt-5", "", agentOf(state.AgentComputer, ""), "codex", false},
		"a computer agent that says so": {"gpt-5", "", agentOf(state.AgentComputer, "codex"), "codex", false},
		"of an unknown binary":          {"gpt-5", "", agentOf(state.AgentComputer, "vim"), "codex", false},
		"a model of no vendor":          {"script", "", agentOf(state.AgentComputer, ""), "", false},
		"an llm agent":                  {"gpt-5", "", agentOf(state.AgentLLM, "codex"), "", false},
		"no agent":                      {"gpt-5", "", nil, "", false},
		"as the message says":           {"gpt-5", "codex", nil, "codex", false},
		"one that there is not":         {"gpt-5", "vim", nil, "", true},
		"one that cannot use the model": {"script", "codex", nil, "", true},
	} {
		got, err := h.Threads.executor(tt.model, tt.asked, tt.agent)
		if got != tt.want || (err != nil) != tt.err {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestWhatATaskLeavesOpen(t *testing.T) {
	h := tenant(t, 10_000_000)
	for name, tt := range map[string]struct {
		asked           NewRun
		executor, model string // "" of the model is as configured
		runs            string
		err             bool
	}{
		"nothing named":             {NewRun{}, "codex", "gpt-5.2", "codex", false},
		"an executor":               {NewRun{Executor: "opencode"}, "opencode", "gpt-5.2", "opencode", false},
		"a model":                   {NewRun{Model: "gpt-5-mini"}, "codex", "gpt-5-mini", "codex", false},
		"both":                      {NewRun{Executor: "opencode", Model: "gpt-5-mini"}, "opencode", "gpt-5-mini", "opencode", false},
		"the loop":                  {NewRun{Executor: "script"}, "script", "script", "", false},
		"the loop with a model":     {NewRun{Executor: "script", Model: "gpt-5"}, "script", "gpt-5", "", false},
		"a model of no vendor":      {NewRun{Model: "script"}, "script", "script", "", false},
		"one without models here":   {NewRun{Executor: "claude"}, "", "", "", true},
		"one that there is not":     {NewRun{Executor: "gemini"}, "", "", "", true},
		"another's model":           {NewRun{Executor: "codex", Model: "script"}, "", "", "", true},
		"a model that there is not": {NewRun{Model: "none"}, "script", "none", "", false}, // refused by its name later
	} {
		n := tt.asked
		got, err := h.Models.forTask(&n)
		if got != tt.executor || (err != nil) != tt.err || !tt.err && (n.Model != tt.model || n.Executor != tt.runs) {
			t.Errorf("%s: %q, model %q by %q, %v", name, got, n.Model, n.Executor, err)
		}
	}
	if all := open(t).Models.executors(); !slices.Equal(all, []string{"script"}) {
		t.Errorf("without a vendor there is %q", all)
	}
}

func TestExecutorsOfferWhatIsConfigured(t *testing.T) {
	vendor := agenttest.Serve(t)
	env := map[string]string{"OPENAI_BASE_URL": vendor.URL, "GEMINI_API_KEY": "k"}
	c, err := catalog.New(catalog.Config{Executors: map[string][]string{"codex": {"gpt-5-mini", "gpt-5"}, "opencode": {"gemini-2.5-pro"}}},
		func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.Check(c); err != nil {
		t.Fatal(err)
	}
	m := NewModels(c)
	for name, tt := range map[string]struct {
		asked           NewRun
		executor, model string
		refused         string // in the error
	}{
		"codex's default":       {NewRun{Executor: "codex"}, "codex", "gpt-5-mini", ""},
		"nothing named":         {NewRun{}, "codex", "gpt-5-mini", ""},
		"one it offers":         {NewRun{Executor: "codex", Model: "gpt-5"}, "codex", "gpt-5", ""},
		"one it does not":       {NewRun{Executor: "codex", Model: "gpt-5.2"}, "", "", "it offers gpt-5-mini, gpt-5"},
		"of another protocol":   {NewRun{Executor: "opencode"}, "opencode", "gemini-2.5-pro", ""},
		"gemini, as it is":      {NewRun{Executor: "gemini"}, "gemini", "gemini-2.5-pro", ""},
		"a model alone":         {NewRun{Model: "gemini-2.5-pro"}, "gemini", "gemini-2.5-pro", ""},
		"a model nobody offers": {NewRun{Model: "gpt-5.2"}, "script", "gpt-5.2", ""},
	} {
		n := tt.asked
		got, err := m.forTask(&n)
		switch {
		case tt.refused != "":
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || got != tt.executor || n.Model != tt.model:
			t.Errorf("%s: %q, model %q, %v", name, got, n.Model, err)
		}
	}
	if err := m.fits(state.Agent{Type: state.AgentComputer, Binary: "codex", Model: "gpt-5.2"}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "gpt-5-mini, gpt-5") {
		t.Errorf("an agent of codex with a model that it does not offer: %v", err)
	}
	if got := m.of(&state.Agent{Type: state.AgentComputer, Binary: "gemini"}); got != "gemini-2.5-pro" {
		t.Errorf("an agent of gemini works with %s", got)
	}
	wrong, err := catalog.New(catalog.Config{Executors: map[string][]string{"vim": {"gpt-5"}, "claude": {"gpt-5"}}}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if err := executor.Check(wrong); err == nil || !strings.Contains(err.Error(), `"vim"`) || !strings.Contains(err.Error(), "models.executors.claude[0]") {
		t.Errorf("a wrong configuration: %v", err)
	}
}
