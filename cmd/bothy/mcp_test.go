package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// npmServers are real servers, as an archive of a node_modules directory.
func npmServers(t *testing.T, packages ...string) *os.File {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, argv := range [][]string{
		append([]string{"npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"}, packages...),
		{"tar", "-czf", filepath.Join(dir, "npm.tgz"), "-C", dir, "node_modules"},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	f, err := os.Open(filepath.Join(dir, "npm.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// webServer is a server that a node reaches at an address of its own, and only
// with a token.
func webServer(t *testing.T, token string) string {
	t.Helper()
	inner := mcptest.Handler()
	listener, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() { _ = server.Serve(listener); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return "http://" + listener.Addr().String()
}

// Servers from npm work in a real computer that may connect nowhere, and a
// server over HTTP is called by the node all the same; nothing inside is.
func TestRealServersInARealComputer(t *testing.T) {
	const token = "a-token-that-nobody-is-told"
	call := func(id, name, arguments string) agenttest.Turn {
		return agenttest.Responses(agenttest.FunctionCall(id, name, arguments))
	}
	vendor := agenttest.Serve(t,
		call("c1", "mcp__files__write_file", `{"path":"/workspace/note.txt","content":"written by a server"}`),
		call("c2", "shell", `{"command":"cat note.txt; stat -c %U note.txt"}`),
		call("c3", "mcp__files__read_text_file", `{"path":"/etc/passwd"}`),
		call("c4", "mcp__everything__get-tiny-image", `{}`),
		call("c5", "mcp__web__echo", `{"text":"by the node"}`),
		agenttest.Responses(agenttest.Message("All of it works.")))
	t.Setenv("OPENAI_BASE_URL", vendor.URL)
	t.Setenv("OPENAI_API_KEY", "test")
	p := launchWith(t, "outside: {allow: [127.0.0.9]}\n", "n1")[0]
	c := clientOf(t, p)

	env, err := c.Environments().Default(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Environments().Update(t.Context(), env.ID, wire.WriteEnvironment{InternetAccess: wire.Some(false)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	lay := exec.CommandContext(ctx, binary, "exec", env.ComputerID, "--", "tar", "-xzf", "-", "-C", "/workspace")
	lay.Env = append(childEnv(os.Environ(), ""), urlVariable+"="+p.url, keyVariable+"="+p.key())
	lay.Stdin = npmServers(t, "@modelcontextprotocol/server-filesystem", "@modelcontextprotocol/server-everything")
	if out, err := lay.CombinedOutput(); err != nil {
		t.Fatalf("lay the servers: %v\n%s", err, out)
	}
	server := func(name string) string {
		return "node_modules/@modelcontextprotocol/server-" + name + "/dist/index.js"
	}
	file := filepath.Join(t.TempDir(), "agent.yaml")
	text := fmt.Sprintf(`
name: Tooled
model: gpt-5.1
mcpServers:
  - {type: stdio, name: files, command: node, args: [%s, /workspace]}
  - {type: stdio, name: everything, command: node, args: [%s]}
  - {type: http, name: web, url: "%s", bearerToken: %s}
  - {type: http, name: metadata, url: "http://169.254.169.254/mcp"}
  - {type: http, name: node, url: "%s/mcp"}
  - {type: stdio, name: "off", command: "false", enabled: false}
`, server("filesystem"), server("everything"), webServer(t, token), token, p.url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var agent struct {
		ID string `json:"id"`
	}
	out, code := p.bothy("agents", "create", "-f", file, "-o", "json")
	if code != 0 || json.Unmarshal([]byte(out), &agent) != nil || agent.ID == "" {
		t.Fatalf("create: exit %d\n%s", code, out)
	}
	said, code := p.bothy("run", "--agent", agent.ID, "-o", "json", "use your tools")
	if code != 0 {
		t.Fatalf("run: exit %d\n%s\n%s", code, said, tail(p.out.String(), 40))
	}
	for _, want := range []string{
		"written by a servernode", "Access denied", "image/png", ".bothy/output/c4_1.png", "by the node",
		`"type":"mcp_tool","name":"write_file","server":"files"`, "All of it works.",
		"metadata could not be started", "node could not be started", "private address",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in:\n%s", want, said)
		}
	}
	if after := vendor.Requests()[4].Raw; !strings.Contains(after, `"image_url":"data:image/png;base64,iVBORw0KGgo`) {
		t.Errorf("the model was not shown the picture:\n%s", after)
	}
	for _, never := range []string{token, "MCP server off"} {
		if strings.Contains(said, never) || strings.Contains(p.out.String(), never) {
			t.Errorf("%q is told:\n%s", never, said)
		}
	}
	eventually(t, "the end of the servers", stopTime, func() error {
		out, _ := p.bothy("exec", env.ComputerID, "--", "ps", "-eo", "args")
		if strings.Contains(out, "modelcontextprotocol") {
			return fmt.Errorf("they run:\n%s", out)
		}
		return nil
	})
}
