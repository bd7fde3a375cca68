package anthropic_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/anthropic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const start = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":10,"cache_read_input_tokens":30,"cache_creation_input_tokens":60,"output_tokens":1}}}`

// reply is a whole stream with the blocks' events between.
func reply(stop string, blocks ...string) agenttest.Turn {
	events := append([]string{start, `{"type":"ping"}`}, blocks...)
	events = append(events, `{"type":"message_delta","delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":{"output_tokens":25}}`, `{"type":"message_stop"}`)
	return agenttest.Turn{Body: agenttest.Events(events...)}
}

func thinking(text, signature string) []string {
	return []string{
		`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"` + text + `"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"` + signature + `"}}`,
		`{"type":"content_block_stop","index":0}`,
	}
}

func text(words ...string) []string {
	events := []string{`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`}
	for _, word := range words {
		events = append(events, `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"`+word+`"}}`)
	}
	return append(events, `{"type":"content_block_stop","index":1}`)
}

func use(index, id, name string, pieces ...string) []string {
	events := []string{`{"type":"content_block_start","index":` + index + `,"content_block":{"type":"tool_use","id":"` + id + `","name":"` + name + `","input":{}}}`}
	for _, piece := range pieces {
		quoted, err := json.Marshal(piece)
		if err != nil {
			panic(err)
		}
		events = append(events, `{"type":"content_block_delta","index":`+index+`,"delta":{"type":"input_json_delta","partial_json":`+string(quoted)+`}}`)
	}
	return append(events, `{"type":"content_block_stop","index":`+index+`}`)
}

func join(lists ...[]string) (all []string) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

type watcher struct {
	deltas []agent.Delta
	failed []agent.Attempt
}

func (w *watcher) Delta(d agent.Delta)          { w.deltas = append(w.deltas, d) }
func (w *watcher) Failed(a agent.Attempt) error { w.failed = append(w.failed, a); return nil }

func call(t *testing.T, s *agenttest.Server, req agent.Request) (agent.Reply, *watcher, error) {
	t.Helper()
	w := &watcher{}
	c := agent.Caller{
		Model:    anthropic.New(anthropic.Options{BaseURL: s.URL, APIKey: "sk-ant-secret", Client: agenttest.Client(t)}),
		Attempts: 3, Timeout: 20 * time.Second, Idle: 300 * time.Millisecond, Now: time.Now, Jitter: func() float64 { return 0 },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	reply, err := c.Call(t.Context(), req, 1, "item_x", w)
	return reply, w, err
}

func request(name string, entries ...agent.Entry) agent.Request {
	return agent.Request{Model: name, Instructions: "Be brief.", Tools: agent.Tools(), MaxOutputTokens: 9000, Reasoning: true, Effort: agent.Medium,
		Entries: append([]agent.Entry{{Kind: agent.User, ID: "u1", Text: "hello"}}, entries...)}
}

func TestMessagesStreamThinkingTextAndParallelCalls(t *testing.T) {
	s := agenttest.Serve(t, reply("tool_use", join(thinking("Hm.", "SIG"), text("Look", "ing."),
		use("2", "toolu_a", "shell", `{"comm`, `and":"ls"}`), use("3", "toolu_b", "list_files"))...))
	got, w, err := call(t, s, request("claude-haiku-4-5"))
	if err != nil || len(got.Entries) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got.Entries; e[0].Text != "Hm." || e[1].Text != "Looking." || e[2].Call.Arguments != `{"command":"ls"}` || e[3].Call.Arguments != "{}" || e[3].Stop != agent.StopEnd {
		t.Errorf("entries %+v", e)
	}
	if want := (agent.Usage{InputTokens: 100, CachedTokens: 30, CacheWriteTokens: 60, OutputTokens: 25}); got.Usage != want {
		t.Errorf("usage %+v", got.Usage)
	}
	if len(w.deltas) != 3 || w.deltas[1].Item != got.Entries[1].ID {
		t.Errorf("pieces %+v", w.deltas)
	}
	req := s.Requests()[0]
	thought, _ := req.Body["thinking"].(map[string]any)
	if req.Path != "/v1/messages" || req.Body["max_tokens"] != 9000.0 || thought["budget_tokens"] != 4500.0 || req.Header.Get("X-Api-Key") != "sk-ant-secret" {
		t.Errorf("request %s %s", req.Path, req.Raw)
	}
	if schema := req.Body["tools"].([]any)[0].(map[string]any)["input_schema"].(map[string]any); schema["additionalProperties"] != false || schema["type"] != "object" {
		t.Errorf("schema %v", schema)
	}
}

func TestNewerModelsAreGuidedByEffort(t *testing.T) {
	s := agenttest.Serve(t, reply("end_turn", text("ok")...))
	if _, _, err := call(t, s, request("claude-opus-4-6")); err != nil {
		t.Fatal(err)
	}
	body := s.Requests()[0].Body
	if body["thinking"].(map[string]any)["type"] != "adaptive" || body["output_config"].(map[string]any)["effort"] != "medium" {
		t.Errorf("request %s", s.Requests()[0].Raw)
	}
}

func TestTranscriptBecomesAlternatingMessages(t *testing.T) {
	s := agenttest.Serve(t, reply("tool_use", join(thinking("Hm.", "SIG"), use("2", "toolu_a", "shell", "{bro"), use("3", "toolu_b", "shell", "{}"))...), reply("end_turn", text("ok")...))
	first, _, err := call(t, s, request("claude-haiku-4-5"))
	if err != nil {
		t.Fatal(err)
	}
	results := []agent.Entry{
		{Kind: agent.ToolResult, Result: &agent.Result{Call: "toolu_a", Status: agent.Invalid, Text: "error: no"}},
		{Kind: agent.ToolResult, Result: &agent.Result{Call: "toolu_b", Status: agent.Done, Text: " "}},
	}
	if _, _, err := call(t, s, request("claude-haiku-4-5", append(first.Entries, results...)...)); err != nil {
		t.Fatal(err)
	}
	var shape []string
	for _, m := range s.Requests()[1].Body["messages"].([]any) {
		message := m.(map[string]any)
		shape = append(shape, message["role"].(string))
		for _, c := range message["content"].([]any) {
			shape = append(shape, c.(map[string]any)["type"].(string))
		}
	}
	if got := strings.Join(shape, " "); got != "user text assistant thinking tool_use tool_use user tool_result tool_result" {
		t.Errorf("the transcript went out as %s", got)
	}
	if raw := s.Requests()[1].Raw; !strings.Contains(raw, `"signature":"SIG"`) || !strings.Contains(raw, `"is_error":true`) || !strings.Contains(raw, `{"malformed":"{bro"}`) {
		t.Errorf("request %s", raw)
	}
}

func TestWorkBegunWithoutThinkingGoesOnWithout(t *testing.T) {
	s := agenttest.Serve(t, reply("end_turn", text("ok")...))
	_, _, err := call(t, s, request("claude-haiku-4-5",
		agent.Entry{Kind: agent.ToolCall, Call: &agent.Call{ID: "a", Name: "shell", Arguments: "{}"}, Stop: agent.StopEnd},
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "a", Status: agent.Done, Text: "ok"}}))
	if err != nil || s.Requests()[0].Body["thinking"] != nil {
		t.Errorf("%v, request %s", err, s.Requests()[0].Raw)
	}
}

