package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// codexTime bounds a run of codex, whose first one installs it.
const codexTime = 8 * time.Minute

// vendorsKey is what no computer may ever see.
const vendorsKey = "sk-vendors-own-key-0123456789"

// breakIn is what somebody tries who is inside a computer while codex works:
// with the token of the run, which is codex's own, with wrong ones, and with a
// search for the vendor's key in all that can be read. It prints one line each.
const breakIn = `
import base64, glob, json, os, socket, subprocess, time, urllib.request, urllib.error
key = base64.b64decode("%KEY%")[::-1]
url = token = None
for env in glob.glob("/proc/[0-9]*/environ"):
    try: pairs = open(env, "rb").read().split(b"\0")
    except OSError: continue
    if key in b"".join(pairs): print("KEY IN", env)
    for p in pairs:
        if p.startswith(b"BOTHY_MODEL_TOKEN="):
            token = p.split(b"=", 1)[1].decode()
            args = open(env.replace("environ", "cmdline"), "rb").read().decode().split("\0")
            url = [a.split("=", 1)[1].strip(chr(34)) for a in args if a.startswith("model_providers.bothy.base_url=")] or [url]
            url = url[0]
def ask(name, body, with_token, path="/responses", at=None):
    r = urllib.request.Request((at or url) + path, data=body, headers={"Authorization": "Bearer " + with_token, "Content-Type": "application/json"})
    try: print(name, urllib.request.urlopen(r, timeout=30).status)
    except urllib.error.HTTPError as e: print(name, e.code, json.load(e)["error"].get("code"))
    except Exception as e: print(name, "refused" if "refused" in str(e).lower() else "broke")
hi = json.dumps({"model": "gpt-5.1-codex", "input": "hi"}).encode()
ask("no token", hi, "none")
ask("the vendor's format", hi, token, "/models")
ask("another model", json.dumps({"model": "gpt-5.2-pro", "input": "hi"}).encode(), token)
ask("another reply", json.dumps({"model": "gpt-5.1-codex", "input": "hi", "previous_response_id": "resp_1"}).encode(), token)
s = socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0])))
s.sendall(("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n" % (100 << 20, token)).encode() + b"x" * 1000)
print("100 MB", s.recv(1000).split(b" ")[1].decode())
if os.path.exists("/workspace/before"):
    old, at = open("/workspace/before").read().split()
    ask("a replayed token", hi, old)
    ask("an earlier run's address", hi, old, at=at)
    print("held open", open("/workspace/held").read())
else:
    open("/workspace/before", "w").write(token + " " + url)
    subprocess.Popen(["python3", "-c", """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"POST /v1/responses HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 10\\r\\nAuthorization: Bearer " + sys.argv[2].encode() + b"\\r\\n\\r\\n{")
try: end = s.recv(1)
except OSError: end = b""
open("/workspace/held", "w").write("ended" if not end else "answered")
""", url.split(":")[2].split("/")[0], token], start_new_session=True)
for mem in glob.glob("/proc/[0-9]*/mem"):
    try:
        maps, m = open(mem.replace("/mem", "/maps")).read().splitlines(), open(mem, "rb", 0)
    except OSError: continue
    if mem.split("/")[2] == str(os.getpid()): continue
    for line in maps:
        span, how = line.split()[:2]
        a, b = (int(x, 16) for x in span.split("-"))
        if "r" not in how or b - a > 256 << 20: continue
        try:
            m.seek(a)
            if key in m.read(b - a): print("KEY IN", mem, line)
        except (OSError, ValueError, OverflowError): pass
for root in ["/workspace", "/home", "/tmp", "/run", "/etc", "/opt", "/var"]:
    for at, _, names in os.walk(root):
        if "/programs/" in at: continue
        for n in names:
            try:
                p = os.path.join(at, n)
                if os.path.isfile(p) and os.path.getsize(p) < 64 << 20 and key in open(p, "rb").read(): print("KEY IN", p)
            except OSError: pass
print("searched")
`

// breakingIn is codex being told to run that.
func breakingIn(t *testing.T, id string) agenttest.Turn {
	t.Helper()
	mirrored := []byte(vendorsKey)
	for i, j := 0, len(mirrored)-1; i < j; i, j = i+1, j-1 {
		mirrored[i], mirrored[j] = mirrored[j], mirrored[i]
	}
	script := strings.ReplaceAll(breakIn, "%KEY%", base64.StdEncoding.EncodeToString(mirrored))
	arguments, err := json.Marshal(map[string]any{"cmd": "python3 - <<'BREAK'\n" + script + "\nBREAK\n", "yield_time_ms": 120_000, "max_output_tokens": 2000})
	if err != nil {
		t.Fatal(err)
	}
	return agenttest.Responses(agenttest.Thought("I look around.", "ENC"), agenttest.FunctionCall(id, "exec_command", string(arguments)))
}

