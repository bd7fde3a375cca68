package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// shell runs command lines against a server and keeps what they print.
type shell struct {
	t        *testing.T
	terminal terminal
	env      map[string]string
	out, err bytes.Buffer
}

func newShell(t *testing.T, urls ...string) *shell {
	s := &shell{t: t, env: map[string]string{urlVariable: strings.Join(urls, ","), keyVariable: "tb_test"}}
	s.terminal = terminal{in: strings.NewReader(""), out: &s.out, err: &s.err, getenv: func(name string) string { return s.env[name] }, tty: true}
	return s
}

// run runs one command line and returns its exit code.
func (s *shell) run(args ...string) int {
	s.t.Helper()
	s.out.Reset()
	s.err.Reset()
	s.terminal.format = ""
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	return execute(ctx, &s.terminal, args)
}

// api answers one request per route and remembers what it was asked.
type api struct {
	*httptest.Server
	routes map[string]http.HandlerFunc // by "METHOD /path"
	asked  []string                    // "METHOD /path?query body"
}

func newAPI(t *testing.T, routes map[string]http.HandlerFunc) *api {
	a := &api{routes: routes}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve := a.routes[r.Method+" "+r.URL.Path]
	if r.Header.Get("Authorization") != "Bearer tb_test" {
		refuse(w, http.StatusUnauthorized, wire.Error{Error: "Unauthorized", Message: "Invalid or missing API key"})
		return
	}
	if serve == nil {
		refuse(w, http.StatusNotFound, wire.Error{Error: "Not Found", Message: "No route " + r.Method + " " + r.URL.Path})
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/exec") { // an exec's body goes on while it is answered
		body, _ := io.ReadAll(r.Body)
		a.asked = append(a.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	}
	serve(w, r)
}

func refuse(w http.ResponseWriter, status int, e wire.Error) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

// reply answers with a value.
func reply(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
}

// verb is a command line, what it asks of the server, and what it shows of the reply.
type verb struct {
	args  string
	route string
	reply any
	asked string // "" is the route alone
	shows []string
}

func TestVerbsAskAndShow(t *testing.T) {
	title, node := "Make \x1b[31mred\x1b[0m", "n2"
	thread := wire.Thread{ID: "thread_1", Title: &title, Status: "completed", TotalTokens: 42, TotalCost: 1500}
	computer := wire.Computer{ID: "0199-c", Name: "hut", Phase: "running", Node: &node, MemoryBytes: 2 << 30, MilliCPU: 1500}
	account := wire.Account{ID: "account_1", Name: "acme", Budget: wire.Budget{Balance: 10_000_000}}
	budget := wire.Budget{AccountID: "account_1", Balance: 9_500_000}
	key := wire.NewKey{Key: wire.Key{ID: "key_1", AccountID: "account_1"}, Text: "ak_secret"}
	status := wire.ClusterStatus{Node: "n1", Leader: "n2", Ready: true, Nodes: []wire.NodeStatus{
		{Name: "n1", Voter: true, Leased: true, Alive: true}, {Name: "n2", Voter: true, Leader: true, Leased: true, LeaseLeftMS: 7400, Computers: 3, Alive: true},
	}}
	tests := map[string]verb{
		"threads":         {"threads ls --status completed --limit 5", "GET /v1/threads", wire.ListOf([]wire.Thread{thread}, false, 1), "GET /v1/threads?limit=5&status=completed", []string{"thread_1", "$0.0015", "Make  [31mred"}},
		"a thread":        {"threads get thread_1", "GET /v1/threads/thread_1", wire.OneThread{Thread: thread}, "", []string{"thread_1", "completed"}},
		"no thread":       {"threads rm thread_1", "DELETE /v1/threads/thread_1", wire.Done{Success: true}, "", []string{"removed thread thread_1"}},
		"cancel":          {"threads cancel thread_1", "POST /v1/threads/thread_1/cancel", wire.CancelledThread{Success: true}, "", []string{"cancelling"}},
		"agents":          {"agents ls", "GET /v1/agents", wire.ListOf([]wire.Agent{{ID: "agent_1", Name: "helper", Model: "script"}}, true, 9), "", []string{"agent_1", "script", "1 of 9"}},
		"tasks":           {"tasks ls", "GET /v1/tasks", wire.PageOf[wire.Task]{Data: []wire.Task{{ID: "0199-t", Title: "tidy", Status: "running"}}, Total: 3}, "", []string{"0199-t", "tidy", "1 of 3"}},
		"a task":          {"tasks create hello --computer 0199-c", "POST /v1/tasks", wire.CreatedTask{ID: "0199-t", WorkspaceID: "0199-c"}, `POST /v1/tasks {"prompt":"hello","workspaceId":"0199-c"}`, []string{"bothy tasks watch 0199-t"}},
		"a prompt":        {"tasks prompt 0199-t more", "POST /v1/tasks/0199-t/prompts", wire.CreatedPrompt{PromptID: "run_1"}, `POST /v1/tasks/0199-t/prompts {"prompt":"more"}`, []string{"run_1"}},
		"a shared task":   {"tasks share 0199-t", "PATCH /v1/tasks/0199-t/visibility", wire.TaskVisibility{Visibility: "public", ShareURL: "http://x/t"}, `PATCH /v1/tasks/0199-t/visibility {"visibility":"public"}`, []string{"http://x/t"}},
		"webhooks":        {"webhooks ls", "GET /v1/webhooks", wire.Webhooks{Data: []wire.Webhook{{ID: "hook_1", URL: "https://x/", Events: []string{"task.failed"}}}, Total: 1}, "", []string{"hook_1", "task.failed"}},
		"an environment":  {"envs get env_1", "GET /v1/environments/env_1", wire.OneEnvironment{Environment: wire.Environment{ID: "env_1", Name: "default", IsDefault: true}}, "", []string{"env_1", "yes"}},
		"no environment":  {"envs rm env_1 --hard", "DELETE /v1/environments/env_1", wire.Done{Success: true}, "DELETE /v1/environments/env_1?hard=true", []string{"removed environment env_1"}},
		"computers":       {"computers ls --account account_1", "GET /v1/admin/computers", wire.ListOf([]wire.Computer{computer}, false, 1), "GET /v1/admin/computers?account=account_1", []string{"0199-c", "n2", "running"}},
		"a computer":      {"computers get 0199-c", "GET /v1/admin/computers/0199-c", wire.OneComputer{Computer: computer}, "", []string{"2GiB", "1.5"}},
		"accounts":        {"accounts list", "GET /v1/admin/accounts", wire.ListOf([]wire.Account{account}, false, 1), "", []string{"acme", "$10"}},
		"a new account":   {"accounts create acme --balance 2.50", "POST /v1/admin/accounts", wire.OneAccount{Account: account}, `POST /v1/admin/accounts {"name":"acme","balance":2.5}`, []string{"account_1"}},
		"a new user":      {"users add ann --role owner", "POST /v1/admin/accounts/self/users", wire.OneUser{User: wire.User{ID: "user_1", Name: "ann"}}, `POST /v1/admin/accounts/self/users {"name":"ann","role":"owner"}`, []string{"user_1"}},
		"a new key":       {"keys create ci --account account_1 --scopes threads:read --dialect ak --expires 1h --no-limit", "POST /v1/admin/accounts/account_1/keys", key, `POST /v1/admin/accounts/account_1/keys {"name":"ci","scopes":["threads:read"],"dialect":"ak","expiresIn":3600,"noLimit":true}`, []string{"ak_secret\n", "not shown again"}},
		"no key":          {"keys revoke key_1", "DELETE /v1/admin/accounts/self/keys/key_1", wire.Done{Success: true}, "", []string{"revoked key key_1"}},
		"budget":          {"budget get", "GET /v1/billing/budget", budget, "", []string{"$9.5", "no limit"}},
		"limits":          {"budget set --account account_1 --daily 5 --monthly none", "PATCH /v1/admin/accounts/account_1/budget", budget, `PATCH /v1/admin/accounts/account_1/budget {"dailyLimit":5,"monthlyLimit":null}`, []string{"account_1"}},
		"money":           {"budget add 0.1", "POST /v1/billing/budget/increase", wire.IncreasedBudget{AddedAmount: 100_000, NewBalance: 200_000}, `POST /v1/billing/budget/increase {"amount":0.1}`, []string{"added $0.1", "$0.2"}},
		"status":          {"status", "GET /v1/admin/status", status, "", []string{"leader n2", "7.4s", "held", "voter"}},
		"the key":         {"secrets status", "GET /v1/admin/secrets-key", wire.SecretsKey{ID: "00aa", Phase: "closing", Resealed: 7, Unreadable: 2, Unread: "run run_1"}, "", []string{"closing", "7", "2, such as in run run_1"}},
		"a new key of it": {"secrets rotate", "POST /v1/admin/secrets-key/rotate", wire.SecretsKey{ID: "00bb", Phase: "resealing"}, "", []string{"00bb", "resealing"}},
		"drain":           {"drain n1", "POST /v1/admin/nodes/n1/drain", wire.Drain{Node: "n1", Draining: true, Done: true}, "", []string{"n1 is drained"}},
		"drain unwaited":  {"drain n1 --wait=false", "POST /v1/admin/nodes/n1/drain", wire.Drain{Node: "n1", Draining: true, Computers: 3, Running: 1, Runs: 2}, "", []string{"3 computers, 1 of them up, 2 runs", "does not answer"}},
		"undrain":         {"undrain n1", "POST /v1/admin/nodes/n1/undrain", wire.Drain{Node: "n1"}, "", []string{"n1 takes new work"}},
		"rebalance":       {"rebalance --dry-run --max 3", "POST /v1/admin/rebalance", wire.Rebalanced{Moves: []wire.Move{{ComputerID: "0199-c", From: "n1", To: "n2"}}}, `POST /v1/admin/rebalance {"dryRun":true,"max":3}`, []string{"0199-c", "n2"}},
		"remove":          {"remove n1", "DELETE /v1/admin/nodes/n1", wire.Done{Success: true}, "", []string{"n1 is no member"}},
		"abandon":         {"remove n1 --force", "DELETE /v1/admin/nodes/n1", wire.Done{Success: true}, "DELETE /v1/admin/nodes/n1?force=true", []string{"n1 is no member"}},
		"token":           {"token", "POST /v1/admin/tokens", wire.Token{Token: "bothy1.x.y.z"}, "", []string{"bothy1.x.y.z\n", "bothy join"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { tt.check(t) })
	}
}

// check runs a verb on a terminal and piped.
func (v verb) check(t *testing.T) {
	t.Helper()
	a := newAPI(t, map[string]http.HandlerFunc{v.route: reply(v.reply)})
	s := newShell(t, a.URL)
	if code := s.run(strings.Fields(v.args)...); code != 0 {
		t.Fatalf("exit %d: %s", code, s.err.String())
	}
	if v.asked == "" {
		v.asked = v.route
	}
	if len(a.asked) != 1 || a.asked[0] != v.asked {
		t.Errorf("asked %q, want %q", a.asked, v.asked)
	}
	for _, text := range v.shows {
		if !strings.Contains(s.out.String()+s.err.String(), text) {
			t.Errorf("%q is not in:\n%s%s", text, s.out.String(), s.err.String())
		}
	}
	s.terminal.tty = false
	if code := s.run(strings.Fields(v.args)...); code != 0 || !json.Valid(s.out.Bytes()) {
		t.Errorf("piped: exit %d and no JSON: %s", code, s.out.String())
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	tests := map[string]struct {
		status int
		body   wire.Error
		want   string
	}{
		"no money":  {402, wire.Error{Message: "Insufficient budget", Code: "INSUFFICIENT_BUDGET"}, "bothy budget add"},
		"no scope":  {403, wire.Error{Message: "This key lacks the scope threads:read"}, "bothy keys create --scopes"},
		"wrong key": {401, wire.Error{Message: "Invalid or missing API key"}, "BOTHY_API_KEY"},
		"full":      {507, wire.Error{Message: "No room"}, "add a node"},
		"unknown":   {404, wire.Error{Message: "Thread not found: x"}, "Thread not found: x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/threads/x": func(w http.ResponseWriter, _ *http.Request) { refuse(w, tt.status, tt.body) }})
			s := newShell(t, a.URL)
			if code := s.run("threads", "get", "x"); code != exitFailed {
				t.Errorf("exit %d", code)
			}
			if !strings.Contains(s.err.String(), tt.want) || !strings.Contains(s.err.String(), tt.body.Message) {
				t.Errorf("says %q", s.err.String())
			}
		})
	}
}

