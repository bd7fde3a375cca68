package actors

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// team makes agents of which each hands tasks to the one after it, and returns
// them, the last first.
func (h *house) team(t *testing.T, names ...string) []state.Agent {
	t.Helper()
	var all []state.Agent
	for _, name := range names {
		a := state.Agent{Name: name, Type: state.AgentLLM, Model: "gpt-5.1", Instructions: "You are " + name + ".", Timeout: DefaultTimeout}
		if len(all) > 0 {
			a.Handoffs = []state.AgentID{all[len(all)-1].ID}
		}
		made, err := h.Agents.Create(t.Context(), h.caller, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, made)
	}
	return all
}

// handTo is the name of the tool that hands a task to an agent.
func handTo(a state.Agent) string {
	return handoffName(state.Delegate{Agent: a.ID, Name: a.Name})
}

func (h *house) ask(t *testing.T, a state.Agent, content string) Started {
	t.Helper()
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Agent: a.ID}, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// vendorOf is a house whose caller pays, with a vendor whose turns come later.
func vendorOf(t *testing.T, balance state.MicroUSD) (*house, *agenttest.Server) {
	t.Helper()
	vendor := agenttest.Serve(t)
	h := openHouse(t, actorstest.NewRecords(time.Now), fake.NewWorld(), "n1",
		map[string]string{"OPENAI_BASE_URL": vendor.URL, "OPENAI_API_KEY": "test"})
	h.pays(t, balance)
	return h, vendor
}

func TestATaskIsHandedOnAndItsAnswerComesBack(t *testing.T) {
	h, vendor := vendorOf(t, 10_000_000)
	team := h.team(t, "Executor", "Planner")
	executor, planner := team[0], team[1]
	vendor.Add(
		agenttest.Responses(agenttest.FunctionCall("same", handTo(executor), `{"task":"write hello"}`)),
		agenttest.Responses(agenttest.FunctionCall("same", "shell", `{"command":"echo hello from $(basename $PWD)"}`)),
		agenttest.Responses(agenttest.Message("It is written.")),
		agenttest.Responses(agenttest.Message("All is done.")))
	s := h.ask(t, planner, "have hello written")
	events := follow(t, h, s)
	end := last(events)
	if end.Status != string(state.RunSuccess) || end.Text != "All is done." {
		t.Fatalf("run ended %s %q: %s", end.Status, end.Text, end.Error)
	}
	got := results(events)
	if len(got) != 2 || !strings.Contains(got[0].Tool.Output, "hello from") || got[1].Tool.Output != "It is written." {
		t.Fatalf("results %+v", got)
	}
	if got[0].Agent != executor.ID || got[0].AgentName != "Executor" || got[0].Within != got[1].Tool.ID || got[0].Tool.ID == got[1].Tool.ID || got[1].Agent != "" {
		t.Errorf("the inner result is told as %+v, the outer as %+v", got[0], got[1])
	}
	requests := vendor.Requests()
	if text := requests[1].Raw; !strings.Contains(text, "write hello") || strings.Contains(text, "have hello written") || !strings.Contains(text, "You are Executor.") || strings.Contains(text, "handoff__") {
		t.Errorf("the executor is told %s", text)
	}
	if text := requests[3].Raw; !strings.Contains(text, "It is written.") || strings.Contains(text, "echo hello") {
		t.Errorf("the planner is told %s", text)
	}
	a := h.account(t)
	if a.Reserved != 0 || a.TotalSpent != end.Usage.Cost || end.Usage.InputTokens != 400 {
		t.Errorf("usage %+v, account %+v", end.Usage, a)
	}
	// The next message's transcript has the planner's own words alone.
	vendor.Add(agenttest.Responses(agenttest.Message("Nothing more.")))
	next, err := h.Threads.Start(t.Context(), h.caller, NewRun{Thread: s.Thread.ID, Content: "and now?"})
	if err != nil {
		t.Fatal(err)
	}
	follow(t, h, next)
	if text := vendor.Requests()[4].Raw; strings.Contains(text, "echo hello") || !strings.Contains(text, "It is written.") {
		t.Errorf("the planner is told %s", text)
	}
}

