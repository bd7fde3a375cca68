package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// How long the vendor's client waits for a reply's headers.
const (
	sdkPatience    = 60 * time.Second
	sdkRunPatience = 600 * time.Second
)

// sdk is a client of Computer Agents as its contract describes the vendor's
// own, and as strict: bare paths, no request sent again, no redirect followed,
// JSON or 204 and nothing else, and of a stream only whole lines that begin
// with "data: ". Each request goes to the next node.
type sdk struct {
	t     *testing.T
	nodes []*process
	key   string
	turn  int
	home  string   // the default environment, once run has looked for it
	asked []string // "METHOD /path", in order
}

// sdkError is what the client throws.
type sdkError struct {
	status        int
	message, code string
	details       any
}

func (e *sdkError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message) }

// fetch sends a request once and returns what came, headers first.
func (s *sdk) fetch(method, path string, body any, accept string, patience time.Duration) *http.Response {
	s.t.Helper()
	s.turn++
	s.asked = append(s.asked, method+" "+path)
	var content io.Reader
	if body != nil {
		content = strings.NewReader(jsonText(s.t, body))
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.nodes[s.turn%len(s.nodes)].url+path, content)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + s.key, "Accept": accept, "Accept-Language": "*", "Sec-Fetch-Mode": "cors", "User-Agent": "node"} {
		req.Header.Set(name, value)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	once := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it is redirected") }}
	late := time.AfterFunc(patience, cancel)
	res, err := once.Do(req)
	if !late.Stop() || err != nil {
		s.t.Fatalf("%s %s: %v, within %s to the headers", method, path, err, patience)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// fails reads a refusal; nil is none.
func (s *sdk) fails(res *http.Response) error {
	s.t.Helper()
	if res.StatusCode < 300 {
		return nil
	}
	e := &sdkError{status: res.StatusCode, message: fmt.Sprintf("HTTP %d", res.StatusCode)}
	reply := object{}
	if err := json.NewDecoder(res.Body).Decode(&reply); err == nil {
		for _, key := range []string{"error", "message"} {
			if text := reply.text(key); text != "" {
				e.message = text
			}
		}
		e.code, e.details = reply.text("code"), reply["details"]
	}
	return e
}

// try makes a request whose reply is JSON, or none with 204.
func (s *sdk) try(method, path string, body any) (object, error) {
	s.t.Helper()
	res := s.fetch(method, path, body, "*/*", sdkPatience)
	defer res.Body.Close()
	if err := s.fails(res); err != nil || res.StatusCode == http.StatusNoContent {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var reply object
	if err := json.Unmarshal(text, &reply); err != nil {
		s.t.Fatalf("%s %s: %d and no JSON: %q: %v", method, path, res.StatusCode, text, err)
	}
	return reply, nil
}

// call is try for what must succeed.
func (s *sdk) call(method, path string, body any) object {
	s.t.Helper()
	reply, err := s.try(method, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply
}

// sdkRun is what run is told.
type sdkRun struct {
	environment, thread, agent, model string
	onEvent                           func(object)
}

// sdkResult is all that run returns.
type sdkResult struct {
	content, thread string
	run             object
	events          []object
	failure         string // of stream.error, which throws nothing
}

// run is client.run(task, options), request by request.
func (s *sdk) run(task string, o sdkRun) sdkResult {
	s.t.Helper()
	if o.environment == "" {
		if s.home == "" {
			s.home = s.findHome()
		}
		o.environment = s.home
	}
	if o.thread == "" {
		body := object{"environmentId": o.environment}
		if o.agent != "" {
			body["agentId"] = o.agent
		}
		o.thread = s.call("POST", "/threads", body).in(s.t, "thread").text("id")
	}
	body := object{"content": task}
	if o.model != "" {
		body["agentConfig"] = object{"model": o.model}
	}
	result, err := s.send(o.thread, body, o.onEvent)
	if err != nil {
		s.t.Fatalf("run: %v", err)
	}
	return result
}

// findHome takes the first default environment of the list, or makes one.
func (s *sdk) findHome() string {
	s.t.Helper()
	for _, e := range s.call("GET", "/environments", nil).list(s.t, "data") {
		if e["isDefault"] == true {
			return e.text("id")
		}
	}
	made := s.call("POST", "/environments", object{"name": "default", "internetAccess": true, "isDefault": true})
	return made.in(s.t, "environment").text("id")
}

// send posts a message and reads its stream to the end of the connection.
func (s *sdk) send(thread string, body object, onEvent func(object)) (r sdkResult, err error) {
	s.t.Helper()
	res := s.fetch("POST", "/threads/"+thread+"/messages", body, "text/event-stream", sdkRunPatience)
	defer res.Body.Close()
	r.thread = thread
	if err := s.fails(res); err != nil {
		return r, err
	}
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				s.t.Errorf("the last line is lost, for it has no end: %s", line)
			}
			return r, nil
		}
		if err != nil {
			s.t.Fatalf("the stream broke off after %d events: %v", len(r.events), err)
		}
		data, ok := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("data: "))
		if !ok {
			if bytes.HasPrefix(line, []byte("data:")) {
				s.t.Errorf("the client does not see %s", line)
			}
			continue
		}
		var e object
		if err := json.Unmarshal(data, &e); err != nil {
			s.t.Errorf("the client warns of %s: %v", data, err)
			continue
		}
		r.take(s.t, e)
		if onEvent != nil {
			onEvent(e)
		}
	}
}

// take reads the few fields that the client does.
func (r *sdkResult) take(t *testing.T, e object) {
	t.Helper()
	r.events = append(r.events, e)
	switch e.text("type") {
	case "response.completed":
		r.content = e.in(t, "response").text("content")
	case "stream.completed":
		r.run = e.in(t, "run")
	case "stream.error":
		if r.failure = e.text("message"); r.failure == "" {
			r.failure = e.text("error")
		}
	}
}

// isSuccess checks what run returned.
func (r sdkResult) isSuccess(t *testing.T, content string) {
	t.Helper()
	if r.failure != "" || r.content != content || r.run.text("status") != "success" {
		t.Fatalf("run returned %q, %v; it failed with %q", r.content, r.run, r.failure)
	}
	r.run.has(t, "id:s status:s tokens:o")
	r.run.in(t, "tokens").has(t, "input:i output:i")
}
