package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// told is what the node answers about a computer, a snapshot or an operation,
// as far as these tests look at it.
type told struct {
	Computer struct {
		ID, State, Handle, Size string
		Failure                 string `json:"failure_reason"`
	}
	Snapshot  struct{ ID, State string }
	Operation *struct {
		ID, Status string
		Error      string `json:"error_message"`
	}
	Stdout  string
	Content string // of a file
}

// try makes one request of the Agent Computer dialect; with a key in once it may
// be sent again. An error is no answer.
func (p *process) try(method, path, body, once string) (status int, reply []byte, err error) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+"/v1"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.key())
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if once != "" {
		req.Header.Set("Idempotency-Key", once)
	}
	req.Close = true // the node may be another process by the next one
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	reply, err = io.ReadAll(res.Body)
	return res.StatusCode, reply, err
}

// api makes a request that is to be answered with a status, and reads the reply.
func (p *process) api(method, path string, body any, want int, into any) {
	p.t.Helper()
	text := ""
	if body != nil {
		text = jsonText(p.t, body)
	}
	status, reply, err := p.try(method, path, text, "")
	if err != nil || status != want {
		p.t.Fatalf("%s %s: %d, want %d: %s %v", method, path, status, want, reply, err)
	}
	if into != nil {
		if err := json.Unmarshal(reply, into); err != nil {
			p.t.Fatalf("%s %s: %v in %s", method, path, err, reply)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