func TestCommandLinesThatCannotBe(t *testing.T) {
	for _, line := range []string{
		"threads ls -o yaml", "threads ls extra", "threads get", "budget set", "budget add lots", "budget set --daily -x", "nonsense",
		"keys create --expires 1ms", "exec 0199-c", "exec 0199-c -e X -- true", "run", "up --nodes 0", "up --nodes 99", "up --nodes 2 --id x", "run --thread t --env e hi",
		"up --http nowhere", "up --flag-that-is-none",
	} {
		s := newShell(t, "http://127.0.0.1:1")
		if code := s.run(strings.Fields(line)...); code != exitUsage {
			t.Errorf("%s: exit %d, want %d: %s", line, code, exitUsage, s.err.String())
		}
	}
}

func TestTheAdminKeyIsShownToNoOtherMachine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("tb_test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/admin/status": reply(wire.ClusterStatus{})})
	s := newShell(t, a.URL)
	s.env[keyVariable], s.env["BOTHY_DATA_DIR"] = "", dir
	if code := s.run("status"); code != 0 {
		t.Errorf("this machine's key was not used: %s", s.err.String())
	}
	for url, local := range map[string]bool{"http://127.0.0.1:8080": true, "http://localhost:1": true, "http://[::1]:8080": true,
		"http://10.0.0.1:8080": false, "https://bothy.example.org": false, "http://127.0.0.1.example.org": false, "http://127.0.0.1@evil.example": false} {
		if localOnly([]string{"http://127.0.0.1:8080", url}) != local {
			t.Errorf("%s: local is not %v", url, local)
		}
	}
}

