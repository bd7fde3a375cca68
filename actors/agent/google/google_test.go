package google_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/google"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		Model:    google.New(google.Options{BaseURL: s.URL, APIKey: "AIza-secret", Client: agenttest.Client(t)}),
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

func TestContentsStreamThinkingTextAndParallelCalls(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Google(agenttest.GoogleThought("Hm."), agenttest.GoogleText("Look"), agenttest.GoogleText("ing."),
		agenttest.GoogleCall("shell", `{"command":"ls"}`), `{"functionCall":{"name":"list_files"}}`))
	got, w, err := call(t, s, request("gemini-2.5-pro"))
	if err != nil || len(got.Entries) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got.Entries; e[0].Kind != agent.Reasoning || e[0].Text != "Hm." || e[1].Text != "Looking." || e[2].Call.Arguments != `{"command":"ls"}` ||
		string(e[2].State) != "SIG" || e[3].Call.Arguments != "{}" || e[3].State != nil || e[3].Stop != agent.StopEnd || e[2].Call.ID == e[3].Call.ID {
		t.Errorf("entries %+v", e)
	}
	if want := (agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5}); got.Usage != want {
		t.Errorf("usage %+v", got.Usage)
	}
	if len(w.deltas) != 3 || w.deltas[1].Item != got.Entries[1].ID {
		t.Errorf("pieces %+v", w.deltas)
	}
	req := s.Requests()[0]
	conf := req.Body["generationConfig"].(map[string]any)
	thought := conf["thinkingConfig"].(map[string]any)
	if req.Path != "/v1beta/models/gemini-2.5-pro:streamGenerateContent" || conf["maxOutputTokens"] != 9000.0 || thought["thinkingBudget"] != 4500.0 ||
		req.Header.Get("X-Goog-Api-Key") != "AIza-secret" || !strings.Contains(req.Raw, `"systemInstruction":{"parts":[{"text":"Be brief."}]}`) {
		t.Errorf("request %s %s", req.Path, req.Raw)
	}
}

func TestNewerModelsAreGuidedByALevel(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Google(agenttest.GoogleText("ok")))
	req := request("gemini-3-flash-preview")
	req.Effort = agent.High
	if _, _, err := call(t, s, req); err != nil {
		t.Fatal(err)
	}
	if raw := s.Requests()[0].Raw; !strings.Contains(raw, `"thinkingLevel":"high"`) || strings.Contains(raw, "thinkingBudget") {
		t.Errorf("request %s", raw)
	}
}

func TestTranscriptBecomesAlternatingContents(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Google(agenttest.GoogleThought("Hm."), agenttest.GoogleCall("shell", `{"command":"a"}`), `{"functionCall":{"name":"grep","args":{}}}`),
		agenttest.Google(agenttest.GoogleText("ok")))
	first, _, err := call(t, s, request("gemini-2.5-pro"))
	if err != nil {
		t.Fatal(err)
	}
	entries := append(first.Entries,
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: first.Entries[1].Call.ID, Status: agent.Failed, Text: "no"}},
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: first.Entries[2].Call.ID, Status: agent.Done, Text: "found"}},
		agent.Entry{Kind: agent.ToolCall, Vendor: "openai", State: []byte("theirs"), Call: &agent.Call{ID: "x", Name: "shell", Arguments: "{bro"}},
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "x", Status: agent.Invalid, Text: "bad"}})
	if _, _, err := call(t, s, request("gemini-2.5-pro", entries...)); err != nil {
		t.Fatal(err)
	}
	raw := s.Requests()[1].Raw
	for _, want := range []string{
		`{"role":"model","parts":[{"thoughtSignature":"U0lH","functionCall":{"name":"shell","args":{"command":"a"}}},{"functionCall":{"name":"grep","args":{}}}]}`,
		`{"role":"user","parts":[{"functionResponse":{"name":"shell","response":{"error":"no"}}},{"functionResponse":{"name":"grep","response":{"output":"found"}}}]}`,
		`"args":{"malformed":"{bro"}`,
	} {
		if !strings.Contains(raw, want) {
			t.Errorf("%s is not in\n%s", want, raw)
		}
	}
	if strings.Contains(raw, "dGhlaXJz") || strings.Contains(raw, "Hm.") {
		t.Errorf("what only others understand was sent: %s", raw)
	}
}

