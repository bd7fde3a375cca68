package guest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestExecTellsHowACommandEnded(t *testing.T) {
	c, _ := serve(t)
	tests := map[string]struct {
		cmd            runtime.Cmd
		want           runtime.Exit
		stdout, stderr string
	}{
		"success":              {cmd: runtime.Cmd{Argv: []string{"true"}}},
		"a code":               {cmd: runtime.Cmd{Argv: sh("exit 7")}, want: runtime.Exit{Code: 7}},
		"a signal":             {cmd: runtime.Cmd{Argv: sh("kill -TERM $$")}, want: runtime.Exit{Code: -1, Signal: "terminated"}},
		"streams apart":        {cmd: runtime.Cmd{Argv: sh("echo out; echo err >&2")}, stdout: "out\n", stderr: "err\n"},
		"environment":          {cmd: runtime.Cmd{Argv: sh(`echo "$A-$USER-$HOME"`), Env: []string{"A=b=c"}}, stdout: "b=c-root-/root\n"},
		"directory":            {cmd: runtime.Cmd{Argv: []string{"pwd"}, Dir: "/usr"}, stdout: "/usr\n"},
		"user":                 {cmd: runtime.Cmd{Argv: []string{"id", "-un"}, User: "nobody", Dir: "/"}, stdout: "nobody\n"},
		"stdin":                {cmd: runtime.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader("in")}, stdout: "in"},
		"empty stdin":          {cmd: runtime.Cmd{Argv: []string{"cat"}}},
		"unread stdin":         {cmd: runtime.Cmd{Argv: []string{"true"}, Stdin: strings.NewReader(strings.Repeat("x", 1<<20))}},
		"timeout":              {cmd: runtime.Cmd{Argv: sh("sleep 60 & sleep 60"), Timeout: 100 * time.Millisecond}, want: runtime.Exit{Code: -1, Signal: "killed", TimedOut: true}},
		"a daemon is no delay": {cmd: runtime.Cmd{Argv: sh("sleep 2 & echo on")}, stdout: "on\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tt.cmd.Stdout, tt.cmd.Stderr = &stdout, &stderr
			begun := time.Now()
			got, err := c.Exec(t.Context(), tt.cmd)
			if err != nil {
				t.Fatal(err)
			}
			got.Duration = 0
			if got != tt.want || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("got %+v %q %q, want %+v %q %q", got, &stdout, &stderr, tt.want, tt.stdout, tt.stderr)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestExecRefuses(t *testing.T) {
	c, socket := serve(t)
	tests := map[string]runtime.Cmd{
		"nothing to run":    {},
		"no such command":   {Argv: []string{"no-such-command"}},
		"no such file":      {Argv: []string{"/no/such/file"}},
		"no such user":      {Argv: []string{"true"}, User: "nobody-here"},
		"no such dir":       {Argv: []string{"true"}, Dir: "/no/such/dir"},
		"a broken variable": {Argv: []string{"true"}, Env: []string{"novalue"}},
	}
	for name, cmd := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Exec(t.Context(), cmd); !errors.Is(err, runtime.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Exec(t.Context(), runtime.Cmd{Argv: []string{"true"}}); !errors.Is(err, runtime.ErrNotRunning) {
		t.Errorf("without a socket: got %v, want ErrNotRunning", err)
	}
}

// A done context ends the children of the command too.
func TestExecKillsTheGroupWhenItsContextIsDone(t *testing.T) {
	c, _ := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, runtime.Cmd{Argv: sh("sleep 60 & echo $!; wait"), Stdout: in})
		in.Close()
		done <- err
	}()
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	child := strings.TrimSpace(string(line[:n]))
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	gone(t, child)
}

// gone waits until a process is no more, or is only waited for.
func gone(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives: %s", pid, stat)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestExecCarriesLargeOutputWhole(t *testing.T) {
	c, _ := serve(t)
	const size = 20 << 20
	var out count
	exit, err := c.Exec(t.Context(), runtime.Cmd{Argv: sh("head -c 20971520 /dev/zero"), Stdout: &out})
	if err != nil || exit.Code != 0 || out != size {
		t.Errorf("got %d bytes, %+v, %v; want %d", out, exit, err, size)
	}
}

type count int

func (c *count) Write(p []byte) (int, error) { *c += count(len(p)); return len(p), nil }

func TestExecStopsWhenOutputCannotBeWritten(t *testing.T) {
	c, _ := serve(t)
	r, w := io.Pipe()
	r.Close()
	_, err := c.Exec(t.Context(), runtime.Cmd{Argv: []string{"yes"}, Stdout: w})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want io.ErrClosedPipe", err)
	}
}

func BenchmarkExec(b *testing.B) {
	c, _ := serve(b)
	for b.Loop() {
		if _, err := c.Exec(b.Context(), runtime.Cmd{Argv: []string{"/bin/true"}}); err != nil {
			b.Fatal(err)
		}
	}
}
