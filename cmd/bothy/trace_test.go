package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// tracedSpan is a part of a trace as its collector got it.
type tracedSpan struct{ trace, id, parent, name, node string }

// spanCollector takes traces, as an OTLP collector does.
type spanCollector struct {
	url string

	mu    sync.Mutex
	spans []tracedSpan
}

func newSpanCollector(t *testing.T) *spanCollector {
	c := &spanCollector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var got collected.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &got)); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		c.take(&got)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *spanCollector) take(got *collected.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range got.ResourceSpans {
		node := ""
		for _, a := range from.Resource.Attributes {
			if a.Key == "service.instance.id" {
				node = a.Value.GetStringValue()
			}
		}
		for _, scope := range from.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, tracedSpan{hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId), s.Name, node})
			}
		}
	}
}

// chain reports whether a trace has spans of these names, each below the one
// before it.
func (c *spanCollector) chain(trace string, names ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	above := map[string]bool{}
	for i, name := range names {
		here := map[string]bool{}
		for _, s := range c.spans {
			if s.trace == trace && s.name == name && (i == 0 || above[s.parent]) {
				here[s.id] = true
			}
		}
		if len(here) == 0 {
			return fmt.Errorf("no %q below %q in %+v", name, names[:i], c.spans)
		}
		above = here
	}
	return nil
}

// nodes are those that a trace crossed.
func (c *spanCollector) nodes(trace string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := map[string]bool{}
	for _, s := range c.spans {
		if s.trace == trace {
			nodes[s.node] = true
		}
	}
	return nodes
}

// followed has a run and some commands asked for at different nodes, and finds
// them in one trace each and in the logs of the nodes that they crossed.
func followed(t *testing.T, fleet *process, firstPort int, to *spanCollector) {
	ask := func(node int, trace, path, body string) (owner string) {
		t.Helper()
		url := "http://127.0.0.1:" + strconv.Itoa(firstPort+node) + path
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+fleet.key())
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Request-Id", "asked-"+trace[:4])
		req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode/100 != 2 || resp.Header.Get("X-Request-Id") != "asked-"+trace[:4] {
			t.Fatalf("%s: %s, %v: %s", path, resp.Status, err, text)
		}
		return resp.Header.Get("X-Bothy-Owner")
	}
	const run = "1111111111111111111111111111aaaa"
	ask(2, run, "/v1/threads", `{"stream":true,"messages":[{"role":"user","content":"`+"```bash\\necho traced\\n```"+`"}]}`)
	eventually(t, "the run's trace", 30*time.Second, func() error {
		return errors.Join(to.chain(run, "POST /threads", "command", "run", "step", "model call"), to.chain(run, "run", "step", "tool"), to.chain(run, "run", "command"))
	})

	out, code := fleet.bothy("computers", "ls", "-o", "json")
	id := between(out, `"id": "`, `"`)
	if code != 0 || id == "" {
		t.Fatalf("computers: exit %d: %s", code, out)
	}
	for node := range 3 {
		trace := strings.Repeat(strconv.Itoa(node+2), 28) + "bbbb"
		owner := ask(node, trace, "/v1/admin/computers/"+id+"/exec", `{"argv":["true"]}`)
		path := []string{"POST /admin/computers/:id/exec", "POST /computers/exec"}
		nodes := 2
		if owner == "n"+strconv.Itoa(node+1) {
			path, nodes = path[:1], 1
		}
		eventually(t, "the command's trace", 30*time.Second, func() error { return to.chain(trace, path...) })
		lines := 0
		for _, line := range strings.Split(fleet.out.String(), "\n") {
			if strings.Contains(line, "request=asked-"+trace[:4]) && strings.Contains(line, "trace="+trace) {
				lines++
			}
		}
		if at := to.nodes(trace); len(at) != nodes || lines < nodes {
			t.Errorf("asked at n%d, owned by %s: the trace is of %v, and %d lines of the log name it", node+1, owner, at, lines)
		}
	}
}

// between is the text after one mark and before the next.
func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, ok := strings.Cut(rest, to)
	if !ok {
		return ""
	}
	return found
}
