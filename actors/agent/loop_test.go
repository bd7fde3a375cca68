package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// puppet is a model that says what a function says.
type puppet func(req agent.Request) (agent.Reply, error)

func (p puppet) Vendor() string { return "puppet" }
func (p puppet) Call(_ context.Context, req agent.Request, emit func(agent.Delta)) (agent.Reply, error) {
	reply, err := p(req)
	for _, e := range reply.Entries {
		emit(agent.Delta{Kind: agent.TextDelta, Item: e.ID, Text: e.Text})
	}
	return reply, err
}

func text(words string) agent.Entry { return agent.Entry{Kind: agent.Text, ID: "t", Text: words} }
func tool(id, name, arguments string) agent.Entry {
	return agent.Entry{Kind: agent.ToolCall, ID: "c" + id, Call: &agent.Call{ID: id, Name: name, Arguments: arguments}}
}
func at(step int, stop agent.StopReason, e agent.Entry) agent.Entry {
	e.Step, e.Stop = step, stop
	return e
}
func result(call string, step int) agent.Entry {
	return agent.Entry{Kind: agent.ToolResult, ID: "r" + call, Step: step, Result: &agent.Result{Call: call, Status: agent.Done, Text: "ok"}}
}

func TestNext(t *testing.T) {
	ls := `{"command":"ls"}`
	words := at(1, agent.StopEnd, text("Hi."))
	one := at(1, agent.StopEnd, tool("a", "shell", ls))
	two := []agent.Entry{at(1, "", tool("a", "shell", ls)), at(1, agent.StopEnd, tool("b", "shell", ls))}
	for name, tt := range map[string]struct {
		entries []agent.Entry
		want    string
	}{
		"nothing was said":             {nil, "finish completed"},
		"a message":                    {[]agent.Entry{user("x")}, "call 1"},
		"an answer":                    {[]agent.Entry{user("x"), words}, "finish completed"},
		"a second message":             {[]agent.Entry{user("x"), words, user("y")}, "call 1"},
		"a call":                       {[]agent.Entry{user("x"), one}, "run a"},
		"a call and its result":        {[]agent.Entry{user("x"), one, result("a", 1)}, "call 2"},
		"two calls":                    {append([]agent.Entry{user("x")}, two...), "run a"},
		"two calls, one result":        {append(append([]agent.Entry{user("x")}, two...), result("a", 1)), "run b"},
		"the last step allowed":        {[]agent.Entry{user("x"), at(3, agent.StopEnd, tool("z", "shell", ls)), result("z", 3)}, "finish step_limit"},
		"a reply cut at its bound":     {[]agent.Entry{user("x"), at(1, agent.StopLength, text("H"))}, "finish output_limit"},
		"a refusal":                    {[]agent.Entry{user("x"), at(1, agent.StopRefused, text(""))}, "finish refused"},
		"a summary before the first":   {[]agent.Entry{user("x"), {Kind: agent.Summary, Step: 1, Text: "s"}}, "call 1"},
		"a summary between steps":      {[]agent.Entry{user("x"), one, result("a", 1), {Kind: agent.Summary, Step: 2, Text: "s"}}, "call 2"},
		"a call answered in a run ago": {[]agent.Entry{user("x"), one, user("y")}, "call 1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			switch a := (agent.Loop{MaxSteps: 3}).Next(tt.entries).(type) {
			case agent.CallModel:
				got = fmt.Sprintf("call %d", a.Step)
			case agent.RunTool:
				got = "run " + a.Call.ID
			case agent.Finish:
				got = "finish " + string(a.Outcome)
				if a.Text == "" {
					t.Error("a run ended without a word")
				}
			default:
				got = fmt.Sprintf("%T", a)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEndlessLoopEndsAtTheStepLimit(t *testing.T) {
	turn := agenttest.Responses(agenttest.FunctionCall("call_0", "list_files", `{"path":"."}`))
	s := agenttest.Serve(t, turn, turn, turn, turn)
	m := openai.New(openai.Options{BaseURL: s.URL + "/v1", Client: agenttest.Client(t)})
	c := newMemory()
	c.files["x"] = "1"
	entries, end := drive(t, agent.Loop{MaxSteps: 4}, m, c, []agent.Entry{user("go")})
	if end.Outcome != agent.StepLimit || !strings.Contains(end.Text, "4 steps") || len(entries) != 9 {
		t.Errorf("%+v after %d entries", end, len(entries))
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if e.Call != nil && ids[e.Call.ID] {
			t.Errorf("call id %s came twice", e.Call.ID)
		}
		if e.Call != nil {
			ids[e.Call.ID] = true
		}
	}
}

func TestModelIsToldOfItsMistakesAndGoesOn(t *testing.T) {
	s := agenttest.Serve(t,
		agenttest.Responses(agenttest.FunctionCall("a", "launch_rocket", `{}`), agenttest.FunctionCall("b", "shell", `{"command": `), agenttest.FunctionCall("c", "shell", `{"cmd":"ls"}`)),
		agenttest.Responses(agenttest.Message("Sorry.")))
	m := openai.New(openai.Options{BaseURL: s.URL + "/v1", Client: agenttest.Client(t)})
	c := newMemory()
	_, end := drive(t, agent.Loop{}, m, c, []agent.Entry{user("go")})
	if end.Outcome != agent.Completed || end.Text != "Sorry." || len(c.ran) > 0 {
		t.Fatalf("%+v, ran %v", end, c.ran)
	}
	for _, want := range []string{`there is no tool \"launch_rocket\"`, "not a JSON object", `the argument \"command\" is missing`} {
		if !strings.Contains(strings.ReplaceAll(s.Requests()[1].Raw, `\\`, `\`), want) {
			t.Errorf("the model was not told %s: %s", want, s.Requests()[1].Raw)
		}
	}
}

// TestResumeAnywhere cuts a run after each commit, takes it up again as
// another owner would, and checks that no call ever runs twice.
func TestResumeAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.IntRange(1, 3), 0, 4).Draw(rt, "calls in each step")
		model := puppet(func(req agent.Request) (agent.Reply, error) {
			step := 0
			for _, e := range req.Entries {
				step = max(step, e.Step)
			}
			if step >= len(plan) {
				return agent.Reply{Entries: []agent.Entry{text("All done.")}}, nil
			}
			var reply agent.Reply
			for i := range plan[step] {
				id := fmt.Sprintf("s%d_%d", step, i)
				reply.Entries = append(reply.Entries, tool(id, "write_file", fmt.Sprintf(`{"path":%q,"content":"x"}`, id)))
			}
			return reply, nil
		})
		whole, end := drive(t, agent.Loop{}, model, newMemory(), []agent.Entry{user("go")})
		if end.Outcome != agent.Completed {
			rt.Fatalf("%+v", end)
		}
		cut := rapid.IntRange(1, len(whole)).Draw(rt, "cut")
		for cut < len(whole) && whole[cut-1].Kind == agent.ToolCall && whole[cut-1].Stop == "" {
			cut++ // a reply is committed as one
		}
		kept := append([]agent.Entry(nil), whole[:cut]...)
		ranBefore := map[string]bool{}
		for _, e := range kept {
			if e.Call != nil {
				ranBefore[e.Call.ID] = true
			}
		}
		c := newMemory()
		resumed, end := drive(t, agent.Loop{}, model, c, append(kept, agent.Interrupted(kept)...))
		if end.Outcome != agent.Completed || len(agent.Interrupted(resumed)) > 0 {
			rt.Fatalf("cut at %d: %+v", cut, end)
		}
		for name := range c.files {
			if ranBefore[name] {
				rt.Fatalf("cut at %d: call %s was committed before and ran again", cut, name)
			}
		}
	})
}

// TestViewIsSound: whatever was committed, vendors see each reply followed by
// exactly one result for each of its calls.
func TestViewIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []agent.Entry
		n := 0
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			n++
			switch rapid.IntRange(0, 3).Draw(t, "piece") {
			case 0:
				entries = append(entries, user(fmt.Sprint("message ", n)))
			case 1:
				calls := rapid.IntRange(0, 3).Draw(t, "calls")
				for i := range calls {
					entries = append(entries, at(n, "", tool(fmt.Sprintf("c%d_%d", n, i), "shell", "{}")))
				}
				entries = append(entries, at(n, agent.StopEnd, text("words")))
				for i := range rapid.IntRange(0, calls).Draw(t, "results") {
					entries = append(entries, result(fmt.Sprintf("c%d_%d", n, i), n))
				}
			case 2:
				entries = append(entries, result(fmt.Sprintf("stray%d", n), n))
			case 3:
				entries = append(entries, agent.Entry{Kind: agent.Summary, ID: fmt.Sprint("s", n), Text: "so far", Step: n})
			}
		}
		open := map[string]bool{}
		for _, e := range agent.View(entries) {
			switch {
			case e.Call != nil:
				open[e.Call.ID] = true
			case e.Result != nil && !open[e.Result.Call]:
				t.Fatalf("result of %s without its call", e.Result.Call)
			case e.Result != nil:
				delete(open, e.Result.Call)
			case e.Kind == agent.User && len(open) > 0:
				t.Fatalf("a message before the results of %v", open)
			case e.Kind == agent.Summary:
				t.Fatal("a summary entry is shown as it is")
			}
		}
		if len(open) > 0 {
			t.Fatalf("no result for %v", open)
		}
	})
}

func TestLongTranscriptIsCompactedAndTheWorkGoesOn(t *testing.T) {
	steps, summaries := 0, 0
	model := puppet(func(req agent.Request) (agent.Reply, error) {
		if req.Tools == nil {
			summaries++
			if !strings.Contains(req.Entries[0].Text, "USER: ") && !strings.Contains(req.Entries[0].Text, "build the thing") {
				t.Errorf("the record lacks the request: %.200s", req.Entries[0].Text)
			}
			return agent.Reply{Entries: []agent.Entry{text("Steps were made.")}}, nil
		}
		if steps++; steps > 9 {
			return agent.Reply{Entries: []agent.Entry{text("Built.")}}, nil
		}
		return agent.Reply{Entries: []agent.Entry{tool(fmt.Sprint("k", steps), "read_file", `{"path":"big"}`)}}, nil
	})
	c := newMemory()
	c.files["big"] = strings.Repeat("words ", 500)
	size := func(entries []agent.Entry) int64 {
		n := 0
		for _, e := range entries {
			n += len(e.Text)
			if e.Result != nil {
				n += len(e.Result.Text)
			}
		}
		return int64(n)
	}
	loop := agent.Loop{WindowTokens: 12_000, OutputTokens: 1000, Count: size}
	entries, end := drive(t, loop, model, c, []agent.Entry{user("build the thing")})
	if end.Text != "Built." || summaries < 2 {
		t.Fatalf("%+v after %d summaries", end, summaries)
	}
	for i := range entries {
		if got := size(agent.View(entries[:i+1])); got > 12_000+4000 {
			t.Errorf("after %d entries the model would be shown %d", i+1, got)
		}
	}
	if view := agent.View(entries); !strings.Contains(view[0].Text, "Steps were made.") || !strings.Contains(view[0].Text, "build the thing") {
		t.Errorf("the view begins with %.300q", view[0].Text)
	}
}

func TestAfterAFailedCall(t *testing.T) {
	long := agent.Errorf(agent.ContextTooLong, "too long")
	worked := []agent.Entry{user("x"), at(1, agent.StopEnd, tool("a", "shell", "{}")), result("a", 1)}
	if a, ok := (agent.Loop{}).After(worked, long).(agent.Compact); !ok || a.Step != 2 {
		t.Errorf("a transcript that turned out too long: %+v", a)
	}
	shortened := append(worked, agent.Entry{Kind: agent.Summary, Text: "s", Step: 2})
	if f, ok := (agent.Loop{}).After(shortened, long).(agent.Finish); !ok || f.Err.Kind != agent.ContextTooLong || f.Text == "" {
		t.Errorf("one that cannot be shortened again: %+v", f)
	}
	if f := (agent.Loop{}).After(worked, errors.New("odd")).(agent.Finish); f.Outcome != agent.Broken || f.Err == nil {
		t.Errorf("an unknown failure: %+v", f)
	}
}

func TestVetoEndsACallBeforeTheNextAttempt(t *testing.T) {
	asked := 0
	c := caller(puppet(func(agent.Request) (agent.Reply, error) {
		asked++
		return agent.Reply{}, agent.Errorf(agent.Overloaded, "busy")
	}))
	watch := &silent{veto: errors.New("no money left")}
	_, err := c.Call(t.Context(), agent.Request{}, 1, "p", watch)
	if agent.AsError(err).Kind != agent.Vetoed || asked != 1 || len(watch.failed) != 1 {
		t.Errorf("%v after %d attempts", err, asked)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	var waits []time.Duration
	c := caller(puppet(func(agent.Request) (agent.Reply, error) { return agent.Reply{}, agent.Errorf(agent.Overloaded, "busy") }))
	c.Attempts, c.Jitter = 12, func() float64 { return 0.5 }
	c.Sleep = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	if _, err := c.Call(t.Context(), agent.Request{}, 1, "p", &silent{}); agent.AsError(err).Kind != agent.Overloaded {
		t.Fatal(err)
	}
	for i, wait := range waits {
		if wait > 30*time.Second || (i > 0 && wait < waits[i-1]) {
			t.Errorf("waits are %v", waits)
		}
	}
	if len(waits) != 11 {
		t.Errorf("%d waits", len(waits))
	}
}

func TestRetryableKinds(t *testing.T) {
	retryable := map[agent.ErrorKind]bool{agent.RateLimited: true, agent.Overloaded: true, agent.Unreachable: true, agent.Cut: true, agent.Timeout: true}
	for _, kind := range agent.ErrorKinds() {
		if kind.Retryable() != retryable[kind] {
			t.Errorf("%s: retryable is %v", kind, kind.Retryable())
		}
	}
}
