package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
)

// memory is a computer whose workspace is a map. Commands are answered by a
// table; one that is missing there is run by the real shell when real is set.
type memory struct {
	mu       sync.Mutex
	files    map[string]string
	commands map[string]func(ctx context.Context, cmd agent.Command) (agent.Exit, error)
	real     string // a directory to run commands in
	ran      []string
}

func newMemory() *memory {
	return &memory{files: map[string]string{}, commands: map[string]func(context.Context, agent.Command) (agent.Exit, error){}}
}

func (m *memory) Exec(ctx context.Context, cmd agent.Command) (agent.Exit, error) {
	script := cmd.Argv[len(cmd.Argv)-1]
	m.mu.Lock()
	m.ran = append(m.ran, script)
	f := m.commands[script]
	m.mu.Unlock()
	if f != nil {
		return f(ctx, cmd)
	}
	if m.real == "" {
		return agent.Exit{}, fmt.Errorf("no answer for command %q", script)
	}
	limited, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	c := exec.CommandContext(limited, cmd.Argv[0], cmd.Argv[1:]...)
	c.Dir, c.Stdout, c.Stderr, c.WaitDelay = m.real, cmd.Output, cmd.Output, time.Second
	err := c.Run()
	if limited.Err() != nil {
		return agent.Exit{Code: -1, TimedOut: true}, nil
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return agent.Exit{}, err
	}
	return agent.Exit{Code: c.ProcessState.ExitCode()}, nil
}

func (m *memory) ReadFile(_ context.Context, name string, most int64) (agent.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.files[path.Clean(name)]
	if !ok {
		return agent.File{}, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return agent.File{Content: []byte(content[:min(int64(len(content)), most)]), Bytes: int64(len(content))}, nil
}

func (m *memory) WriteFile(_ context.Context, name string, content []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, there := m.files[path.Clean(name)]
	m.files[path.Clean(name)] = string(content)
	return !there, nil
}

func (m *memory) Append(_ context.Context, name string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] += string(content)
	return nil
}

func (m *memory) List(_ context.Context, dir string, most int) ([]agent.DirEntry, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[string]agent.DirEntry{}
	dir = path.Clean(dir)
	for name, content := range m.files {
		rest, below := strings.CutPrefix(name, dir+"/")
		if dir == "." {
			rest, below = name, true
		}
		if !below {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		seen[first] = agent.DirEntry{Name: first, Dir: deeper, Bytes: int64(len(content))}
	}
	if len(seen) == 0 {
		return nil, false, fmt.Errorf("list %s: %w", dir, fs.ErrNotExist)
	}
	var list []agent.DirEntry
	for _, e := range seen {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b agent.DirEntry) int { return cmp.Compare(a.Name, b.Name) })
	return list[:min(len(list), most)], len(list) > most, nil
}

// answer makes a command write output and exit.
func answer(output string, code int) func(context.Context, agent.Command) (agent.Exit, error) {
	return func(_ context.Context, cmd agent.Command) (agent.Exit, error) {
		_, err := bytes.NewBufferString(output).WriteTo(cmd.Output)
		return agent.Exit{Code: code}, err
	}
}

// silent is a watcher that keeps what it saw.
type silent struct {
	text   string
	failed []agent.Attempt
	veto   error
}

func (s *silent) Delta(d agent.Delta) { s.text += d.Text }
func (s *silent) Failed(a agent.Attempt) error {
	s.failed = append(s.failed, a)
	return s.veto
}

// caller never waits, and never by chance.
func caller(m agent.Model) agent.Caller {
	return agent.Caller{
		Model: m, Now: time.Now, Jitter: func() float64 { return 0 },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// drive turns the loop until it finishes, as the owner of a run does, and
// returns what was committed.
func drive(t *testing.T, l agent.Loop, m agent.Model, c agent.Computer, entries []agent.Entry) ([]agent.Entry, agent.Finish) {
	t.Helper()
	box := agent.Toolbox{Now: time.Now, Computer: func(context.Context) (agent.Computer, error) { return c, nil }}
	watch := &silent{}
	for turn := 0; ; turn++ {
		if turn > 500 {
			t.Fatal("the loop does not end")
		}
		switch a := l.Next(entries).(type) {
		case agent.CallModel:
			req := agent.Request{Model: "m", Entries: agent.View(entries), Tools: agent.Tools(), MaxOutputTokens: 100}
			reply, err := caller(m).Call(t.Context(), req, a.Step, fmt.Sprintf("item_%d", turn), watch)
			if err != nil {
				return entries, l.After(entries, err).(agent.Finish)
			}
			entries = append(entries, reply.Entries...)
		case agent.RunTool:
			result, err := box.Run(t.Context(), a.Step, fmt.Sprintf("result_%d", turn), a.Call)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, result)
		case agent.Compact:
			reply, err := caller(m).Call(t.Context(), agent.CompactionRequest("m", entries, 1<<16), a.Step, fmt.Sprintf("sum_%d", turn), watch)
			if err != nil {
				t.Fatal(err)
			}
			summary, err := agent.SummaryEntry(fmt.Sprintf("sum_%d", turn), a.Step, reply)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, summary)
		case agent.Finish:
			return entries, a
		}
	}
}

func user(text string) agent.Entry { return agent.Entry{Kind: agent.User, ID: "u", Text: text} }
