package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
)

// desk is an MCP server over HTTP that notes what it is asked to echo, and
// answers heldText never.
type desk struct {
	url  string
	held chan struct{} // closed once heldText is there

	mu    sync.Mutex
	heard []string
}

func openDesk(t *testing.T) *desk {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{url: "http://" + listener.Addr().String(), held: make(chan struct{})}
	inner := mcptest.Handler()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.holds(t, r) {
			inner.ServeHTTP(w, r)
			return
		}
		<-r.Context().Done()
	})}
	done := make(chan struct{})
	go func() { _ = server.Serve(listener); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return d
}

// holds notes a request and reports whether it is the one to hold.
func (d *desk) holds(t *testing.T, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // the caller left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var call struct {
		Method string
		Params struct{ Arguments struct{ Text string } }
	}
	if json.Unmarshal(body, &call) != nil || call.Method != "tools/call" {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	text := call.Params.Arguments.Text
	d.heard = append(d.heard, text)
	if text != heldText {
		return false
	}
	if slices.Index(d.heard, text) < len(d.heard)-1 {
		t.Errorf("a call is made again: %q", d.heard)
		return false
	}
	close(d.held)
	return true
}

// handoffTool is the name by which a planner hands on.
var handoffTool = regexp.MustCompile(`handoff__[\w-]+`)

// author is the model: it knows who asks and how far they are by the request.
func author(t *testing.T) func(agenttest.Request) agenttest.Turn {
	call := func(n int, name string, arguments object) agenttest.Turn {
		return agenttest.Responses(agenttest.FunctionCall(fmt.Sprintf("call_%d", n), name, jsonText(t, arguments)))
	}
	say := func(text string) agenttest.Turn { return agenttest.Responses(agenttest.Message(text)) }
	return func(r agenttest.Request) agenttest.Turn {
		done := answered(t, r)
		planner := []agenttest.Turn{call(100, handoffTool.FindString(r.Raw), object{"task": "Find the primes below 20."}), say("The primes are found.")}
		worker := []agenttest.Turn{
			call(0, "write", object{"path": "primes.py", "content": primes}), call(1, "shell", object{"command": "python3 primes.py"}),
			call(2, "mcp__desk__echo", object{"text": "eight primes"}), call(3, "mcp__desk__echo", object{"text": heldText}),
			call(4, "shell", object{"command": "ls primes.py || echo look again"}), call(5, "write", object{"path": "primes.py", "content": primes}),
			call(6, "shell", object{"command": "python3 primes.py"}), say(found)}
		program := []agenttest.Turn{call(200, "shell", object{"command": "echo created > api.txt; cat api.txt"}), say("It is created.")}
		ticking := []agenttest.Turn{call(300, "shell", object{"command": "echo tick"}), say("It ticks.")}
		for _, who := range []struct {
			mark  string
			turns []agenttest.Turn
		}{{"You plan.", planner}, {"Tick now.", ticking}, {"You work.", worker}, {"Create a REST API", program}} {
			if strings.Contains(r.Raw, who.mark) && done < len(who.turns) {
				return who.turns[done]
			}
		}
		return say("Nothing is left to do.")
	}
}

// answered counts the tool results in a request, and checks that each call has
// one.
func answered(t *testing.T, r agenttest.Request) (n int) {
	calls := map[any]int{}
	items, _ := r.Body["input"].([]any)
	for _, i := range items {
		item, _ := i.(map[string]any)
		switch item["type"] {
		case "function_call":
			calls[item["call_id"]]++
		case "function_call_output":
			calls[item["call_id"]]--
			n++
		}
	}
	for id, left := range calls {
		if left != 0 {
			t.Errorf("the model is told %+d results too few of call %v: %s", left, id, r.Raw)
		}
	}
	return n
}
