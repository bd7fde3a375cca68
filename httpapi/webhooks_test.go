package httpapi_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

type webhook struct {
	ID, URL         string
	Events          []string
	HasSecret       bool
	IsActive        bool
	LastTriggeredAt *time.Time
	FailureCount    int
}

// mailbox is a server that webhooks lead to.
type mailbox struct {
	*httptest.Server
	letters chan letter
	status  atomic.Int64 // of its replies
}

type letter struct {
	http.Header
	body []byte
}

func openMailbox(t *testing.T) *mailbox {
	m := &mailbox{letters: make(chan letter, 64)}
	m.status.Store(http.StatusOK)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.letters <- letter{r.Header, body}
		w.WriteHeader(int(m.status.Load()))
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mailbox) next(t *testing.T) (l letter, said struct{ Event, TaskID, PromptID, ThreadID, RunID string }) {
	t.Helper()
	select {
	case l = <-m.letters:
	case <-time.After(patience):
		t.Fatal("no letter came")
	}
	if err := json.Unmarshal(l.body, &said); err != nil {
		t.Fatal(err)
	}
	return l, said
}

func TestWebhooksAreToldOfTasks(t *testing.T) {
	h := doortest.Open(t, doortest.Reach())
	c := as(t, h, h.Key)
	m := openMailbox(t)
	var hook, got webhook
	c.do("POST", "/v1/webhooks", map[string]any{"url": m.URL, "events": []string{"task.created", "task.running", "task.completed", "task.failed", "task.canceled"}, "secret": "hush", "description": "ours"}).is(201).into(&hook)
	if !hook.HasSecret || !hook.IsActive || hook.LastTriggeredAt != nil || len(hook.Events) != 5 {
		t.Fatalf("%+v", hook)
	}
	c.do("POST", "/v1/webhooks", map[string]any{"url": m.URL, "events": []string{"task.failed"}}).is(201).into(&got)
	if got.ID != hook.ID {
		t.Fatalf("the same address again is another webhook: %+v", got)
	}
	runs := openMailbox(t)
	var ofRuns webhook
	c.do("POST", "/v1/webhooks", map[string]any{"url": runs.URL, "events": []string{"run.started", "run.completed"}}).is(201).into(&ofRuns)
	var key struct{ PublicKey string }
	c.do("GET", "/v1/webhooks/public_key", nil).is(200).into(&key)
	block, _ := pem.Decode([]byte(key.PublicKey))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"hello"}`).is(201).into(&made)
	for _, want := range []string{"task.created", "task.running", "task.completed"} {
		l, said := m.next(t)
		if said.Event != want || said.TaskID != made.ID || l.Get("X-Webhook-Secret") != "hush" || (said.PromptID == "") != (want == "task.created") {
			t.Fatalf("%s: %s %v", want, l.body, l.Header)
		}
		signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(l.Get("Webhook-Signature"), "v1a,"))
		signed := l.Get("Webhook-Id") + "." + l.Get("Webhook-Timestamp") + "." + string(l.body)
		if err != nil || !ed25519.Verify(public.(ed25519.PublicKey), []byte(signed), signature) {
			t.Fatalf("%s is signed %q: %v", signed, l.Get("Webhook-Signature"), err)
		}
	}
	for _, want := range []string{"run.started", "run.completed"} {
		if l, said := runs.next(t); said.Event != want || said.TaskID != "" || said.ThreadID != made.ID || said.RunID == "" {
			t.Fatalf("%s: %s", want, l.body)
		}
	}
	c.do("GET", "/v1/webhooks/"+hook.ID, nil).is(200).into(&got)
	c.do("DELETE", "/v1/webhooks/"+hook.ID, nil).is(200)
	c.do("DELETE", "/v1/webhooks/"+ofRuns.ID, nil).is(200)
	c.do("GET", "/v1/webhooks/"+hook.ID, nil).fails(404, "not_found", "")
	var list struct{ Webhooks, Data []webhook }
	if c.do("GET", "/v1/webhooks", nil).is(200).into(&list); len(list.Webhooks)+len(list.Data) != 0 {
		t.Fatalf("%+v", list)
	}
}

// What does not arrive is sent again under the same id, also by the next node
// that leads.
func TestADeliveryIsTriedAgain(t *testing.T) {
	h := doortest.Open(t, doortest.Reach())
	c := as(t, h, h.Key)
	m := openMailbox(t)
	m.status.Store(http.StatusBadGateway)
	var hook webhook
	c.do("POST", "/v1/webhooks", map[string]any{"url": m.URL, "events": []string{"task.created"}}).is(201).into(&hook)
	c.do("POST", "/v1/tasks", `{"prompt":"hello"}`).is(201)
	first, _ := m.next(t)
	m.status.Store(http.StatusNoContent)
	again, said := m.next(t) // after the first wait, which is 5 s
	if said.Event != "task.created" || again.Get("Webhook-Id") != first.Get("Webhook-Id") {
		t.Fatalf("%s after %s", again.Header, first.Header)
	}
	for deadline := time.Now().Add(patience); hook.LastTriggeredAt == nil || hook.FailureCount != 0; time.Sleep(5 * time.Millisecond) {
		if c.do("GET", "/v1/webhooks/"+hook.ID, nil).is(200).into(&hook); time.Now().After(deadline) {
			t.Fatalf("%+v", hook)
		}
	}
}

func TestWebhooksRefuse(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	for i := range state.MaxWebhooks {
		c.do("POST", "/v1/webhooks", map[string]any{"url": "https://example.org/" + string(rune('a'+i)), "events": []string{"task.failed"}}).is(201)
	}
	tests := map[string]struct{ body, code, text string }{
		"one too many":  {`{"url":"https://example.org/z","events":["task.failed"]}`, "limit_exceeded", "3"},
		"no address":    {`{"events":["task.failed"]}`, "validation_error", "url"},
		"no TLS":        {`{"url":"http://example.org/","events":["task.failed"]}`, "validation_error", "https"},
		"a user in it":  {`{"url":"https://me:it@example.org/","events":["task.failed"]}`, "validation_error", "url"},
		"no events":     {`{"url":"https://example.org/","events":[]}`, "validation_error", "events"},
		"an odd event":  {`{"url":"https://example.org/","events":["task.odd"]}`, "validation_error", "task.odd"},
		"an odd secret": {`{"url":"https://example.org/","events":["task.failed"],"secret":"a\nb"}`, "validation_error", "secret"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { as(t, h, h.Key).do("POST", "/v1/webhooks", tt.body).fails(400, tt.code, tt.text) })
	}
	_, rival := h.NewAccount("rival", 10_000_000)
	var list struct{ Data []webhook }
	c.do("GET", "/v1/webhooks", nil).is(200).into(&list)
	as(t, h, rival).do("GET", "/v1/webhooks/"+list.Data[0].ID, nil).fails(404, "not_found", "")
	as(t, h, rival).do("DELETE", "/v1/webhooks/"+list.Data[0].ID, nil).fails(404, "not_found", "")
}
