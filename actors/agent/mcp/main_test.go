package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
)

func TestMain(m *testing.M) {
	mcptest.Main()
	goleak.VerifyTestMain(m)
}

// desk is a computer that runs commands on this machine and keeps the files
// that are written to it.
type desk struct {
	agent.Computer // what servers have no use for

	mu    sync.Mutex
	files map[string][]byte
	begun int
}

func newDesk() *desk { return &desk{files: map[string][]byte{}} }

func (d *desk) Exec(ctx context.Context, cmd agent.Command) (agent.Exit, error) {
	d.mu.Lock()
	d.begun++
	d.mu.Unlock()
	run := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	run.Env = append(os.Environ(), cmd.Env...)
	run.Stdout, run.Stderr, run.WaitDelay = cmd.Output, cmd.Errors, time.Second
	in, err := run.StdinPipe()
	if err != nil {
		return agent.Exit{}, err
	}
	if err := run.Start(); err != nil {
		return agent.Exit{}, err
	}
	go func() {
		_, _ = io.Copy(in, cmd.Input) // it ends with the program or with its input
		in.Close()
	}()
	err = run.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return agent.Exit{}, err
	}
	return agent.Exit{Code: run.ProcessState.ExitCode()}, nil
}

func (d *desk) WriteFile(_ context.Context, name string, content []byte) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = content
	return true, nil
}

func (d *desk) starts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

// clock is the test's own program as a server.
func clock() mcp.Server {
	return mcp.Server{Name: "clock", Command: os.Args[0], Env: map[string]string{mcptest.Variable: "1", "HAND": "long"}}
}

// started is a set whose servers were started, closed with the test.
func started(t *testing.T, d *desk, servers ...mcp.Server) *mcp.Set {
	t.Helper()
	way := &http.Transport{}
	p := mcp.New(t.Context(), mcp.Options{Way: way, Version: "test", Computer: func(context.Context) (agent.Computer, error) { return d, nil }})
	t.Cleanup(way.CloseIdleConnections)
	t.Cleanup(p.Close)
	s := p.Set(servers)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func call(t *testing.T, s *mcp.Set, name, text string) agent.Result {
	t.Helper()
	arguments, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), agent.Call{ID: "c1", Name: name, Arguments: string(arguments)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
