package modelgateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
)

// sink takes a reply and keeps nothing.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}
func (s sink) Flush()                      {}

// SetWriteDeadline is what a connection can do.
func (s sink) SetWriteDeadline(time.Time) error { return nil }

// bare hides what a reader can do besides reading.
type bare struct{ io.Reader }

func TestALongStreamNeedsNoMoreMemoryThanAShortOne(t *testing.T) {
	allocations := func(events int) float64 {
		stream := []byte(strings.Repeat("data: "+chatReply+"\n\n", events))
		w := sink{http.Header{}}
		return testing.AllocsPerRun(20, func() {
			m := newMeter(chat, "text/event-stream")
			if err := relay(w, bare{bytes.NewReader(stream)}, m); err != nil {
				t.Error(err)
			}
		})
	}
	short, long := allocations(10), allocations(100_000) // 15 MB
	if long > short+20 {
		t.Errorf("a short stream makes %.0f allocations, a long one %.0f", short, long)
	}
}

func TestUsageIsFoundHoweverTheStreamIsTorn(t *testing.T) {
	huge := `data: {"type":"response.created","text":"` + strings.Repeat("x", maxFrameBytes) + `"}` + "\n"
	for name, tt := range map[string]struct {
		d    dialect
		body string
		want agent.Usage
		told bool
	}{
		"responses":  {responses, agenttest.Responses(agenttest.Message(`I say "usage": 5`)).Body, agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5}, true},
		"windows":    {chat, strings.ReplaceAll(agenttest.Events(chatReply, chatEnd), "\n", "\r\n"), agent.Usage{InputTokens: 50, CachedTokens: 10, OutputTokens: 9, ReasoningTokens: 4}, true},
		"no end":     {chat, "data: " + chatReply + "\n\ndata: " + chatEnd, agent.Usage{InputTokens: 50, CachedTokens: 10, OutputTokens: 9, ReasoningTokens: 4}, true},
		"a huge one": {chat, huge + "data: " + chatEnd + "\n", agent.Usage{InputTokens: 50, CachedTokens: 10, OutputTokens: 9, ReasoningTokens: 4}, true},
		"none":       {chat, "data: " + chatReply + "\n\n", agent.Usage{InputTokens: 7, OutputTokens: 1}, false},
		"google":     {generate, agenttest.Google(agenttest.GoogleText(`"usageMetadata":`)).Body, agent.Usage{InputTokens: 100, CachedTokens: 40, OutputTokens: 20, ReasoningTokens: 5}, true},
		"null":       {responses, `data: {"type":"response.failed","response":{"usage":null}}` + "\n", agent.Usage{InputTokens: 7, OutputTokens: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1, 7, 4096, len(tt.body)} {
				if piece == 1 && len(tt.body) > 1<<20 {
					continue
				}
				m := newMeter(tt.d, "text/event-stream; charset=utf-8")
				for body := []byte(tt.body); len(body) > 0; {
					n := min(piece, len(body))
					m.see(body[:n])
					body = body[n:]
				}
				if got := m.used(7); got != tt.want || m.told != tt.told {
					t.Errorf("in pieces of %d: %+v, told %v", piece, got, m.told)
				}
			}
		})
	}
}

func TestInputIsCountedHigh(t *testing.T) {
	g := New(tokens.New())
	defer g.Close()
	const window = 100_000
	count := func(d dialect, body string) int64 {
		n, p := g.count(d, []byte(body), window)
		if p != nil {
			t.Fatal(p.message)
		}
		return n
	}
	picture := strings.Repeat("iVBORw0KGgo", 50_000)
	for name, tt := range map[string]struct {
		d           dialect
		body        string
		least, most int64
	}{
		"words":             {responses, `{"input":"` + strings.Repeat("word ", 1000) + `"}`, 1000, 1300},
		"a picture":         {responses, `{"input":[{"type":"input_image","image_url":"data:image/png;base64,` + picture + `"}]}`, imageTokens, imageTokens + 300},
		"Claude's picture":  {messages, `{"messages":[{"source":{"type":"base64","media_type":"image/png","data":"` + picture + `"}}]}`, imageTokens, 2*imageTokens + 300},
		"a picture's link":  {chat, `{"messages":[{"image_url":{"url":"https://example.com/x.png"}}]}`, imageTokens, imageTokens + 300},
		"a document":        {messages, `{"messages":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aGk="}}]}`, window, window},
		"a file":            {responses, `{"input":[{"type":"input_file","file_data":"data:application/pdf;base64,aGk="}]}`, window, window},
		"a file's link":     {responses, `{"input":[{"type":"input_file","file_url":"https://example.com/x.pdf"}]}`, window, window},
		"Gemini's picture":  {generate, `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"` + picture + `"}}]}]}`, imageTokens, 2*imageTokens + 300},
		"Gemini's document": {generate, `{"contents":[{"parts":[{"inlineData":{"mimeType":"application/pdf","data":"aGk="}}]}]}`, window, window},
		"more than fits":    {responses, `{"input":"` + strings.Repeat("word ", 200_000) + `"}`, window, window},
		"encrypted thought": {responses, `{"input":[{"encrypted_content":"` + strings.Repeat("abc", 3000) + `"}]}`, 3000, 3300},
	} {
		if got := count(tt.d, tt.body); got < tt.least || got > tt.most {
			t.Errorf("%s: %d, want %d to %d", name, got, tt.least, tt.most)
		}
	}
}

func FuzzRequests(f *testing.F) {
	for _, body := range []string{
		`{"model":"model","input":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}],"max_output_tokens":5}`,
		`{"model":"model","thinking":{"budget_tokens":9},"max_tokens":3,"messages":[{"content":[{"source":{"data":"x"}}]}]}`,
		`{"model":"model","n":1,"stream":true}`, `{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":5}}`, `{}`, `[]`, `{"model":"model","input":{"":[[{"a":null}]]}}`,
	} {
		f.Add(body)
	}
	g := New(tokens.New())
	u := upstreamOf(f, catalog.OpenAI, "http://127.0.0.1:1")
	f.Fuzz(func(t *testing.T, body string) {
		for _, d := range []dialect{responses, chat, messages} {
			req, p := g.read(d, []byte(body), u)
			if p != nil {
				continue
			}
			if req.input < 1 || req.input > u.Model.WindowTokens || req.maxOutput < 1 || req.maxOutput > u.Model.MaxOutputTokens {
				t.Errorf("%s: %q is bounded by %d and %d", d.path, body, req.input, req.maxOutput)
			}
			if !bytes.Contains(req.body, []byte(`"vendors-model"`)) {
				t.Errorf("%s: %q goes out as %q", d.path, body, req.body)
			}
		}
		d, _ := dialectOf("/v1beta/models/model:generateContent")
		var sent struct {
			Config struct {
				Most int64 `json:"maxOutputTokens"`
			} `json:"generationConfig"`
		}
		if req, p := g.read(d, []byte(body), u); p == nil && (json.Unmarshal(req.body, &sent) != nil || sent.Config.Most != req.maxOutput || req.maxOutput < 1) {
			t.Errorf("%q goes out as %q", body, req.body)
		}
	})
}