func TestAHandedTaskGoesOnAtAnotherOwner(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	vendor := agenttest.Serve(t)
	env := map[string]string{"OPENAI_BASE_URL": vendor.URL, "OPENAI_API_KEY": "test"}
	one, two := openHouse(t, records, world, "n1", env), openHouse(t, records, world, "n2", env)
	team := one.team(t, "Executor", "Planner")
	began := filepath.Join(t.TempDir(), "began")
	vendor.Add(
		agenttest.Responses(agenttest.FunctionCall("h", handTo(team[0]), `{"task":"do it"}`)),
		agenttest.Responses(agenttest.FunctionCall("first", "shell", `{"command":"echo one"}`)),
		agenttest.Responses(agenttest.FunctionCall("second", "shell", `{"command":"touch `+began+`; sleep 600"}`)),
		agenttest.Responses(agenttest.Message("It was cut, and is done.")),
		agenttest.Responses(agenttest.Message("Done.")))
	s := one.ask(t, team[1], "go")
	waitFor(t, func() bool { return exists(began) })
	one.driver.Freeze()
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Place(t.Context(), s.Run.Computer); err != nil {
		t.Fatal(err)
	}
	events := follow(t, two, s)
	if end := last(events); end.Status != string(state.RunSuccess) || end.Text != "Done." {
		t.Fatalf("run ended %s %q: %s", end.Status, end.Text, end.Error)
	}
	var told []string
	for _, r := range results(events) {
		told = append(told, r.Tool.ID+" "+r.Status+" "+r.AgentName)
	}
	if got := strings.Join(told, "; "); got != "first completed Executor; second interrupted Executor; h completed " {
		t.Errorf("results: %s", got)
	}
	if text := vendor.Requests()[3].Raw; !strings.Contains(text, "do it") || !strings.Contains(text, "one\\n") || !strings.Contains(text, "interrupted") {
		t.Errorf("the executor is told %s", text)
	}
}

func TestTimeCancelAndMoneyReachThroughHandoffs(t *testing.T) {
	hang := agenttest.Turn{Body: "event: response.created\ndata: {\"type\":\"response.created\"}\n\n", Hang: true}
	t.Run("the other agent's own time", func(t *testing.T) {
		h, vendor := vendorOf(t, 10_000_000)
		team := h.team(t, "Executor", "Planner")
		if _, err := h.Agents.Update(t.Context(), h.caller, team[0].ID, func(a *state.Agent) error { a.Timeout = time.Second; return nil }, nil); err != nil {
			t.Fatal(err)
		}
		vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(team[0]), `{"task":"do it"}`)),
			agenttest.Responses(agenttest.FunctionCall("slow", "shell", `{"command":"sleep 600"}`)),
			agenttest.Responses(agenttest.Message("It took too long.")))
		events := follow(t, h, h.ask(t, team[1], "go"))
		got := results(events)
		if end := last(events); end.Text != "It took too long." || len(got) != 2 || got[0].Status != state.ItemInterrupted || !strings.Contains(got[1].Tool.Output, "within its time limit of 1s") {
			t.Errorf("ended %q, results %+v", end.Text, got)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		h, vendor := vendorOf(t, 10_000_000)
		team := h.team(t, "Executor", "Planner")
		vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(team[0]), `{"task":"do it"}`)), hang)
		s := h.ask(t, team[1], "go")
		waitFor(t, func() bool { return len(vendor.Requests()) == 2 })
		if err := h.Threads.Cancel(t.Context(), h.caller, s.Thread.ID); err != nil {
			t.Fatal(err)
		}
		events := follow(t, h, s)
		if end := last(events); end.Status != string(state.RunCancelled) || len(results(events)) != 1 {
			t.Errorf("ended %+v, results %+v", end, results(events))
		}
		if a := h.account(t); a.Reserved != 0 {
			t.Errorf("the account is %+v", a)
		}
	})
	t.Run("money", func(t *testing.T) {
		probe, _ := vendorOf(t, 10_000_000)
		one, err := probe.Models.estimate(state.RunConfig{Model: "gpt-5.1"}, builtIn(), nil)
		if err != nil {
			t.Fatal(err)
		}
		h, vendor := vendorOf(t, one.Amount+one.Amount/100)
		team := h.team(t, "Executor", "Planner")
		vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(team[0]), `{"task":"`+strings.Repeat("much to do ", 4000)+`"}`)))
		events := follow(t, h, h.ask(t, team[1], "go"))
		if end := last(events); end.Status != string(state.RunFailed) || !strings.Contains(strings.ToLower(end.Error), "budget") {
			t.Errorf("ended %+v", end)
		}
		if a := h.account(t); a.Reserved != 0 || a.Balance < 0 {
			t.Errorf("the account is %+v", a)
		}
	})
}

