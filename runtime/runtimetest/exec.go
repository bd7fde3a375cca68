package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// slow is more than any command of the suite should need to end.
const slow = 20 * time.Second

// sh runs a script and returns how it ended and what it printed.
func (m *machine) sh(t *testing.T, id runtime.ID, epoch runtime.Epoch, script string) (runtime.Exit, string, string) {
	t.Helper()
	return m.exec(t, id, epoch, runtime.Cmd{Argv: []string{"/bin/sh", "-c", script}})
}

func (m *machine) exec(t *testing.T, id runtime.ID, epoch runtime.Epoch, cmd runtime.Cmd) (runtime.Exit, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	exit, err := m.commands().Exec(limited(t), epoch, id, cmd)
	must(t, "exec "+strings.Join(cmd.Argv, " "), err)
	return exit, stdout.String(), stderr.String()
}

func (m *machine) prints(t *testing.T, id runtime.ID, epoch runtime.Epoch, script, want string) {
	t.Helper()
	if exit, out, errs := m.sh(t, id, epoch, script); exit.Code != 0 || out != want {
		t.Errorf("%s: got %+v %q %q, want %q", script, exit, out, errs, want)
	}
}

func execs(t *testing.T, m *machine) {
	if m.commands() == nil {
		notRun(t, m)
		return
	}
	id := m.running(t)
	script := func(s string) runtime.Cmd { return runtime.Cmd{Argv: []string{"/bin/sh", "-c", s}} }
	with := func(cmd runtime.Cmd, change func(*runtime.Cmd)) runtime.Cmd { change(&cmd); return cmd }
	tests := map[string]struct {
		cmd      runtime.Cmd
		want     runtime.Exit
		out, err string
	}{
		"success":         {cmd: script("true")},
		"a code":          {cmd: script("exit 42"), want: runtime.Exit{Code: 42}},
		"a signal":        {cmd: script("kill -KILL $$"), want: runtime.Exit{Code: -1, Signal: "killed"}},
		"streams apart":   {cmd: script("echo a; echo b >&2"), out: "a\n", err: "b\n"},
		"arguments whole": {cmd: runtime.Cmd{Argv: []string{"printf", "%s|", "a b", "", "$HOME"}}, out: "a b||$HOME|"},
		"environment":     {cmd: with(script(`echo "$A"`), func(c *runtime.Cmd) { c.Env = []string{"A=1=2"} }), out: "1=2\n"},
		"its own user":    {cmd: script(`test -n "$HOME" && test -n "$USER" && test -n "$PATH" && echo yes`), out: "yes\n"},
		"directory":       {cmd: with(script("pwd"), func(c *runtime.Cmd) { c.Dir = "/usr" }), out: "/usr\n"},
		"stdin":           {cmd: with(script("cat"), func(c *runtime.Cmd) { c.Stdin = strings.NewReader("fed") }), out: "fed"},
		"no stdin":        {cmd: script("cat; echo end"), out: "end\n"},
		"timeout": {
			cmd:  with(script("sleep 600 & sleep 600"), func(c *runtime.Cmd) { c.Timeout = 200 * time.Millisecond }),
			want: runtime.Exit{Code: -1, Signal: "killed", TimedOut: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			exit, out, errs := m.exec(t, id, 1, tt.cmd)
			exit.Duration = 0
			if exit != tt.want || out != tt.out || errs != tt.err {
				t.Errorf("got %+v %q %q, want %+v %q %q", exit, out, errs, tt.want, tt.out, tt.err)
			}
			if took := time.Since(begun); took > slow {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("users", func(t *testing.T) { execsAs(t, m, id) })
	t.Run("large output", func(t *testing.T) { execsLarge(t, m, id) })
	t.Run("a done context", func(t *testing.T) { execCancelled(t, m, id) })
	t.Run("refused", func(t *testing.T) { execRefused(t, m, id) })
}

// notRun checks what holds even where commands are only played.
func notRun(t *testing.T, m *machine) {
	d, ok := m.Driver.(runtime.Execer)
	if !ok {
		t.Log("NOT shown: the driver has no Exec")
		return
	}
	id := m.created(t)
	if _, err := d.Exec(limited(t), 1, id, runtime.Cmd{Argv: []string{"true"}}); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("exec before start: got %v, want ErrNotRunning", err)
	}
}

func execsAs(t *testing.T, m *machine, id runtime.ID) {
	for _, user := range m.suite.Users {
		if _, out, errs := m.exec(t, id, 1, runtime.Cmd{Argv: []string{"id", "-un"}, User: user}); out != user+"\n" {
			t.Errorf("as %s: got %q %q", user, out, errs)
		}
	}
}

func execsLarge(t *testing.T, m *machine, id runtime.ID) {
	const size = 8 << 20
	in := strings.Repeat("0123456789abcdef", size/16)
	_, out, _ := m.exec(t, id, 1, runtime.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(in)})
	if out != in {
		t.Errorf("%d bytes went in, %d came out, equal: %v", len(in), len(out), in == out)
	}
}

func execCancelled(t *testing.T, m *machine, id runtime.ID) {
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := m.commands().Exec(ctx, 1, id, runtime.Cmd{
			Argv: []string{"/bin/sh", "-c", "sleep 600 & echo $!; wait"}, Stdout: in,
		})
		in.CloseWithError(io.EOF)
		ended <- err
	}()
	line := make([]byte, 32)
	n, err := out.Read(line)
	must(t, "read the child's pid", err)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	// The child is gone, or a zombie that nobody has waited for yet.
	child := strings.TrimSpace(string(line[:n]))
	m.prints(t, id, 1, `for i in 1 2 3 4 5 6 7 8 9 10; do
		case "$(cut -d' ' -f3 /proc/`+child+`/stat 2>/dev/null)" in ""|Z|X) echo gone; exit;; esac; sleep 0.1
	done; echo lives`, "gone\n")
}

func execRefused(t *testing.T, m *machine, id runtime.ID) {
	for name, cmd := range map[string]runtime.Cmd{
		"nothing":         {},
		"no such command": {Argv: []string{"no-such-command-here"}},
		"no such folder":  {Argv: []string{"true"}, Dir: "/no/such/folder"},
	} {
		if _, err := m.commands().Exec(limited(t), 1, id, cmd); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	if _, err := m.commands().Exec(limited(t), 1, id, runtime.Cmd{Argv: []string{"true"}}); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("on a stopped computer: got %v, want ErrNotRunning", err)
	}
}

// execStops shows that Stop does not wait for commands, nor they for ever.
func execStops(t *testing.T, m *machine) {
	if m.commands() == nil {
		t.Log("NOT shown: commands do not really run")
		return
	}
	id := m.running(t)
	out, in := io.Pipe()
	ended := make(chan string, 1)
	ctx := limited(t)
	go func() {
		exit, err := m.commands().Exec(ctx, 1, id, runtime.Cmd{
			Argv: []string{"/bin/sh", "-c", "echo on; sleep 600"}, Stdout: in,
		})
		in.CloseWithError(io.EOF)
		if err == nil && exit.Code != -1 && exit.Code < 128 {
			ended <- "as if nothing had happened"
		}
		close(ended)
	}()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatalf("read the first line: %v", err)
	}
	begun := time.Now()
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	select {
	case how := <-ended:
		if how != "" {
			t.Errorf("the command ended %s", how)
		}
	case <-time.After(slow):
		t.Error("the command outlives its computer")
	}
	if took := time.Since(begun); took > slow {
		t.Errorf("it took %v", took)
	}
}