// TestCodexWorksInAComputer has the real CLI work on two messages of a thread,
// in a computer without a way out, while somebody inside tries what the model
// gateway must not allow.
func TestCodexWorksInAComputer(t *testing.T) {
	vendor := agenttest.Serve(t,
		breakingIn(t, "call_1"), agenttest.Responses(agenttest.Message("I looked around.")),
		breakingIn(t, "call_2"), agenttest.Responses(agenttest.Message("And once more.")))
	t.Setenv("OPENAI_BASE_URL", vendor.URL+"/v1")
	t.Setenv("OPENAI_API_KEY", vendorsKey)
	p := newProcess(t, scratchDir(t), "hut")
	if err := os.WriteFile(p.args[2], []byte("computer: {memory: 1GiB, milliCPU: 2000, disk: 1GiB, warm: 0}\nvolumes: {size: 3GiB, grow: 1GiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start("")
	p.ready()
	var env wire.OneEnvironment
	p.api(http.MethodPost, "/environments", map[string]any{"name": "cut off", "internetAccess": false}, http.StatusCreated, &env)
	var agent wire.OneAgent
	p.api(http.MethodPost, "/agents", map[string]any{"name": "coder", "agentType": "computer", "model": "gpt-5.1-codex", "workspace": "/projects/x", "instructions": "Be brief."},
		http.StatusCreated, &agent)
	first := p.worksThrough("/threads", map[string]any{"environmentId": env.Environment.ID, "agentId": agent.Agent.ID,
		"messages": []map[string]string{{"role": "user", "content": "Look around."}}})
	first.check(t, "I looked around.", map[string]string{"no token": "401 invalid_api_key", "the vendor's format": "404 unknown_url",
		"another model": "404 model_not_found", "another reply": "400 None", "100 MB": "413"})
	again := p.worksThrough("/threads/"+first.thread+"/messages", map[string]any{"content": "And again."})
	again.check(t, "And once more.", map[string]string{"a replayed token": "401 invalid_api_key", "an earlier run's address": "refused", "held open": "ended"})
	if requests := vendor.Requests(); len(requests) != 4 {
		t.Fatalf("the vendor was asked %d times", len(requests))
	} else {
		whole := requests[3].Raw
		for _, part := range []string{"Look around.", "I looked around.", "And again.", "Be brief."} {
			if !strings.Contains(whole, part) {
				t.Errorf("the session does not go on: %q is not in the last request", part)
			}
		}
		if got := requests[0].Header.Get("Authorization"); got != "Bearer "+vendorsKey || requests[0].Body["max_output_tokens"] == nil {
			t.Errorf("the vendor was asked with %q and %v", got, requests[0].Body["max_output_tokens"])
		}
	}
	p.stop()
}

// worked is what a stream told of a run.
type worked struct {
	thread, answer, status, why string
	output                      string // of commands
	tokens                      wire.Tokens
	notices                     []string
}

// worksThrough sends a message and follows its run to the end.
func (p *process) worksThrough(path string, body any) (w worked) {
	p.t.Helper()
	begun := time.Now()
	res := p.ask(http.MethodPost, "/v1"+path, jsonText(p.t, body))
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			if time.Since(begun) > codexTime {
				p.t.Fatalf("the run takes longer than %s: %+v", codexTime, w)
			}
			continue
		}
		var e wire.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			p.t.Fatalf("%s: %v", data, err)
		}
		if e.Thread != nil {
			w.thread = e.Thread.ID
		}
		if e.Type == wire.ResponseNotice {
			w.notices = append(w.notices, e.Message)
		}
		if e.Type == wire.ItemCompleted && e.Item.Type == "tool_call" && e.Item.Tool != nil {
			w.output += e.Item.Tool.Output
		}
		if e.Type == wire.ItemCompleted && e.Item.Type == "text" {
			w.answer = e.Item.Content
		}
		if e.Run != nil {
			w.status, w.why = e.Run.Status, e.Message
			if e.Run.Tokens != nil {
				w.tokens = *e.Run.Tokens
			}
		}
	}
	if err := lines.Err(); err != nil {
		p.t.Fatal(err)
	}
	return w
}

// check compares what came of a run, and of what was tried in it.
func (w worked) check(t *testing.T, answer string, tried map[string]string) {
	t.Helper()
	if w.status != "success" || w.answer != answer || w.tokens.Input != 200 || w.tokens.Output != 40 {
		t.Fatalf("the run ended as %s (%s) with %q and %+v; notices %q; it printed\n%s", w.status, w.why, w.answer, w.tokens, w.notices, w.output)
	}
	for what, want := range tried {
		if !strings.Contains("\n"+w.output, "\n"+what+" "+want+"\n") {
			t.Errorf("%s is not %q in\n%s", what, want, w.output)
		}
	}
	if strings.Contains(w.output, "KEY IN") || !strings.Contains(w.output, "searched") {
		t.Errorf("the search for the vendor's key:\n%s", w.output)
	}
}
