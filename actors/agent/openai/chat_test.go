package openai_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/openai"
)

// chunks is a stream of Chat Completions: each choice, a usage, the end mark.
func chunks(choices ...string) agenttest.Turn {
	var list []string
	for _, choice := range choices {
		list = append(list, fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%s]}`, choice))
	}
	list = append(list, `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":9,"total_tokens":59,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":4}}}`)
	return agenttest.Turn{Body: agenttest.Events(list...) + "data: [DONE]\n\n"}
}

func TestChatStreamsTextReasoningAndParallelCalls(t *testing.T) {
	s := agenttest.Serve(t, chunks(
		`{"index":0,"delta":{"role":"assistant","reasoning_content":"Let me "},"finish_reason":null}`,
		`{"index":0,"delta":{"reasoning_content":"see."},"finish_reason":null}`,
		`{"index":0,"delta":{"content":"Look"},"finish_reason":null}`,
		`{"index":0,"delta":{"content":"ing."},"finish_reason":null}`,
		`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"shell","arguments":""}}]},"finish_reason":null}`,
		`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"command\":"}}]},"finish_reason":null}`,
		`{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"read_file","arguments":"{\"path\":\"x\"}"}}]},"finish_reason":null}`,
		`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"ls\"}"}}]},"finish_reason":null}`,
		`{"index":0,"delta":{},"finish_reason":"tool_calls"}`))
	reply, w, err := call(t.Context(), model(t, s, openai.ChatCompletions), request())
	if err != nil || len(reply.Entries) != 4 {
		t.Fatalf("%+v, %v", reply, err)
	}
	if reply.Entries[0].Text != "Let me see." || reply.Entries[1].Text != "Looking." || len(w.deltas) != 4 {
		t.Errorf("entries %+v, %d pieces", reply.Entries[:2], len(w.deltas))
	}
	if a, b := reply.Entries[2].Call, reply.Entries[3].Call; a.Arguments != `{"command":"ls"}` || b.Name != "read_file" || b.ID != "b" {
		t.Errorf("calls %+v, %+v", a, b)
	}
	if want := (agent.Usage{InputTokens: 50, CachedTokens: 10, OutputTokens: 9, ReasoningTokens: 4}); reply.Usage != want {
		t.Errorf("usage %+v", reply.Usage)
	}
	body := s.Requests()[0].Body
	if s.Requests()[0].Path != "/v1/chat/completions" || body["max_completion_tokens"] != 777.0 || body["max_tokens"] != 777.0 || body["reasoning_effort"] != "low" {
		t.Errorf("request %v", body)
	}
}

func TestChatServersThatNumberEveryCallZero(t *testing.T) {
	s := agenttest.Serve(t, chunks(
		`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_0","function":{"name":"shell","arguments":"{}"}},{"index":0,"id":"call_1","function":{"name":"grep","arguments":"{}"}}]},"finish_reason":"tool_calls"}`))
	before := agent.Entry{Kind: agent.ToolCall, ID: "e", Stop: agent.StopEnd, Call: &agent.Call{ID: "call_0", Name: "shell", Arguments: "{}"}}
	result := agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "call_0", Status: agent.Done, Text: "ok"}}
	reply, _, err := call(t.Context(), model(t, s, openai.ChatCompletions), request(before, result))
	if err != nil || len(reply.Entries) != 2 {
		t.Fatalf("%+v, %v", reply, err)
	}
	if a, b := reply.Entries[0].Call.ID, reply.Entries[1].Call.ID; a == "call_0" || a != reply.Entries[0].ID || b != "call_1" {
		t.Errorf("an id used before must be replaced, a new one kept: %s, %s", a, b)
	}
}

