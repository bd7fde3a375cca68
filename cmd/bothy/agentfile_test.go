package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestAnAgentIsMadeOfAFileAndFlags(t *testing.T) {
	reply := reply(wire.OneAgent{Agent: wire.Agent{ID: "agent_1", Name: "Planner", Handoffs: []string{"agent_2"}}})
	file := filepath.Join(t.TempDir(), "agent.yaml")
	text := "name: from the file\nmodel: gpt-5.1\nmcpServers:\n  - {type: http, name: wiki, url: \"https://wiki.example/mcp\", enabled: false}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args  []string
		asked string
	}{
		"a file":  {[]string{"agents", "create", "-f", file}, `POST /v1/agents {"name":"from the file","model":"gpt-5.1","mcpServers":[{"type":"http","name":"wiki","url":"https://wiki.example/mcp","enabled":false}]}`},
		"both":    {[]string{"agents", "create", "-f", file, "--name", "Planner", "--mcp", "files=npx -y server /workspace"}, `POST /v1/agents {"name":"Planner","model":"gpt-5.1","mcpServers":[{"type":"stdio","name":"files","command":"npx","args":["-y","server","/workspace"]}]}`},
		"a URL":   {[]string{"agents", "create", "--model", "m", "--mcp", "wiki=https://wiki.example/mcp?x=1"}, `POST /v1/agents {"model":"m","mcpServers":[{"type":"http","name":"wiki","url":"https://wiki.example/mcp?x=1"}]}`},
		"changes": {[]string{"agents", "update", "agent_1", "--handoff", "agent_2", "--handoff", "agent_3"}, `PATCH /v1/agents/agent_1 {"handoffs":["agent_2","agent_3"]}`},
		"a skill": {[]string{"agents", "update", "agent_1", "--skill", "greet"}, `PATCH /v1/agents/agent_1 {"enabledSkills":["greet"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/agents": reply, "PATCH /v1/agents/agent_1": reply})
			s := newShell(t, a.URL)
			if code := s.run(tt.args...); code != 0 || len(a.asked) != 1 || a.asked[0] != tt.asked {
				t.Errorf("exit %d: %s\nasked %q", code, s.err.String(), a.asked)
			}
			if !strings.Contains(s.out.String(), "agent_2") {
				t.Errorf("shown:\n%s", s.out.String())
			}
		})
	}
	for _, wrong := range [][]string{
		{"agents", "create", "--mcp", "nothing"}, {"agents", "create", "-f", file + ".absent"}, {"agents", "update"},
	} {
		if code := newShell(t, "http://127.0.0.1:1").run(wrong...); code == 0 {
			t.Errorf("%v is taken", wrong)
		}
	}
	if err := os.WriteFile(file, []byte("nmae: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newShell(t, "http://127.0.0.1:1")
	if code := s.run("agents", "create", "-f", file); code == 0 || !strings.Contains(s.err.String(), "nmae") {
		t.Errorf("a mistyped field: exit %d, %s", code, s.err.String())
	}
}
