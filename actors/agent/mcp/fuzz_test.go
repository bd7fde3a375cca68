package mcp_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
)

// liar is a computer whose programs say what they are told to, whatever they
// are asked.
type liar struct {
	agent.Computer
	says []byte
}

func (l liar) Exec(_ context.Context, cmd agent.Command) (agent.Exit, error) {
	go func() { _, _ = io.Copy(io.Discard, cmd.Input) }() // it ends with its input
	_, err := cmd.Output.Write(l.says)
	return agent.Exit{}, err
}

func (l liar) WriteFile(context.Context, string, []byte) (bool, error) { return true, nil }

// FuzzWhatAServerSays: whatever a program says, the run goes on.
func FuzzWhatAServerSays(f *testing.F) {
	hello := `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}` + "\n" +
		`{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}` + "\n"
	f.Add([]byte(""))
	f.Add([]byte("npm warn deprecated\n"))
	f.Add([]byte(hello))
	f.Add([]byte(hello + `{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"","inputSchema":null},{"name":"a","inputSchema":{"type":"array"}}]}}` + "\n"))
	f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"result":null}]` + "\n{}\n\x00"))
	f.Fuzz(func(t *testing.T, says []byte) {
		p := mcp.New(t.Context(), mcp.Options{StartTimeout: 200 * time.Millisecond,
			Computer: func(context.Context) (agent.Computer, error) { return liar{says: says}, nil }})
		defer p.Close()
		s := p.Set([]mcp.Server{{Name: "x", Command: "x"}})
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, tool := range s.Tools() {
			if tool.Schema["type"] != "object" || tool.Schema["properties"] == nil {
				t.Errorf("a tool is told as %+v", tool)
			}
			if r, err := s.Run(t.Context(), agent.Call{ID: "c", Name: tool.Name}); err != nil || r.Text == "" {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}