func TestChatRepliesBecomeOneMessageEach(t *testing.T) {
	s := agenttest.Serve(t, chunks(`{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}`))
	call1 := &agent.Call{ID: "a", Name: "shell", Arguments: "{}"}
	call2 := &agent.Call{ID: "b", Name: "shell", Arguments: "not json"}
	_, _, err := call(t.Context(), model(t, s, openai.ChatCompletions), request(
		agent.Entry{Kind: agent.Reasoning, Text: "hm"}, agent.Entry{Kind: agent.Text, Text: "Two at once."},
		agent.Entry{Kind: agent.ToolCall, Call: call1}, agent.Entry{Kind: agent.ToolCall, Call: call2, Stop: agent.StopEnd},
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "a", Text: "1"}},
		agent.Entry{Kind: agent.ToolResult, Result: &agent.Result{Call: "b", Text: "2"}}))
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, message := range s.Requests()[0].Body["messages"].([]any) {
		roles = append(roles, message.(map[string]any)["role"].(string))
	}
	if got := strings.Join(roles, " "); got != "system user assistant tool tool" {
		t.Errorf("roles are %s: %s", got, s.Requests()[0].Raw)
	}
	if !strings.Contains(s.Requests()[0].Raw, `{\"malformed\":\"not json\"}`) {
		t.Errorf("malformed arguments went out as they are: %s", s.Requests()[0].Raw)
	}
}

func TestChatEndings(t *testing.T) {
	whole := chunks(`{"index":0,"delta":{"content":"Hi."},"finish_reason":"stop"}`)
	whole.Cut, whole.Body = true, whole.Body[:strings.Index(whole.Body, `"usage"`)]
	for name, tt := range map[string]struct {
		turns []agenttest.Turn
		stop  agent.StopReason
	}{
		"the bound on output":      {[]agenttest.Turn{chunks(`{"index":0,"delta":{"content":"Hi."},"finish_reason":"length"}`)}, agent.StopLength},
		"a content filter":         {[]agenttest.Turn{chunks(`{"index":0,"delta":{"content":"Hi."},"finish_reason":"content_filter"}`)}, agent.StopRefused},
		"a cut after the end":      {[]agenttest.Turn{whole}, agent.StopEnd},
		"a cut before, then whole": {[]agenttest.Turn{{Body: agenttest.Events(`{"choices":[{"index":0,"delta":{"content":"H"}}]}`), Cut: true}, chunks(`{"index":0,"delta":{"content":"Hi."},"finish_reason":"stop"}`)}, agent.StopEnd},
	} {
		t.Run(name, func(t *testing.T) {
			reply, _, err := call(t.Context(), model(t, agenttest.Serve(t, tt.turns...), openai.ChatCompletions), request())
			if err != nil || reply.Entries[0].Text != "Hi." || reply.Entries[0].Stop != tt.stop {
				t.Errorf("%+v, %v", reply, err)
			}
		})
	}
}

// TestChatShowsPicturesAfterAllResults has two calls in a reply: their results may
// not be parted.
func TestChatShowsPicturesAfterAllResults(t *testing.T) {
	s := agenttest.Serve(t, agenttest.Turn{Body: agenttest.Events(`{"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}`)})
	p := agenttest.Picture("a.png", 3, 2)
	look := agenttest.Look(p)
	other := agent.Entry{Kind: agent.ToolCall, ID: "d", Step: 1, Call: &agent.Call{ID: "call_b", Name: "shell", Arguments: "{}"}, Stop: agent.StopEnd}
	look[0].Stop = ""
	result := agent.Entry{Kind: agent.ToolResult, ID: "s", Step: 1, Result: &agent.Result{Call: "call_b", Status: agent.Done, Text: "done"}}
	req := request(look[0], other, look[1], result, agent.Entry{Kind: agent.Text, ID: "t", Step: 2, Text: "I see.", Stop: agent.StopEnd})
	if _, _, err := call(t.Context(), model(t, s, openai.ChatCompletions), req); err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, m := range s.Requests()[0].Body["messages"].([]any) {
		roles = append(roles, m.(map[string]any)["role"].(string))
	}
	if got := strings.Join(roles, " "); got != "system user assistant tool tool user assistant" {
		t.Errorf("roles are %s", got)
	}
	want := `{"image_url":{"url":"data:image/png;base64,` + p.Base64() + `"},"type":"image_url"}`
	if raw := s.Requests()[0].Raw; !strings.Contains(raw, want) {
		t.Errorf("no %s in %s", want, raw)
	}
}
