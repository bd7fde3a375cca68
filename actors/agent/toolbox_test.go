package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/actors/agent"
)

// run runs one call on the computer.
func run(t *testing.T, c agent.Computer, name string, args any) agent.Result {
	t.Helper()
	arguments, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	box := agent.Toolbox{Now: time.Now, Computer: func(context.Context) (agent.Computer, error) { return c, nil }}
	e, err := box.Run(t.Context(), 1, "r", agent.Call{ID: "call_1", Name: name, Arguments: string(arguments)})
	if err != nil {
		t.Fatal(err)
	}
	if e.Result.Call != "call_1" || e.Kind != agent.ToolResult {
		t.Errorf("entry %+v", e)
	}
	return *e.Result
}

func TestFileTools(t *testing.T) {
	c := newMemory()
	if r := run(t, c, "write_file", agent.WriteFileArgs{Path: "a.txt", Content: "one two two"}); r.Status != agent.Done || r.Changes[0] != (agent.Change{Path: "a.txt", Kind: agent.Created}) {
		t.Errorf("write: %+v", r)
	}
	for name, tt := range map[string]struct {
		tool   string
		args   any
		status agent.ResultStatus
		text   string
	}{
		"edit what is twice there":  {"edit_file", agent.EditFileArgs{Path: "a.txt", Find: "two", Replace: "2"}, agent.Failed, "occurs 2 times"},
		"edit what is not there":    {"edit_file", agent.EditFileArgs{Path: "a.txt", Find: "three", Replace: "3"}, agent.Failed, "does not occur"},
		"edit an absent file":       {"edit_file", agent.EditFileArgs{Path: "b.txt", Find: "x", Replace: "y"}, agent.Failed, "does not exist"},
		"edit nothing":              {"edit_file", agent.EditFileArgs{Path: "a.txt", Replace: "y"}, agent.Invalid, "find is empty"},
		"read":                      {"read_file", agent.ReadFileArgs{Path: "a.txt"}, agent.Done, "one two two"},
		"read an absent file":       {"read_file", agent.ReadFileArgs{Path: "nope"}, agent.Failed, "does not exist"},
		"list":                      {"list_files", agent.ReadFileArgs{Path: "."}, agent.Done, "a.txt (11 bytes)"},
		"grep":                      {"grep", agent.GrepArgs{Pattern: "t.o", Path: "."}, agent.Done, "a.txt:1:one two two"},
		"grep one file":             {"grep", agent.GrepArgs{Pattern: "one", Path: "a.txt"}, agent.Done, "a.txt:1:"},
		"grep without a match":      {"grep", agent.GrepArgs{Pattern: "zzz", Path: "."}, agent.Done, "no match"},
		"grep with a bad pattern":   {"grep", agent.GrepArgs{Pattern: "(", Path: "."}, agent.Invalid, "not a regular expression"},
		"grep an absent path":       {"grep", agent.GrepArgs{Pattern: "x", Path: "nope"}, agent.Failed, "does not exist"},
		"an unknown argument":       {"read_file", map[string]string{"path": "a", "mode": "r"}, agent.Invalid, "unknown field"},
		"an argument of wrong type": {"read_file", map[string]int{"path": 1}, agent.Invalid, "do not fit"},
		"a missing argument":        {"write_file", map[string]string{"path": "a"}, agent.Invalid, `"content" is missing`},
		"an unknown tool":           {"fly", map[string]string{}, agent.Invalid, "the built-in tools are shell, read_file"},
		"a list of arguments":       {"shell", []string{"ls"}, agent.Invalid, "not a JSON object"},
		"no time at all":            {"shell", map[string]any{"command": "ls", "timeout_ms": -1}, agent.Invalid, "timeout_ms"},
		"a command too long":        {"shell", agent.ShellArgs{Command: strings.Repeat("x", 130<<10)}, agent.Invalid, "write a file"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := run(t, c, tt.tool, tt.args); r.Status != tt.status || !strings.Contains(r.Text, tt.text) {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := run(t, c, "edit_file", agent.EditFileArgs{Path: "a.txt", Find: "one", Replace: "1"}); r.Status != agent.Done || c.files["a.txt"] != "1 two two" {
		t.Errorf("edit: %+v, %q", r, c.files["a.txt"])
	}
	c.files["bin"] = "\x00\x01\x02"
	if r := run(t, c, "read_file", agent.ReadFileArgs{Path: "bin"}); r.Status != agent.Failed || !strings.Contains(r.Text, "not text") {
		t.Errorf("a binary file: %+v", r)
	}
}

func TestShellEndings(t *testing.T) {
	c := newMemory()
	c.commands["good"] = answer("out\n", 0)
	c.commands["bad"] = answer("err\n", 3)
	c.commands["killed"] = func(context.Context, agent.Command) (agent.Exit, error) {
		return agent.Exit{Code: -1, Signal: "killed"}, nil
	}
	c.commands["slow"] = func(_ context.Context, cmd agent.Command) (agent.Exit, error) {
		if cmd.Timeout != 1500*time.Millisecond || cmd.Dir != "sub" {
			t.Errorf("command %+v", cmd)
		}
		return agent.Exit{Code: -1, TimedOut: true}, nil
	}
	if r := run(t, c, "shell", agent.ShellArgs{Command: "good"}); r.Status != agent.Done || *r.ExitCode != 0 || r.Text != "out\n\n[exit code 0]" {
		t.Errorf("good: %+v", r)
	}
	if r := run(t, c, "shell", agent.ShellArgs{Command: "bad"}); r.Status != agent.Failed || *r.ExitCode != 3 {
		t.Errorf("bad: %+v", r)
	}
	if r := run(t, c, "shell", agent.ShellArgs{Command: "killed"}); r.Status != agent.Failed || !strings.Contains(r.Text, "ended by signal: killed") {
		t.Errorf("killed: %+v", r)
	}
	if r := run(t, c, "shell", agent.ShellArgs{Command: "slow", Cwd: "sub", TimeoutMS: 1500}); r.Status != agent.TimedOut || r.ExitCode != nil || !strings.Contains(r.Text, "1.5s") {
		t.Errorf("slow: %+v", r)
	}
}

func TestLongOutputKeepsHeadAndTailAndSavesTheWhole(t *testing.T) {
	c := newMemory()
	whole := "BEGIN" + strings.Repeat("0123456789é\n", 100_000) + "END"
	c.commands["long"] = func(_ context.Context, cmd agent.Command) (agent.Exit, error) {
		for rest := whole; rest != ""; {
			n := min(len(rest), 7777)
			if _, err := cmd.Output.Write([]byte(rest[:n])); err != nil {
				return agent.Exit{}, err
			}
			rest = rest[n:]
		}
		return agent.Exit{}, nil
	}
	r := run(t, c, "shell", agent.ShellArgs{Command: "long"})
	if len(r.Text) > agent.MaxToolOutputBytes+1000 || !strings.HasPrefix(r.Text, "BEGIN") || !strings.Contains(r.Text, "END\n[exit code 0]") || !utf8.ValidString(r.Text) {
		t.Errorf("%d bytes shown: %.50q", len(r.Text), r.Text)
	}
	said := fmt.Sprintf("the whole output, %d bytes, is in the workspace file %s", len(whole), r.Saved)
	if r.Saved != ".bothy/output/call_1.txt" || !strings.Contains(r.Text, said) || c.files[r.Saved] != whole {
		t.Errorf("saved as %q, %d of %d bytes", r.Saved, len(c.files[r.Saved]), len(whole))
	}
}

// counting is a computer that only counts what is saved.
type counting struct {
	*memory
	saved int
}

func (c *counting) Append(_ context.Context, _ string, piece []byte) error {
	c.saved += len(piece)
	return nil
}

func TestSavedOutputIsBounded(t *testing.T) {
	c := &counting{memory: newMemory()}
	c.commands["flood"] = func(_ context.Context, cmd agent.Command) (agent.Exit, error) {
		for range 70 {
			if _, err := cmd.Output.Write(make([]byte, 1<<20)); err != nil {
				return agent.Exit{}, err
			}
		}
		return agent.Exit{}, nil
	}
	r := run(t, c, "shell", agent.ShellArgs{Command: "flood"})
	if c.saved != agent.MaxSavedOutputBytes || !strings.Contains(r.Text, fmt.Sprintf("the first %d of %d bytes", c.saved, 70<<20)) {
		t.Errorf("saved %d bytes", c.saved)
	}
}

// full is a computer whose disk is full.
type full struct{ *memory }

func (full) Append(context.Context, string, []byte) error { return errors.New("no space left") }

func TestOutputThatCannotBeSavedIsSaidSo(t *testing.T) {
	c := newMemory()
	c.commands["long"] = answer(strings.Repeat("x", 100_000), 0)
	r := run(t, full{c}, "shell", agent.ShellArgs{Command: "long"})
	if r.Status != agent.Done || r.Saved != "" || !strings.Contains(r.Text, "could not be saved: no space left") {
		t.Errorf("%s %q %.9000s", r.Status, r.Saved, r.Text[8000:])
	}
}

func TestWhatIsShownOfAnyOutputIsBoundedAndText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newMemory()
		output := string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "unit"))
		output = strings.Repeat(output, rapid.IntRange(0, 400).Draw(rt, "times"))
		c.commands["x"] = answer(output, 0)
		r := run(t, c, "shell", agent.ShellArgs{Command: "x"})
		if len(r.Text) > 3*agent.MaxToolOutputBytes+1000 || !utf8.ValidString(r.Text) {
			rt.Fatalf("%d bytes became %d", len(output), len(r.Text))
		}
		if (r.Saved != "") != (len(output) > agent.MaxToolOutputBytes) || c.files[r.Saved] != output && r.Saved != "" {
			rt.Fatalf("%d bytes: saved as %q", len(output), r.Saved)
		}
	})
}