func TestExecIsTheCommand(t *testing.T) {
	exec := func(w http.ResponseWriter, r *http.Request) {
		d := json.NewDecoder(r.Body)
		var cmd wire.Exec
		var in wire.ExecInput
		if err := d.Decode(&cmd); err == nil && cmd.Stdin {
			_ = d.Decode(&in)
		}
		enc := json.NewEncoder(w)
		_ = enc.Encode(wire.ExecOutput{Stdout: []byte(strings.Join(cmd.Argv, "|") + "<" + string(in.Stdin) + ">" + cmd.Env["A"])})
		_ = enc.Encode(wire.ExecOutput{Stderr: []byte("oops")})
		_ = enc.Encode(wire.ExecOutput{Exit: &wire.ExecExit{Code: 7}})
	}
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/admin/computers/c1":       reply(wire.OneComputer{Computer: wire.Computer{ID: "c1"}}),
		"POST /v1/admin/computers/c1/exec": exec,
	})
	s := newShell(t, a.URL)
	s.terminal.in = strings.NewReader("input")
	code := s.run("exec", "-e", "A=b", "c1", "--", "grep", "-e", "x y")
	if code != 7 || s.out.String() != "grep|-e|x y<input>b" || s.err.String() != "oops" {
		t.Errorf("exit %d, out %q, err %q", code, s.out.String(), s.err.String())
	}
	if code := s.run("exec", "c2", "--", "true"); code != exitLost {
		t.Errorf("an unknown computer: exit %d, want %d", code, exitLost)
	}
}

func TestEndsOfCommands(t *testing.T) {
	for want, exit := range map[int]wire.ExecExit{0: {}, 3: {Code: 3}, 124: {Code: -1, TimedOut: true, Signal: "killed"}, 137: {Code: -1, Signal: "killed"}, 143: {Code: -1, Signal: "SIGTERM"}} {
		code := 0
		if err := passed(exit); err != nil {
			code, _ = verdict(err)
		}
		if code != want {
			t.Errorf("%+v: exit %d, want %d", exit, code, want)
		}
	}
}

// stream writes events as a node does; several lines may share a seq.
func stream(w http.ResponseWriter, events ...any) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < len(events); i += 2 {
		b, _ := json.Marshal(events[i+1])
		fmt.Fprintf(w, "id: %v\ndata: %s\n\n", events[i], b)
	}
}
