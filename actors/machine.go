package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// machine is a run's computer: held, and so kept from idling, from the first
// tool that needs it to the run's end.
type machine struct {
	work *work

	mu      sync.Mutex
	grant   *grant
	release func()
	files   *workspace.FS
	diff    *differ
	told    bool
}

func newMachine(w *work) *machine { return &machine{work: w} }

// room is the machine as one agent uses it: from its own directory.
type room struct {
	*machine
	base string // "" is the workspace
}

// in gives the computer as it is used from a directory, which is made. The
// first call starts it.
func (m *machine) in(dir string) func(context.Context) (agent.Computer, error) {
	made := false
	return func(ctx context.Context) (agent.Computer, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := m.ready(ctx); err != nil {
			return nil, err
		}
		if dir != "" && !made {
			if err := m.files.MkdirAll(dir); err != nil {
				return nil, translate(err)
			}
			made = true
		}
		return room{m, dir}, nil
	}
}

// ready starts the computer; m.mu is held.
func (m *machine) ready(ctx context.Context) error {
	if m.grant != nil {
		return nil
	}
	if err := m.work.awaitImage(ctx); err != nil {
		return err
	}
	g, release, err := m.work.local.holdAs(ctx, m.work.computer.ID, wake{look: m.work.run.Config.OwnInternet})
	if err != nil {
		return err
	}
	if g.epoch != m.work.computer.Epoch {
		release()
		return fault.New(fault.Moved, "the computer is in epoch %d; this run began in %d", g.epoch, m.work.computer.Epoch)
	}
	if err := m.open(ctx); err != nil {
		release()
		return translate(err)
	}
	m.grant, m.release = &g, release
	m.diff = newDiffer(ctx, m.work, m.files)
	if g.lost != "" {
		m.work.journal.push(notice("%s", g.lost))
	}
	return nil
}

func (m *machine) open(ctx context.Context) error {
	w, ok := m.work.driver.(runtime.Workspacer)
	if !ok {
		return fmt.Errorf("open the workspace: %w", runtime.ErrUnsupported)
	}
	root, err := w.Workspace(ctx, runtime.Epoch(m.work.computer.Epoch), runtime.ID(m.work.computer.ID))
	if err != nil {
		return err
	}
	m.files, err = workspace.Open(root)
	if err != nil {
		return err
	}
	return m.work.laySkills(ctx, m.files)
}

func (m *machine) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grant == nil {
		return
	}
	m.release()
	m.diff.close()
	m.files.Close()
	m.grant = nil
}

// changes are the file changes that a tool made, as events. Where they are not
// known, those that the tool itself reports stand in its result.
func (m *machine) changes(ctx context.Context, tool string, e *agent.Entry) []state.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grant == nil {
		return nil
	}
	events, known := m.diff.after(ctx, tool, e.ID)
	if known {
		e.Result.Changes = nil
	}
	return events
}

// conclude records what the run changed, if it used its computer.
func (m *machine) conclude(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grant != nil {
		m.diff.record(ctx)
	}
}

// explain tells the model, with the first result, what its computer has lost.
func (m *machine) explain(r *agent.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grant != nil && m.grant.lost != "" && !m.told {
		r.Text = m.grant.lost + "\n\n" + r.Text
		m.told = true
	}
}

// Exec runs a tool's command with the run's variables.
func (r room) Exec(ctx context.Context, cmd agent.Command) (agent.Exit, error) {
	out := &shared{w: cmd.Output}
	errs := out
	if cmd.Errors != nil {
		errs = &shared{w: cmd.Errors}
	}
	exit, err := r.work.local.run(ctx, *r.grant, ExecRequest{Computer: r.work.computer.ID, Command: Command{
		Argv: cmd.Argv, Env: slices.Concat(r.work.variable, cmd.Env), Dir: r.dir(cmd.Dir),
		Stdin: cmd.Input, Stdout: out, Stderr: errs, Timeout: cmd.Timeout}})
	if err != nil {
		return agent.Exit{}, gone(err)
	}
	return agent.Exit{Code: exit.Code, Signal: exit.Signal, TimedOut: exit.TimedOut}, nil
}

// gone marks the errors after which no tool of this run can work here.
func gone(err error) error {
	if fault.Is(err, fault.Moved) || errors.Is(err, runtime.ErrNotRunning) || errors.Is(err, runtime.ErrNotFound) {
		return fmt.Errorf("%w: %w", agent.ErrComputerGone, err)
	}
	return err
}

// dir is where a command runs: relative to the agent's own directory.
func (r room) dir(dir string) string {
	return inDir(r.base, dir)
}

// inDir is a directory that is named from another one, "" for the workspace.
func inDir(base, dir string) string {
	if base == "" {
		base = workspaceDir
	}
	if path.IsAbs(dir) {
		return dir
	}
	return path.Join(base, dir)
}

// shared lets stdout and stderr write to one place.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return len(p), nil
	}
	return s.w.Write(p)
}

// name is a tool's path as the workspace takes it.
func (r room) name(p string) string {
	if strings.HasPrefix(p, agent.OutputDir+"/") {
		return p // the loop's own files lie at the workspace's root
	}
	return r.dir(p)
}

// ReadFile returns at most the first maxBytes of a file.
func (r room) ReadFile(ctx context.Context, name string, maxBytes int64) (agent.File, error) {
	f, entry, err := r.files.Open(r.name(name))
	if err != nil {
		return agent.File{}, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxBytes))
	return agent.File{Content: content, Bytes: entry.SizeBytes}, err
}

// WriteFile replaces or creates a file.
func (r room) WriteFile(ctx context.Context, name string, content []byte) (bool, error) {
	if err := r.work.held(); err != nil {
		return false, gone(err)
	}
	_, err := r.files.Stat(r.name(name))
	created := errors.Is(err, fs.ErrNotExist)
	_, err = r.files.Write(ctx, r.name(name), bytes.NewReader(content), workspace.WriteOptions{})
	return created, err
}

// maxAppendable bounds a file that Append extends.
const maxAppendable = 64 << 20

// Append adds to the end of a file.
func (r room) Append(ctx context.Context, name string, content []byte) error {
	if err := r.work.held(); err != nil {
		return gone(err)
	}
	before, err := r.files.ReadFile(r.name(name), maxAppendable)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = r.files.Write(ctx, r.name(name), io.MultiReader(bytes.NewReader(before), bytes.NewReader(content)), workspace.WriteOptions{})
	return err
}

// List returns a directory's entries by name.
func (r room) List(ctx context.Context, name string, maxEntries int) ([]agent.DirEntry, bool, error) {
	all, err := r.files.List(ctx, r.name(name), workspace.ListOptions{Depth: 1, Limit: maxEntries})
	if err != nil {
		return nil, false, err
	}
	entries := make([]agent.DirEntry, 0, len(all.Entries))
	for _, e := range all.Entries {
		entries = append(entries, agent.DirEntry{Name: e.Name(), Dir: e.Kind == workspace.Directory, Link: e.Kind == workspace.Symlink, Bytes: e.SizeBytes})
	}
	return entries, all.Truncated, nil
}

var _ agent.Computer = room{}