func TestComputerIsAskedForOnlyBySoundCalls(t *testing.T) {
	asked := 0
	box := agent.Toolbox{Now: time.Now, Computer: func(context.Context) (agent.Computer, error) {
		asked++
		return nil, fmt.Errorf("moved: %w", agent.ErrComputerGone)
	}}
	if _, err := box.Run(t.Context(), 1, "r", agent.Call{ID: "c", Name: "shell", Arguments: "{"}); err != nil || asked != 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	if _, err := box.Run(t.Context(), 1, "r", agent.Call{ID: "c", Name: "shell", Arguments: `{"command":"ls"}`}); !errors.Is(err, agent.ErrComputerGone) {
		t.Errorf("%v", err)
	}
}

func TestCancelledToolHasNoResult(t *testing.T) {
	c := newMemory()
	ctx, cancel := context.WithCancel(t.Context())
	c.commands["wait"] = func(ctx context.Context, _ agent.Command) (agent.Exit, error) {
		cancel()
		<-ctx.Done()
		return agent.Exit{}, ctx.Err()
	}
	box := agent.Toolbox{Now: time.Now, Computer: func(context.Context) (agent.Computer, error) { return c, nil }}
	_, err := box.Run(ctx, 1, "r", agent.Call{ID: "c", Name: "shell", Arguments: `{"command":"wait"}`})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzParseArguments(f *testing.F) {
	for _, seed := range []string{`{"command":"ls"}`, `{"path":"x","content":null}`, `{"command":"a"}{"command":"b"}`, `null`, `[]`, `{"path":"\u0000"}`, "{"} {
		f.Add("shell", seed)
		f.Add("write_file", seed)
	}
	f.Fuzz(func(t *testing.T, name, arguments string) {
		call := agent.Call{ID: "c", Name: name, Arguments: arguments}
		args, err := agent.ParseArguments(call)
		if shell, ok := args.(agent.ShellArgs); err == nil && ok && strings.TrimSpace(shell.Command) == "" {
			t.Errorf("%s was accepted as a command", arguments)
		}
		var object map[string]any
		if json.Unmarshal(call.Object(), &object) != nil || object == nil {
			t.Errorf("%q is no object as %s", arguments, call.Object())
		}
	})
}
