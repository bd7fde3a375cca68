package proc

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(asInit) != "" {
		os.Exit(beInit())
	}
	goleak.VerifyTestMain(m)
}

func table(t *testing.T) *Table {
	t.Helper()
	tb := NewTable(OwnOnly, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { tb.Close(time.Second) })
	return tb
}

func shell(script string) Spec {
	return Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/"}
}

func start(t *testing.T, tb *Table, spec Spec) (*Process, *Subscription) {
	t.Helper()
	p, sub, err := tb.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p, sub
}

// collect reads to the end.
func collect(t *testing.T, sub *Subscription) (out string, end *End) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case ev, open := <-sub.C:
			if !open {
				return out, end
			}
			out += string(ev.Data)
			if ev.End != nil {
				end = ev.End
			}
		case <-limit:
			t.Fatalf("no end; output so far %q", out)
		}
	}
}

func TestOutputThenEnd(t *testing.T) {
	tb := table(t)
	for script, want := range map[string]struct{ out, end string }{
		"echo a; exit 3": {"a\n", "exit status 3"},
		"kill -9 $$":     {"", "signal: killed"},
		"exec >&- 2>&-":  {"", "exit status 0"},
		// What a child prints soon after is still heard, and nothing waits for it.
		"(echo b; sleep 2) & sleep 0.01": {"b\n", "exit status 0"},
	} {
		begun := time.Now()
		_, sub := start(t, tb, shell(script))
		if out, end := collect(t, sub); end == nil || out != want.out || end.String() != want.end {
			t.Errorf("%s: got %q %v, want %+v", script, out, end, want)
		}
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("%s: took %v", script, took)
		}
	}
}

// A listener that reads slowly stops the process, and loses nothing.
func TestASlowListenerHoldsTheProcess(t *testing.T) {
	tb := table(t)
	const size = 4 << 20
	p, sub := start(t, tb, shell("head -c 4194304 /dev/zero; echo done >&2"))
	select {
	case <-p.Done():
		t.Fatal("the process ended though nobody read")
	case <-time.After(200 * time.Millisecond): // more than it needs for 4 MiB
	}
	if out, end := collect(t, sub); len(out) != size+len("done\n") || end == nil {
		t.Errorf("%d bytes of %d, %v", len(out), size, end)
	}
}

// A listener that stops reading is cut when another one waits for it.
func TestAStalledListenerIsCut(t *testing.T) {
	tb := table(t)
	tb.stall = 2 * time.Second // much longer than a busy machine holds up one that reads
	spec := shell("read x; head -c 4194304 /dev/zero")
	spec.Stdin = true
	p, stalled := start(t, tb, spec)
	reads, err := p.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), []byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if out, end := collect(t, reads); len(out) != 4<<20 || end == nil {
		t.Errorf("the other got %d bytes, %v", len(out), end)
	}
	select {
	case <-stalled.Cut:
	default:
		t.Error("the stalled one was not cut")
	}
}

func TestACancelledListenerHoldsNobody(t *testing.T) {
	tb := table(t)
	p, sub := start(t, tb, shell("head -c 4194304 /dev/zero"))
	sub.Cancel()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Error("the process waits for a listener that left")
	}
}

func TestLateListenersGetTheEnd(t *testing.T) {
	tb := table(t)
	spec := shell("exit 6")
	spec.Tag = "six"
	p, sub := start(t, tb, spec)
	collect(t, sub)
	for range MaxListeners + 1 {
		late, err := p.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		if _, end := collect(t, late); end == nil || end.Code() != 6 {
			t.Errorf("the end is %v", end)
		}
	}
	if found, err := tb.FindTag("six"); err != nil || found != p {
		t.Errorf("by tag: %v, %v", found, err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrExited) {
		t.Errorf("a signal after the end: %v", err)
	}
	if len(tb.List()) != 0 {
		t.Error("an ended process is listed")
	}
}

func TestListenersAreBounded(t *testing.T) {
	tb := table(t)
	p, first := start(t, tb, shell("sleep 60"))
	for range MaxListeners - 1 {
		if _, err := p.Subscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Subscribe(); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	first.Cancel()
	if _, err := p.Subscribe(); err != nil {
		t.Errorf("after one left: %v", err)
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	tb := table(t)
	spec := shell("sleep 60 & echo $!; wait")
	spec.Timeout = 100 * time.Millisecond
	_, sub := start(t, tb, spec)
	out, end := collect(t, sub)
	if end == nil || !end.TimedOut || end.String() != "signal: killed" {
		t.Errorf("the end is %v", end)
	}
	child := strings.TrimSpace(out)
	deadline := time.Now().Add(5 * time.Second)
	for {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child lives: %s", stat)
		}
		time.Sleep(time.Millisecond)
	}
}

// A writer waits for a process that does not read, but not longer than its
// own context, nor than the process lives.
func TestWriteWaitsNotForEver(t *testing.T) {
	tb := table(t)
	spec := shell("sleep 60")
	spec.Stdin = true
	p, sub := start(t, tb, spec)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Write(ctx, make([]byte, 1<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- p.Write(t.Context(), make([]byte, 1<<20)) }()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	collect(t, sub)
	if err := <-wrote; !errors.Is(err, ErrNoStdin) {
		t.Errorf("got %v, want ErrNoStdin", err)
	}
}

func TestStartFails(t *testing.T) {
	tb := table(t)
	for name, spec := range map[string]Spec{
		"no file":      {Path: "/no/such", Argv: []string{"x"}, Dir: "/"},
		"no directory": {Path: "/bin/true", Argv: []string{"true"}, Dir: "/no/such"},
		"no program":   {Path: "/etc/passwd", Argv: []string{"x"}, Dir: "/"},
	} {
		if _, _, err := tb.Start(spec); !errors.Is(err, ErrStart) {
			t.Errorf("%s: got %v, want ErrStart", name, err)
		}
	}
	tb.Close(0)
	if _, _, err := tb.Start(shell("true")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestCloseEndsWhatIgnoresIt(t *testing.T) {
	tb := NewTable(OwnOnly, slog.New(slog.DiscardHandler))
	_, polite := start(t, tb, shell("trap 'echo bye; exit 0' TERM; echo on; while :; do sleep 0.05; done"))
	_, deaf := start(t, tb, shell("trap '' TERM; echo on; while :; do sleep 0.05; done"))
	for _, sub := range []*Subscription{polite, deaf} {
		if ev := <-sub.C; string(ev.Data) != "on\n" {
			t.Fatalf("got %q", ev.Data)
		}
	}
	tb.Close(500 * time.Millisecond)
	if out, end := collect(t, polite); !strings.Contains(out, "bye\n") || end == nil || end.Code() != 0 {
		t.Errorf("the polite one printed %q and ended %v", out, end)
	}
	if _, end := collect(t, deaf); end == nil || end.String() != "signal: killed" {
		t.Errorf("the deaf one ended %v", end)
	}
}

func TestEndedProcessesAreForgotten(t *testing.T) {
	tb := table(t)
	first, sub := start(t, tb, shell("true"))
	collect(t, sub)
	tb.mu.Lock()
	first.endedAt = time.Now().Add(-2 * Retention)
	tb.mu.Unlock()
	if _, err := tb.Find(first.PID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	for range MaxEnded + 5 {
		tb.retire(&Process{pid: -1})
	}
	if n := len(tb.ended); n != MaxEnded {
		t.Errorf("%d are remembered, want %d", n, MaxEnded)
	}
}
