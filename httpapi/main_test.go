package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestMain(m *testing.M) {
	mcptest.Main()
	goleak.VerifyTestMain(m)
}

const patience = 20 * time.Second

// caller sends requests of one key and holds both directions to the OpenAPI
// document.
type caller struct {
	t      *testing.T
	house  *doortest.House
	client *http.Client
	key    string
}

func as(t *testing.T, h *doortest.House, key string) *caller {
	c := h.Client()
	c.Timeout = patience
	return &caller{t: t, house: h, client: c, key: key}
}

type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request; body is nil, a string as it is, or anything as JSON.
func (c *caller) do(method, path string, body any, headers ...string) *reply {
	c.t.Helper()
	resp := c.open(method, path, body, headers...)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	documented(c.t, resp, b)
	return &reply{t: c.t, status: resp.StatusCode, header: resp.Header, body: b}
}

func (c *caller) open(method, path string, body any, headers ...string) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.house.URL+path, reader(c.t, body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

func reader(t *testing.T, body any) io.Reader {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// is checks the status and returns the reply.
func (r *reply) is(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

func (r *reply) into(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%v in %s", err, r.body)
	}
}

// refused checks an error's status and that its message holds a text.
func (r *reply) refused(status int, text string) wire.Error {
	r.t.Helper()
	r.is(status)
	var e wire.Error
	r.into(&e)
	if e.Error == "" || !strings.Contains(e.Message, text) {
		r.t.Fatalf("refusal %s does not say %q", r.body, text)
	}
	return e
}

// line is one event of a stream with the id it came with.
type line struct {
	id string
	wire.Event
}

// stream reads events until the body ends or stop says so.
func stream(t *testing.T, body io.Reader, stop func(line) bool) []line {
	t.Helper()
	var lines []line
	id := ""
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		text := scanner.Text()
		if text == "" {
			id = "" // an id without data only says where the stream begins
		}
		if v, ok := strings.CutPrefix(text, "id: "); ok {
			id = v
		}
		v, ok := strings.CutPrefix(text, "data: ")
		if !ok {
			continue
		}
		l := line{id: id}
		id = ""
		if err := json.Unmarshal([]byte(v), &l.Event); err != nil {
			t.Fatalf("line %q: %v", v, err)
		}
		documentedAs(t, "Event", []byte(v))
		lines = append(lines, l)
		if stop != nil && stop(l) {
			return lines
		}
	}
	return lines
}

func types(lines []line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Type)
	}
	return out
}