func TestEndings(t *testing.T) {
	for stop, want := range map[string]agent.StopReason{
		"end_turn": agent.StopEnd, "max_tokens": agent.StopLength, "refusal": agent.StopRefused, "model_context_window_exceeded": agent.StopLength,
	} {
		got, _, err := call(t, agenttest.Serve(t, reply(stop)), request("claude-haiku-4-5"))
		if err != nil || len(got.Entries) != 1 || got.Entries[0].Stop != want {
			t.Errorf("%s: %+v, %v", stop, got, err)
		}
	}
	open := join(use("0", "toolu_a", "write_file", `{"path":"x","content":"half`))
	got, _, err := call(t, agenttest.Serve(t, reply("max_tokens", open[:len(open)-1]...)), request("claude-haiku-4-5"))
	if err != nil || !got.Entries[0].Call.Cut {
		t.Errorf("a call cut in the middle: %+v, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	whole := reply("end_turn", text("Hi.")...)
	half := agenttest.Events(append([]string{start}, text("H")[:2]...)...)
	body := func(kind, message string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"}}`
	}
	for name, tt := range map[string]struct {
		turn    agenttest.Turn
		want    agent.ErrorKind
		retried bool
	}{
		"overloaded":             {agenttest.Turn{Status: 529, Body: body("overloaded_error", "Overloaded")}, agent.Overloaded, true},
		"overloaded in a stream": {agenttest.Turn{Body: half + agenttest.Events(body("overloaded_error", "Overloaded"))}, agent.Overloaded, true},
		"rate limit":             {agenttest.Turn{Status: 429, Header: map[string]string{"Retry-After": "3"}, Body: body("rate_limit_error", "slow")}, agent.RateLimited, true},
		"cut":                    {agenttest.Turn{Body: half, Cut: true}, agent.Cut, true},
		"ends without an end":    {agenttest.Turn{Body: half}, agent.Cut, true},
		"falls silent":           {agenttest.Turn{Body: half, Hang: true}, agent.Timeout, true},
		"too long":               {agenttest.Turn{Status: 400, Body: body("invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum")}, agent.ContextTooLong, false},
		"wrong key":              {agenttest.Turn{Status: 401, Body: body("authentication_error", "invalid x-api-key")}, agent.Auth, false},
		"no money":               {agenttest.Turn{Status: 400, Body: body("invalid_request_error", "Your credit balance is too low; see Plans & Billing")}, agent.Quota, false},
	} {
		t.Run(name, func(t *testing.T) {
			turns := []agenttest.Turn{tt.turn}
			if tt.retried {
				turns = append(turns, whole)
			}
			got, w, err := call(t, agenttest.Serve(t, turns...), request("claude-haiku-4-5"))
			if len(w.failed) != 1 || w.failed[0].Err.Kind != tt.want {
				t.Fatalf("attempts %+v, %v", w.failed, err)
			}
			var e *agent.Error
			switch {
			case tt.retried && (err != nil || got.Entries[0].Text != "Hi."):
				t.Errorf("%+v, %v", got, err)
			case !tt.retried && (!errors.As(err, &e) || e.Kind != tt.want || strings.Contains(e.Message, "secret")):
				t.Errorf("%v", err)
			}
		})
	}
}

func TestResultsShowPictures(t *testing.T) {
	s := agenttest.Serve(t, reply("end_turn", text("ok")...))
	p := agenttest.Picture("a.png", 3, 2)
	if _, _, err := call(t, s, request("claude-haiku-4-5", agenttest.Look(p)...)); err != nil {
		t.Fatal(err)
	}
	want := `"content":[{"text":"a picture","type":"text"},{"source":{"data":"` + p.Base64() + `","media_type":"image/png","type":"base64"},"type":"image"}]`
	if raw := s.Requests()[0].Raw; !strings.Contains(raw, want) {
		t.Errorf("no %s in %s", want, raw)
	}
}