func TestHandoffsHaveBounds(t *testing.T) {
	h, vendor := vendorOf(t, 10_000_000)
	team := h.team(t, "F", "E", "D", "C", "B", "A")
	gone := h.team(t, "Gone", "Lonely")
	if err := h.Agents.Delete(t.Context(), h.caller, gone[0].ID); err != nil {
		t.Fatal(err)
	}
	for i := 4; i > 0; i-- { // A hands to B, to C, to D, to E, which may not hand to F
		vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(team[i]), `{"task":"on"}`)))
	}
	for range 5 {
		vendor.Add(agenttest.Responses(agenttest.Message("Enough.")))
	}
	if end := last(follow(t, h, h.ask(t, team[5], "go"))); end.Status != string(state.RunSuccess) {
		t.Fatalf("ended %+v", end)
	}
	requests := vendor.Requests()
	if len(requests) != 9 || strings.Contains(requests[4].Raw, "handoff__") || !strings.Contains(requests[3].Raw, handTo(team[1])) {
		t.Errorf("%d requests; the last agent is told %s", len(requests), requests[4].Raw)
	}
	vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(gone[0]), `{"task":"on"}`)), agenttest.Responses(agenttest.Message("Alone.")))
	events := follow(t, h, h.ask(t, gone[1], "go"))
	told := false
	for _, e := range events {
		told = told || e.Kind == state.EventNotice && strings.Contains(e.Text, "deleted") && strings.Contains(e.Text, string(gone[0].ID))
	}
	if got := results(events); !told || len(got) != 1 || !strings.Contains(got[0].Tool.Output, "there is no tool") {
		t.Errorf("told %v, results %+v", told, got)
	}
}

func TestATaskIsHandedToACodingCLI(t *testing.T) {
	h, vendor := vendorOf(t, 10_000_000)
	c := newCodex()
	h.driver.Script().Run(c.run)
	coder, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "Coder", Type: state.AgentComputer, Model: "gpt-5.2", Workspace: "/projects/x", Timeout: DefaultTimeout}, nil)
	if err != nil {
		t.Fatal(err)
	}
	planner, err := h.Agents.Create(t.Context(), h.caller, state.Agent{Name: "Planner", Type: state.AgentLLM, Model: "gpt-5.1", Timeout: DefaultTimeout, Handoffs: []state.AgentID{coder.ID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(coder), `{"task":"look around"}`)),
		agenttest.Responses(agenttest.Message("Hi.")), // to codex, through the gateway
		agenttest.Responses(agenttest.Message("It looked.")))
	s := h.ask(t, planner, "have somebody look around")
	events := follow(t, h, s)
	end := last(events)
	if end.Status != string(state.RunSuccess) || end.Text != "It looked." || end.Usage.InputTokens != 300 {
		t.Fatalf("run ended %s %q: %s, %+v", end.Status, end.Text, end.Error, end.Usage)
	}
	got := results(events)
	if len(got) != 2 || got[0].AgentName != "Coder" || got[1].Tool.Output != "All done." || got[0].Within != got[1].Tool.ID {
		t.Errorf("results %+v", got)
	}
	if a := h.account(t); a.Reserved != 0 || a.TotalSpent != end.Usage.Cost {
		t.Errorf("the run cost %d; the account is %+v", end.Usage.Cost, a)
	}
	thread, err := applied(h.node, func(v *state.View) (state.Thread, error) { return v.Thread(h.caller.Account, s.Thread.ID) })
	if err != nil || thread.Session.ID != "" {
		t.Errorf("the thread goes on in %+v, %v", thread.Session, err)
	}
	if text := vendor.Requests()[2].Raw; !strings.Contains(text, "All done.") || strings.Contains(text, "made.txt") {
		t.Errorf("the planner is told %s", text)
	}
}

func TestADelegateHasItsOwnSkills(t *testing.T) {
	h, vendor := vendorOf(t, 10_000_000)
	if _, err := h.Skills.Create(t.Context(), h.caller, state.Skill{Name: "knots", Description: "How to tie them."},
		[]state.SkillFile{{Path: "SKILL.md", Content: []byte("over and under")}}); err != nil {
		t.Fatal(err)
	}
	team := h.team(t, "Sailor", "Captain")
	if _, err := h.Agents.Update(t.Context(), h.caller, team[0].ID, func(a *state.Agent) error { a.EnabledSkills = []string{"knots"}; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	vendor.Add(agenttest.Responses(agenttest.FunctionCall("h", handTo(team[0]), `{"task":"tie one"}`)),
		agenttest.Responses(agenttest.FunctionCall("r", "read_file", `{"path":".skills/knots/SKILL.md"}`)),
		agenttest.Responses(agenttest.Message("Tied.")), agenttest.Responses(agenttest.Message("Aye.")))
	events := follow(t, h, h.ask(t, team[1], "go"))
	if got := results(events); len(got) != 2 || !strings.Contains(got[0].Tool.Output, "over and under") {
		t.Errorf("results %+v", got)
	}
	if r := vendor.Requests(); strings.Contains(r[0].Raw, "knots") || !strings.Contains(r[1].Raw, "How to tie them.") {
		t.Errorf("the captain is told %s, the sailor %s", r[0].Raw, r[1].Raw)
	}
}
