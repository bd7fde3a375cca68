// Package agenttest is a scripted model vendor: an HTTP server that speaks the
// wire formats of OpenAI, Anthropic and Google, streaming included, turn by turn.
// The real clients are tested against it.
package agenttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Turn is how the server answers one request.
type Turn struct {
	Status int // 0 is 200
	Header map[string]string
	Body   string // an event stream, unless Status is an error
	Cut    bool   // break the connection after Body
	Hang   bool   // send nothing after Body until the client leaves
}

// Request is what a client sent.
type Request struct {
	Path   string
	Header http.Header
	Body   map[string]any
	Raw    string
}

// Server answers requests in order with its turns. One more than there are
// turns fails the test.
type Server struct {
	URL string

	t        testing.TB
	choose   func(Request) Turn // instead of turns
	mu       sync.Mutex
	turns    []Turn
	requests []Request
}

// Serve starts a server for the test's life.
func Serve(t testing.TB, turns ...Turn) *Server {
	t.Helper()
	s := &Server{t: t, turns: turns}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// ServeFunc starts a server that looks at each request for its turn. It is for
// tests in which several runs ask at once, or one asks again.
func ServeFunc(t testing.TB, choose func(Request) Turn) *Server {
	t.Helper()
	s := Serve(t)
	s.choose = choose
	return s
}

// Add appends turns, for a test that learns late what they are.
func (s *Server) Add(turns ...Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, turns...)
}

// Client is an HTTP client that leaves no connection behind.
func Client(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Requests are those answered so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left; its own test says why
	}
	got := Request{Path: r.URL.Path, Header: r.Header, Raw: string(raw)}
	if err := json.Unmarshal(raw, &got.Body); err != nil {
		s.t.Errorf("a request is not JSON: %v", err)
	}
	s.mu.Lock()
	s.requests = append(s.requests, got)
	n := len(s.requests)
	turns := s.turns
	s.mu.Unlock()
	if s.choose != nil {
		answer(w, r, s.choose(got))
		return
	}
	if n > len(turns) {
		s.t.Errorf("request %d, only %d are scripted", n, len(turns))
		http.Error(w, `{"error":{"message":"no turn left","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	answer(w, r, turns[n-1])
}

func answer(w http.ResponseWriter, r *http.Request, turn Turn) {
	kind := "text/event-stream"
	if turn.Status >= 400 {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	for name, value := range turn.Header {
		w.Header().Set(name, value)
	}
	if turn.Status != 0 {
		w.WriteHeader(turn.Status)
	}
	// Small pieces, so that events are torn apart anywhere.
	for body := turn.Body; body != ""; {
		n := min(len(body), 37)
		if _, err := io.WriteString(w, body[:n]); err != nil {
			return
		}
		body = body[n:]
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if turn.Hang {
		select {
		case <-r.Context().Done():
		case <-time.After(30 * time.Second):
		}
	}
	if turn.Cut || turn.Hang {
		panic(http.ErrAbortHandler)
	}
}

// Events is an event stream of JSON objects; the event's name is the object's
// type, as both vendors have it.
func Events(objects ...string) string {
	var b strings.Builder
	for _, object := range objects {
		var named struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal([]byte(object), &named); err != nil {
			panic(fmt.Sprintf("agenttest: %s: %v", object, err))
		}
		if named.Type != "" {
			fmt.Fprintf(&b, "event: %s\n", named.Type)
		}
		fmt.Fprintf(&b, "data: %s\n\n", object)
	}
	return b.String()
}