func filesOutlive(t *testing.T, m *machine) {
	if m.commands() == nil {
		t.Log("NOT shown: commands do not really run")
		return
	}
	id := m.running(t)
	m.prints(t, id, 1, "echo kept > file && mkdir -p a/b && ln -s file a/link && pwd | wc -l", "1\n")
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	must(t, "start", m.Start(limited(t), 1, id))
	m.prints(t, id, 1, "cat file; readlink a/link; test -d a/b && echo dir", "kept\nfile\ndir\n")
}

// stopForces shows that a computer cannot refuse to stop.
func stopForces(t *testing.T, m *machine) {
	if m.commands() == nil {
		t.Log("NOT shown: commands do not really run")
		return
	}
	id := m.running(t)
	out, in := io.Pipe()
	ctx := limited(t)
	go func() {
		defer in.CloseWithError(io.EOF)
		// How it ends is not the point: it must end.
		_, _ = m.commands().Exec(ctx, 1, id, runtime.Cmd{
			Argv: []string{"/bin/sh", "-c", `trap "" TERM HUP INT; echo deaf; while :; do sleep 1; done`}, Stdout: in,
		})
	}()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatalf("read the first line: %v", err)
	}
	begun := time.Now()
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	if took := time.Since(begun); took > slow {
		t.Errorf("stopping took %v", took)
	}
	m.inPhase(t, id, runtime.Stopped)
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Errorf("read the command's output: %v", err)
	}
}
