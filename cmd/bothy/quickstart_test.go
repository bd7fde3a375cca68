package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

const helloMessage = "Here is a file:\n```python file=hello.py\nprint('hello from', 6*7)\n```\nRun it:\n" +
	"```bash\npython3 hello.py; id -u; hostname\n```\n"

// TestQuickStart is what a newcomer does first: one node, one request, an
// agent at work in a computer, and its files there afterwards.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	p := launch(t, "hut")[0]
	p.out.shows(t, "is up: node hut at "+p.url, 1)

	events := p.postThread(helloMessage)
	var types []string
	for _, e := range events {
		if len(types) == 0 || types[len(types)-1] != e.Type {
			types = append(types, e.Type)
		}
	}
	if begin := []string{wire.ThreadCreated, wire.ResponseCreated, wire.ResponseStarted}; !slices.Equal(types[:min(3, len(types))], begin) {
		t.Errorf("the stream begins with %v, want %v", types[:min(3, len(types))], begin)
	}
	if end := []string{wire.ItemCompleted, wire.ResponseDone, wire.StreamCompleted}; !slices.Equal(types[max(0, len(types)-3):], end) {
		t.Errorf("the stream ends with %v, want %v", types[max(0, len(types)-3):], end)
	}
	last := events[len(events)-1]
	if last.Run == nil || last.Run.Status != "success" {
		t.Fatalf("the run ended as %+v", last)
	}
	answer := *events[len(events)-2].Response.Content
	if !strings.Contains(answer, "hello from 42\n1000\n") {
		t.Errorf("the answer is %q", answer)
	}

	thread := wire.Thread{}
	out, _ := p.bothy("threads", "get", events[0].Thread.ID)
	if err := json.Unmarshal([]byte(out), &thread); err != nil || thread.Status != "completed" {
		t.Fatalf("thread %s: %v", out, err)
	}
	p.filesAndWalls(thread.ComputerID)
	if diff, code := p.bothy("threads", "diffs", thread.ID, "-o", "table"); code != 0 || !strings.Contains(diff, "--- /dev/null\n+++ b/hello.py\n@@ -0,0 +1,1 @@\n+print('hello from', 6*7)\n") {
		p.t.Errorf("the run's diff: exit %d, %q", code, diff)
	}
	p.stop()
}

// filesAndWalls looks round in the computer.
func (p *process) filesAndWalls(computer string) {
	p.t.Helper()
	if file, code := p.bothy("exec", computer, "--", "cat", "/workspace/hello.py"); code != 0 || file != "print('hello from', 6*7)\n" {
		p.t.Errorf("hello.py: exit %d, %q", code, file)
	}
	// The node's own files, processes and users are not to be seen.
	for _, look := range []string{"ls /root", "ls " + p.dir, "kill -0 " + nodePID(p), "cat /etc/shadow"} {
		if out, code := p.bothy("exec", computer, "--", "sh", "-c", look); code == 0 && strings.TrimSpace(out) != "" {
			p.t.Errorf("%s: exit %d, %q", look, code, out)
		}
	}
	if _, code := p.bothy("exec", computer, "--", "sh", "-c", "test ! -e "+p.dir+" && exit 7"); code != 7 {
		p.t.Errorf("the node's directory: exit %d, want 7", code)
	}
}

func nodePID(p *process) string { return strconv.Itoa(p.cmd.Process.Pid) }

// postThread makes a thread with a message and reads its stream to the end, as
// curl would.
func (p *process) postThread(message string) (events []wire.Event) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"messages": []wire.Said{{Role: "user", Content: message}}, "stream": true})
	if err != nil {
		p.t.Fatal(err)
	}
	resp := p.ask(http.MethodPost, "/v1/threads", string(body))
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(resp.Body)
		p.t.Fatalf("%s, %s: %s", resp.Status, resp.Header.Get("Content-Type"), text)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e wire.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				p.t.Fatalf("%s: %v", data, err)
			}
			events = append(events, e)
		}
	}
	if len(events) < 2 {
		p.t.Fatalf("%d events: %v", len(events), lines.Err())
	}
	return events
}

// ask makes one request with the admin key.
func (p *process) ask(method, path, body string) *http.Response {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.key())
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

// TestTenantsAndMetrics makes a second account with the command line, keeps it
// apart from the first, and has the metrics of all that checked.
func TestTenantsAndMetrics(t *testing.T) {
	t.Parallel()
	certificate, pair := writePair(t, t.TempDir(), 1, "hut.test")
	secured := "127.0.0.1:" + strconv.Itoa(freePorts(t, 1))
	p := launchWith(t, fmt.Sprintf("blob: {directory: %q}\ntls: {addr: %q, certificate: %q, key: %q}\n", scratchDir(t), secured, certificate, pair), "hut")[0]
	if _, err := shownAt(secured, "hut.test", nil); err == nil {
		t.Error("a certificate that nobody signed was taken")
	}
	first := p.postThread("```bash\necho mine\n```")[0].Thread.ID

	var account wire.Account
	out, code := p.bothy("accounts", "create", "acme", "--balance", "2.50")
	if err := json.Unmarshal([]byte(out), &account); err != nil || code != 0 || account.Budget.Balance != 2_500_000 {
		t.Fatalf("exit %d: %s: %v", code, out, err)
	}
	key, code := p.bothy("keys", "create", "ci", "--account", account.ID, "-o", "table")
	if code != 0 || !strings.HasPrefix(key, "tb_") {
		t.Fatalf("exit %d: %q", code, key)
	}
	resp := p.askAs(strings.TrimSpace(key), "/v1/threads/"+first)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another account's thread: %s, want 404", resp.Status)
	}

	metrics := p.ask(http.MethodGet, "/metrics?format=prometheus", "")
	defer metrics.Body.Close()
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = metrics.Body
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	audited(t, p, account.ID)
	allSeen(t, p, p.ops)
}

// audited finds what was just done in the audit log, by the command line.
func audited(t *testing.T, p *process, account string) {
	out, code := p.bothy("audit", "export", "--account", account, "--action", "key.")
	var made wire.AuditRecord
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != 0 {
		t.Fatalf("audit export: exit %d: %s: %v", code, out, err)
	}
	if made.Action != "key.create" || made.Actor.KeyID == nil || made.RequestID == nil || made.Actor.Node == nil || *made.Actor.Node != p.name {
		t.Errorf("%+v", made)
	}
	if out, code := p.bothy("audit", "ls", "--since", "1h", "--actor", *made.Actor.KeyID, "-o", "table"); code != 0 ||
		!strings.Contains(out, "account.create") || !strings.Contains(out, *made.RequestID) {
		t.Errorf("audit ls: exit %d:\n%s", code, out)
	}
}

// askAs makes one request with another key.
func (p *process) askAs(key, path string) *http.Response {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}
