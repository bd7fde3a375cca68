// Package tracetest collects spans as an OTLP collector does, for tests of what
// makes them.
package tracetest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is a part of a trace as its collector got it.
type span struct{ trace, id, parent, name, node string }

// Collector takes traces by OTLP over HTTP.
type Collector struct {
	URL string // for a tracer's endpoint

	mu    sync.Mutex
	spans []span
}

// Listen starts a collector, until the test ends.
func Listen(t testing.TB) *Collector {
	c := &Collector{}
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
	c.URL = server.URL
	return c
}

func (c *Collector) take(got *collected.ExportTraceServiceRequest) {
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
				c.spans = append(c.spans, span{hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId), s.Name, node})
			}
		}
	}
}

// Chain reports whether a trace has spans of these names, each below the one
// before it, as an error when it has not.
func (c *Collector) Chain(trace string, names ...string) error {
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

// Nodes are the names of those that a trace crossed.
func (c *Collector) Nodes(trace string) map[string]bool {
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