func TestEndings(t *testing.T) {
	for reason, want := range map[string]agent.StopReason{
		"STOP": agent.StopEnd, "MAX_TOKENS": agent.StopLength, "SAFETY": agent.StopRefused, "PROHIBITED_CONTENT": agent.StopRefused,
	} {
		got, _, err := call(t, agenttest.Serve(t, agenttest.GoogleEnding(reason)), request("gemini-2.5-pro"))
		if err != nil || len(got.Entries) != 1 || got.Entries[0].Stop != want {
			t.Errorf("%s: %+v, %v", reason, got, err)
		}
	}
	blocked := agenttest.Turn{Body: "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":9}}\n\n"}
	got, _, err := call(t, agenttest.Serve(t, blocked), request("gemini-2.5-pro"))
	if err != nil || got.Stop != agent.StopRefused || got.Usage.InputTokens != 9 {
		t.Errorf("a blocked prompt: %+v, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	whole := agenttest.Google(agenttest.GoogleText("Hi."))
	half := `data: {"candidates":[{"content":{"parts":[{"text":"H"}]}}]}` + "\n\n"
	body := func(status, message string) string {
		return `{"error":{"code":400,"message":"` + message + `","status":"` + status + `"}}`
	}
	for name, tt := range map[string]struct {
		turn    agenttest.Turn
		want    agent.ErrorKind
		retried bool
	}{
		"overloaded":             {agenttest.Turn{Status: 503, Body: body("UNAVAILABLE", "The model is overloaded.")}, agent.Overloaded, true},
		"overloaded in a stream": {agenttest.Turn{Body: half + `data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}` + "\n\n"}, agent.Overloaded, true},
		"rate limit":             {agenttest.Turn{Status: 429, Body: body("RESOURCE_EXHAUSTED", "Resource exhausted, try later.")}, agent.RateLimited, true},
		"rate limit by quota":    {agenttest.Turn{Status: 429, Body: `{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.5s"}]}}`}, agent.RateLimited, true},
		"cut":                    {agenttest.Turn{Body: half, Cut: true}, agent.Cut, true},
		"ends without an end":    {agenttest.Turn{Body: half}, agent.Cut, true},
		"a broken call":          {agenttest.GoogleEnding("MALFORMED_FUNCTION_CALL"), agent.Cut, true},
		"falls silent":           {agenttest.Turn{Body: half, Hang: true}, agent.Timeout, true},
		"too long":               {agenttest.Turn{Status: 400, Body: body("INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).")}, agent.ContextTooLong, false},
		"wrong key":              {agenttest.Turn{Status: 400, Body: body("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")}, agent.Auth, false},
		"no money":               {agenttest.Turn{Status: 429, Body: body("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.")}, agent.Quota, false},
	} {
		t.Run(name, func(t *testing.T) {
			turns := []agenttest.Turn{tt.turn}
			if tt.retried {
				turns = append(turns, whole)
			}
			got, w, err := call(t, agenttest.Serve(t, turns...), request("gemini-2.5-pro"))
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

// TestResultsShowPictures within the result where the model takes them there, and
// beside it where it does not.
func TestResultsShowPictures(t *testing.T) {
	p := agenttest.Picture("a.png", 3, 2)
	inline := `{"inlineData":{"mimeType":"image/png","data":"` + p.Base64() + `"}}`
	for name, want := range map[string]string{
		"gemini-2.5-flash":       `"response":{"output":"a picture"}}},` + inline + `]`,
		"gemini-3-flash-preview": `"response":{"output":"a picture"},"parts":[` + inline + `]}}]`,
	} {
		s := agenttest.Serve(t, agenttest.Google(agenttest.GoogleText("ok")))
		if _, _, err := call(t, s, request(name, agenttest.Look(p)...)); err != nil {
			t.Fatal(err)
		}
		if raw := s.Requests()[0].Raw; !strings.Contains(raw, want) {
			t.Errorf("%s: no %s in %s", name, want, raw)
		}
	}
}
