package openai_test

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
	"github.com/bothy-computer/bothy/actors/agent/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func model(t *testing.T, s *agenttest.Server, api openai.API) *openai.Model {
	return openai.New(openai.Options{BaseURL: s.URL + "/v1", APIKey: "sk-secret", API: api, Client: agenttest.Client(t)})
}

// watcher keeps what a call showed.
type watcher struct {
	deltas []agent.Delta
	failed []agent.Attempt
	waits  []time.Duration
}

func (w *watcher) Delta(d agent.Delta)          { w.deltas = append(w.deltas, d) }
func (w *watcher) Failed(a agent.Attempt) error { w.failed = append(w.failed, a); return nil }

func call(ctx context.Context, m agent.Model, req agent.Request) (agent.Reply, *watcher, error) {
	w := &watcher{}
	c := agent.Caller{
		Model: m, Attempts: 3, Timeout: 20 * time.Second, Idle: 300 * time.Millisecond, Now: time.Now, Jitter: func() float64 { return 0 },
		Sleep: func(ctx context.Context, d time.Duration) error { w.waits = append(w.waits, d); return ctx.Err() },
	}
	reply, err := c.Call(ctx, req, 1, "item_x", w)
	return reply, w, err
}

func request(entries ...agent.Entry) agent.Request {
	return agent.Request{Model: "gpt-5.1", Instructions: "Be brief.", Tools: agent.Tools(), MaxOutputTokens: 777, Reasoning: true, Effort: agent.Low,
		Entries: append([]agent.Entry{{Kind: agent.User, ID: "u1", Text: "hello"}}, entries...)}
}

func kind(t *testing.T, err error) agent.ErrorKind {
	t.Helper()
	var e *agent.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *agent.Error", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the key: %v", err)
	}
	return e.Kind
}

func TestResponsesStreamsItemsCallsAndUsage(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Responses(
		agenttest.Thought("Let me look.", "ENC"), agenttest.Message("I will look around."),
		agenttest.FunctionCall("call_a", "shell", `{"command":"ls"}`), agenttest.FunctionCall("call_b", "read_file", `{"path":"x"}`)))
	reply, w, err := call(t.Context(), model(t, s, openai.Responses), request())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range reply.Entries {
		kinds = append(kinds, string(e.Kind))
	}
	if got := strings.Join(kinds, " "); got != "reasoning text tool_call tool_call" {
		t.Fatalf("entries are %s", got)
	}
	if a, b := reply.Entries[2].Call, reply.Entries[3].Call; a.ID != "call_a" || a.Arguments != `{"command":"ls"}` || b.Name != "read_file" {
		t.Errorf("calls are %+v and %+v", a, b)
	}
	if want := (agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5}); reply.Usage != want || reply.Entries[3].Stop != agent.StopEnd {
		t.Errorf("usage %+v, stop %q", reply.Usage, reply.Entries[3].Stop)
	}
	streamed := map[string]string{}
	for _, d := range w.deltas {
		streamed[d.Item] += d.Text
	}
	for _, e := range reply.Entries[:2] {
		if streamed[e.ID] != e.Text {
			t.Errorf("item %s streamed %q and is %q", e.ID, streamed[e.ID], e.Text)
		}
	}
	body := s.Requests()[0].Body
	if s.Requests()[0].Path != "/v1/responses" || body["max_output_tokens"] != 777.0 || body["store"] != false || body["stream"] != true {
		t.Errorf("the request was %s %v", s.Requests()[0].Path, body)
	}
	if effort := body["reasoning"].(map[string]any)["effort"]; effort != "low" || s.Requests()[0].Header.Get("Authorization") != "Bearer sk-secret" {
		t.Errorf("effort %v", effort)
	}
}

func TestResponsesReplaysReasoningCallsAndResults(t *testing.T) {
	s := agenttest.Serve(t,
		agenttest.Responses(agenttest.Thought("Hm.", "ENC"), agenttest.FunctionCall("call_a", "shell", "{broken")),
		agenttest.Responses(agenttest.Message("Done.")))
	m := model(t, s, openai.Responses)
	first, _, err := call(t.Context(), m, request())
	if err != nil {
		t.Fatal(err)
	}
	result := agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "call_a", Status: agent.Invalid, Text: "error: no"}}
	if _, _, err := call(t.Context(), m, request(append(first.Entries, result)...)); err != nil {
		t.Fatal(err)
	}
	input := s.Requests()[1].Body["input"].([]any)
	var types []string
	for _, item := range input {
		kind, _ := item.(map[string]any)["type"].(string)
		types = append(types, kind)
	}
	if got := strings.Join(types, " "); got != " reasoning function_call function_call_output" {
		t.Fatalf("input is %q: %s", got, s.Requests()[1].Raw)
	}
	if thought := input[1].(map[string]any); thought["encrypted_content"] != "ENC" || thought["id"] != "rs_0" {
		t.Errorf("reasoning came back as %v", thought)
	}
	asked, given := input[2].(map[string]any), input[3].(map[string]any)
	if asked["call_id"] != "call_a" || given["call_id"] != "call_a" || given["output"] != "error: no" || !json.Valid([]byte(asked["arguments"].(string))) {
		t.Errorf("call %v, result %v", asked, given)
	}
}

