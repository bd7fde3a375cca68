package main

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/trace/tracetest"
)

// followed has a run and some commands asked for at different nodes, and finds
// them in one trace each and in the logs of the nodes that they crossed.
func followed(t *testing.T, fleet *process, firstPort int, to *tracetest.Collector) {
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
		return errors.Join(to.Chain(run, "POST /threads", "command", "run", "step", "model call"), to.Chain(run, "run", "step", "tool"), to.Chain(run, "run", "command"))
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
		eventually(t, "the command's trace", 30*time.Second, func() error { return to.Chain(trace, path...) })
		lines := 0
		for _, line := range strings.Split(fleet.out.String(), "\n") {
			if strings.Contains(line, "request=asked-"+trace[:4]) && strings.Contains(line, "trace="+trace) {
				lines++
			}
		}
		if at := to.Nodes(trace); len(at) != nodes || lines < nodes {
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
