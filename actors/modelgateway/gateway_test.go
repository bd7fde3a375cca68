package modelgateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/actors/ledger"
	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestMain(m *testing.M) {
	// A server waits half a second before it closes a connection that it broke off.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const vendorKey = "sk-the-vendors-own-key"

// wallet is a purse that notes what was held and paid.
type wallet struct {
	mu      sync.Mutex
	empty   bool
	held    []int64 // input and output of each call
	settled []agent.Usage
	paid    chan struct{} // one for each settlement
}

func newWallet() *wallet { return &wallet{paid: make(chan struct{}, 100)} }

func (w *wallet) Hold(_ context.Context, input, maxOutput int64) (Held, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.empty {
		return nil, fault.New(fault.Payment, "Insufficient budget to execute")
	}
	w.held = append(w.held, input, maxOutput)
	return w, nil
}

func (w *wallet) Settle(u agent.Usage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = append(w.settled, u)
	w.paid <- struct{}{}
	return nil
}

// last is what the last call paid.
func (w *wallet) last(t *testing.T) agent.Usage {
	t.Helper()
	select {
	case <-w.paid:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was settled")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settled[len(w.settled)-1]
}

// rig is a pass in front of a scripted vendor.
type rig struct {
	*Pass
	vendor *agenttest.Server
	wallet *wallet
	client *http.Client
}

var protocolBase = map[catalog.Protocol]string{catalog.OpenAI: "/v1", catalog.OpenAIChat: "/v1", catalog.Anthropic: "", catalog.Google: ""}

func upstreamOf(t testing.TB, p catalog.Protocol, url string) catalog.Upstream {
	t.Helper()
	c, err := catalog.New(catalog.Config{
		Vendors: []catalog.Vendor{{Name: "lab", Protocol: p, BaseURL: url + protocolBase[p], KeyVariable: "LAB_KEY"}},
		Models: []catalog.Model{{Name: "model", Vendor: "lab", VendorName: "vendors-model", Price: ledger.ModelPrice{Input: 1, Output: 1},
			WindowTokens: 100_000, MaxOutputTokens: 1000}},
	}, func(name string) string { return map[string]string{"LAB_KEY": vendorKey}[name] })
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.Upstream("model")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func open(t testing.TB, p catalog.Protocol, turns ...agenttest.Turn) *rig {
	t.Helper()
	r := &rig{vendor: agenttest.Serve(t, turns...), wallet: newWallet(), client: agenttest.Client(t)}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := New(tokens.New())
	t.Cleanup(g.Close)
	r.Pass = g.Open(l, Run{Upstream: upstreamOf(t, p, r.vendor.URL), Purse: r.wallet, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(func() { r.Close() })
	return r
}

// post asks with the run's token and returns the status, the content's kind
// and the whole body.
func (r *rig) post(t testing.TB, path, body string) (int, string, string) {
	t.Helper()
	return r.postAs(t, r.Token(), path, body)
}

func (r *rig) postAs(t testing.TB, token, path, body string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Logf("the reply broke off: %v", err)
	}
	if strings.Contains(string(text), vendorKey) {
		t.Errorf("the vendor's key is in the reply: %s", text)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(text)
}

const (
	chatReply = `{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hi."},"finish_reason":null}]}`
	chatEnd   = `{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":9,"total_tokens":59,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":4}}}`

	claudeStart = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":10,"cache_read_input_tokens":30,"cache_creation_input_tokens":60,"cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":20},"output_tokens":1}}}`
	claudeText  = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi, I know the word \"usage\"."}}`
	claudeEnd   = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":25}}`
)

func TestEachWireFormatIsPassedOnAndPaid(t *testing.T) {
	for name, tt := range map[string]struct {
		protocol   catalog.Protocol
		path, body string
		turn       agenttest.Turn
		want       agent.Usage
		sent       map[string]any
	}{
		"responses": {
			catalog.OpenAI, "/v1/responses", `{"model":"model","stream":true,"input":"hi","service_tier":"priority","tools":[{"type":"function","name":"f"}]}`,
			agenttest.Responses(agenttest.Thought("Hm.", "ENC"), agenttest.Message("Hi.")),
			agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5},
			map[string]any{"model": "vendors-model", "max_output_tokens": 1000.0, "store": false, "stream": true, "service_tier": nil},
		},
		"chat at openai": {
			catalog.OpenAI, "/v1/chat/completions", `{"model":"vendors-model","stream":true,"messages":[{"role":"user","content":"hi"}],"max_completion_tokens":99999}`,
			agenttest.Turn{Body: agenttest.Events(chatReply, chatEnd) + "data: [DONE]\n\n"},
			agent.Usage{InputTokens: 50, CachedTokens: 10, OutputTokens: 9, ReasoningTokens: 4},
			map[string]any{"max_completion_tokens": 1000.0, "max_tokens": nil, "stream_options": map[string]any{"include_usage": true}},
		},
		"chat at others": {
			catalog.OpenAIChat, "/v1/chat/completions", `{"model":"model","messages":[]}`,
			agenttest.Turn{Header: map[string]string{"Content-Type": "application/json"}, Body: "{\n  \"choices\": [],\n  \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}\n}\n"},
			agent.Usage{InputTokens: 7, OutputTokens: 3},
			map[string]any{"max_completion_tokens": 1000.0, "max_tokens": 1000.0},
		},
		"messages": {
			catalog.Anthropic, "/v1/messages", `{"model":"model","stream":true,"max_tokens":5000,"thinking":{"type":"enabled","budget_tokens":4000},"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`,
			agenttest.Turn{Body: agenttest.Events(claudeStart, claudeText, claudeEnd, `{"type":"message_stop"}`)},
			agent.Usage{InputTokens: 100, CachedTokens: 30, CacheWriteTokens: 60, CacheWriteHourTokens: 20, OutputTokens: 25},
			map[string]any{"model": "vendors-model", "max_tokens": 1000.0, "thinking": map[string]any{"type": "enabled", "budget_tokens": 999.0}},
		},
		"google's stream": {
			catalog.Google, "/v1beta/models/model:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hi"}]}],"serviceTier":"priority","generationConfig":{"temperature":1,"maxOutputTokens":5000},"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"properties":{"fileUri":{}}}}]}]}`,
			agenttest.Google(agenttest.GoogleThought("Hm."), agenttest.GoogleText("Hi, \"usage\"."), agenttest.GoogleCall("f", "{}")),
			agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5},
			map[string]any{"generationConfig": map[string]any{"maxOutputTokens": 1000.0, "temperature": 1.0}, "serviceTier": nil, "model": nil},
		},
		"google's reply": {
			catalog.Google, "/v1beta/models/vendors-model:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`,
			agenttest.Turn{Header: map[string]string{"Content-Type": "application/json"}, Body: "{\n  \"candidates\": [{\"finishReason\": \"STOP\"}],\n  \"usageMetadata\": {\"promptTokenCount\": 7, \"candidatesTokenCount\": 3, \"thoughtsTokenCount\": 2}\n}\n"},
			agent.Usage{InputTokens: 7, OutputTokens: 5, ReasoningTokens: 2},
			map[string]any{"generationConfig": map[string]any{"maxOutputTokens": 1000.0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, tt.protocol, tt.turn)
			status, _, body := r.post(t, tt.path, tt.body)
			if status != http.StatusOK || body != tt.turn.Body {
				t.Fatalf("%d: %s", status, body)
			}
			if paid := r.wallet.last(t); paid != tt.want {
				t.Errorf("paid for %+v, want %+v", paid, tt.want)
			}
			if r.wallet.held[0] <= 0 || r.wallet.held[1] != 1000 {
				t.Errorf("held %v", r.wallet.held)
			}
			got := r.vendor.Requests()[0]
			for name, want := range tt.sent {
				if have, _ := json.Marshal(got.Body[name]); !bytes.Equal(have, mustJSON(t, want)) {
					t.Errorf("%s went out as %s", name, have)
				}
			}
			if key := got.Header.Get("Authorization") + got.Header.Get("X-Api-Key") + got.Header.Get("X-Goog-Api-Key"); !strings.HasSuffix(key, vendorKey) || strings.Contains(key, "bothy-") {
				t.Errorf("the vendor was shown %q", key)
			}
			want := protocolBase[tt.protocol] + strings.TrimPrefix(tt.path, protocolBase[tt.protocol])
			want, _, _ = strings.Cut(strings.Replace(want, "models/model:", "models/vendors-model:", 1), "?")
			if got.Path != want {
				t.Errorf("path %s, want %s", got.Path, want)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAReplyThatIsCutIsPaidAsFarAsItCame(t *testing.T) {
	cut := agenttest.Turn{Body: agenttest.Events(chatReply, chatReply, chatReply), Cut: true}
	r := open(t, catalog.OpenAI, cut)
	_, _, body := r.post(t, "/v1/chat/completions", `{"model":"model","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	paid := r.wallet.last(t)
	if paid.InputTokens != r.wallet.held[0] || paid.OutputTokens < 3 {
		t.Errorf("paid for %+v after %q, held %v", paid, body, r.wallet.held)
	}
	r = open(t, catalog.Anthropic, agenttest.Turn{Body: agenttest.Events(claudeStart, claudeText), Cut: true})
	r.post(t, "/v1/messages", `{"model":"model","stream":true,"max_tokens":10,"messages":[]}`)
	if paid := r.wallet.last(t); paid.InputTokens != 100 || paid.OutputTokens < 1 {
		t.Errorf("the input that was told counts: %+v", paid)
	}
	whole := agenttest.Google(agenttest.GoogleText("Hi."), agenttest.GoogleText("you")).Body
	r = open(t, catalog.Google, agenttest.Turn{Body: whole[:strings.LastIndex(whole, "data:")], Cut: true})
	r.post(t, "/v1beta/models/model:streamGenerateContent?alt=sse", `{"contents":[]}`)
	if paid := r.wallet.last(t); paid.InputTokens != 100 || paid.OutputTokens < 2 {
		t.Errorf("what was told on the way counts: %+v", paid)
	}
}

func TestTheEndOfARunEndsItsCalls(t *testing.T) {
	r := open(t, catalog.OpenAI, agenttest.Turn{Body: agenttest.Events(chatReply), Hang: true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/v1/chat/completions", strings.NewReader(`{"model":"model","stream":true,"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", r.Token())
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := r.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if paid := r.wallet.last(t); paid.InputTokens == 0 {
		t.Errorf("nothing was paid for a call that had begun")
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half a reply ended as a whole one does")
	}
	if _, err := r.client.Post(r.URL()+"/v1/responses", "application/json", strings.NewReader("{}")); err == nil {
		t.Error("the gateway still answers after the run")
	}
}