func TestResponsesEndings(t *testing.T) {
	refusal := `{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"I will not."}]}`
	cut := `{"type":"function_call","id":"f","call_id":"c","name":"write_file","arguments":"{\"path\":\"a","status":"incomplete"}`
	for name, tt := range map[string]struct {
		turn agenttest.Turn
		stop agent.StopReason
		cut  bool
		text string
	}{
		"the bound on output": {agenttest.ResponsesIncomplete("max_output_tokens", cut), agent.StopLength, true, ""},
		"a content filter":    {agenttest.ResponsesIncomplete("content_filter", ""), agent.StopRefused, false, ""},
		"a refusal":           {agenttest.ResponsesIncomplete("content_filter", refusal), agent.StopRefused, false, "I will not."},
		"nothing at all":      {agenttest.Responses(), agent.StopEnd, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			reply, _, err := call(t.Context(), model(t, agenttest.Serve(t, tt.turn), openai.Responses), request())
			if err != nil {
				t.Fatal(err)
			}
			last := reply.Entries[len(reply.Entries)-1]
			if last.Stop != tt.stop || last.Text != tt.text || (last.Call != nil && last.Call.Cut) != tt.cut {
				t.Errorf("got %+v", last)
			}
		})
	}
}

func TestFailuresEndInOneClearKind(t *testing.T) {
	body := func(kind, code, message string) string {
		b, _ := json.Marshal(map[string]any{"error": map[string]string{"type": kind, "code": code, "message": message}})
		return string(b)
	}
	for name, tt := range map[string]struct {
		turn agenttest.Turn
		want agent.ErrorKind
	}{
		"a wrong key":          {agenttest.Turn{Status: 401, Body: body("invalid_request_error", "invalid_api_key", "Incorrect API key: sk-secret")}, agent.Auth},
		"no money":             {agenttest.Turn{Status: 429, Body: body("insufficient_quota", "insufficient_quota", "You exceeded your quota")}, agent.Quota},
		"too long":             {agenttest.Turn{Status: 400, Body: body("invalid_request_error", "context_length_exceeded", "Too long")}, agent.ContextTooLong},
		"an unknown model":     {agenttest.Turn{Status: 404, Body: body("invalid_request_error", "model_not_found", "No such model")}, agent.BadRequest},
		"a page, not JSON":     {agenttest.Turn{Status: 403, Body: "<html>no</html>"}, agent.Auth},
		"an error event":       {agenttest.Turn{Body: agenttest.Events(`{"type":"error","code":"context_length_exceeded","message":"Too long","param":null}`)}, agent.ContextTooLong},
		"a failed response":    {agenttest.Turn{Body: agenttest.Events(`{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"invalid_prompt","message":"no"}}}`)}, agent.Refused},
		"a nested error event": {agenttest.Turn{Body: agenttest.Events(`{"type":"error","error":{"type":"invalid_request_error","message":"no"}}`)}, agent.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, w, err := call(t.Context(), model(t, agenttest.Serve(t, tt.turn), openai.Responses), request())
			if got := kind(t, err); got != tt.want || len(w.failed) != 1 || !w.failed[0].Last {
				t.Errorf("%s after %d attempts: %v", got, len(w.failed), err)
			}
		})
	}
}

func TestPassingFailuresAreRetried(t *testing.T) {
	good := agenttest.Responses(agenttest.Message("Hello again."))
	for name, tt := range map[string]struct {
		turn   agenttest.Turn
		want   agent.ErrorKind
		wait   time.Duration
		begun  bool
		pieces int
	}{
		"a limit with Retry-After":   {agenttest.Turn{Status: 429, Header: map[string]string{"Retry-After": "7"}, Body: `{"error":{"message":"slow down"}}`}, agent.RateLimited, 7 * time.Second, false, 0},
		"a limit in milliseconds":    {agenttest.Turn{Status: 429, Header: map[string]string{"Retry-After-Ms": "1500"}, Body: `{}`}, agent.RateLimited, 1500 * time.Millisecond, false, 0},
		"a failed vendor":            {agenttest.Turn{Status: 500, Body: "oops"}, agent.Overloaded, 250 * time.Millisecond, false, 0},
		"an overload in the stream":  {agenttest.Turn{Body: agenttest.Events(`{"type":"error","code":"server_error","message":"sorry"}`)}, agent.Overloaded, 250 * time.Millisecond, true, 0},
		"a cut in the middle":        {agenttest.ResponsesCutIn(agenttest.Message("Hello world.")), agent.Cut, 250 * time.Millisecond, true, 1},
		"an end without an end":      {agenttest.Turn{Body: agenttest.Events(`{"type":"response.created","response":{"id":"r"}}`)}, agent.Cut, 250 * time.Millisecond, true, 0},
		"a stream that falls silent": {agenttest.Turn{Body: agenttest.Events(`{"type":"response.created","response":{"id":"r"}}`), Hang: true}, agent.Timeout, 250 * time.Millisecond, true, 0},
		"a server that never speaks": {agenttest.Turn{Hang: true}, agent.Timeout, 250 * time.Millisecond, false, 0},
		"an event that is not JSON":  {agenttest.Turn{Body: "data: {nonsense\n\n"}, agent.Cut, 250 * time.Millisecond, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.Serve(t, tt.turn, good)
			reply, w, err := call(t.Context(), model(t, s, openai.Responses), request())
			if err != nil || reply.Entries[0].Text != "Hello again." {
				t.Fatalf("%+v, %v", reply, err)
			}
			if len(w.failed) != 1 || len(w.waits) != 1 {
				t.Fatalf("failed %+v, waited %v", w.failed, w.waits)
			}
			got := w.failed[0]
			if got.Err.Kind != tt.want || w.waits[0] != tt.wait || got.Begun != tt.begun || len(got.Items) != tt.pieces {
				t.Errorf("attempt %+v (%s), waited %s", got, got.Err.Kind, w.waits[0])
			}
			for _, item := range got.Items {
				if item == reply.Entries[0].ID {
					t.Errorf("the item %s of the failed attempt came back", item)
				}
			}
		})
	}
}

func TestRetriesEnd(t *testing.T) {
	busy := agenttest.Turn{Status: 503, Body: `{}`}
	_, w, err := call(t.Context(), model(t, agenttest.Serve(t, busy, busy, busy), openai.Responses), request())
	if kind(t, err) != agent.Overloaded || len(w.failed) != 3 || !w.failed[2].Last {
		t.Errorf("%v after %+v", err, w.failed)
	}
	long := agenttest.Turn{Status: 429, Header: map[string]string{"Retry-After": "3600"}, Body: `{}`}
	_, w, err = call(t.Context(), model(t, agenttest.Serve(t, long), openai.Responses), request())
	if kind(t, err) != agent.RateLimited || len(w.failed) != 1 || agent.AsError(err).RetryAfter != time.Hour {
		t.Errorf("%v after %+v", err, w.failed)
	}
}

func TestCancelledCallEndsAtOnce(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Turn{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, w, err := call(ctx, model(t, s, openai.Responses), request()); kind(t, err) != agent.Cancelled || len(w.failed) != 1 {
		t.Errorf("%v", err)
	}
}

func TestUnreachableVendorIsSaidSo(t *testing.T) {
	m := openai.New(openai.Options{BaseURL: "http://127.0.0.1:1/v1", Client: agenttest.Client(t)})
	if _, w, err := call(t.Context(), m, request()); kind(t, err) != agent.Unreachable || len(w.failed) != 3 {
		t.Errorf("%v", err)
	}
}

func TestResponsesShowPictures(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Responses(agenttest.Message("ok")))
	p := agenttest.Picture("a.png", 3, 2)
	if _, _, err := call(t.Context(), model(t, s, openai.Responses), request(agenttest.Look(p)...)); err != nil {
		t.Fatal(err)
	}
	want := `"output":[{"text":"a picture","type":"input_text"},{"image_url":"data:image/png;base64,` + p.Base64() + `","type":"input_image"}]`
	if raw := s.Requests()[0].Raw; !strings.Contains(raw, want) {
		t.Errorf("no %s in %s", want, raw)
	}
}
