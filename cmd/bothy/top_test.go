package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// top watches a run in a terminal of its own, as a person would, and in a pipe.
func (p *process) top() {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), binary, "top", "--every", "200ms")
	cmd.Env = append(childEnv(os.Environ(), ""), urlVariable+"="+p.url, keyVariable+"="+p.key())
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 200})
	if err != nil {
		p.t.Fatal(err)
	}
	defer tty.Close()
	shown := &screen{}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := tty.Read(b)
			_, _ = shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	shown.shows(p.t, "hut", 1)
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		p.bothy("run", "```bash\nsleep 2.5\n```")
	}()
	shown.shows(p.t, "$ sleep 2.5", 1)
	if once, code := p.bothy("top", "--once"); code != 0 || !strings.Contains(once, "leader hut") || !strings.Contains(once, "running") || strings.Contains(once, "\x1b") {
		p.t.Errorf("top --once: exit %d, %s", code, once)
	}
	<-ran
	if _, err := tty.Write([]byte("q")); err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		p.t.Errorf("top ended with %v", err)
	}
	shown.shows(p.t, screenClose, 1)
}

// TestFramesFitTheScreen draws much on screens of each size.
func TestFramesFitTheScreen(t *testing.T) {
	p := newTopper(nil)
	now := time.Now()
	started := wire.At(now.Add(-90 * time.Minute))
	for range 5 {
		p.seen.Status.Nodes = append(p.seen.Status.Nodes, wire.NodeStatus{Name: "node"})
	}
	for range 40 {
		p.seen.Computers.Data = append(p.seen.Computers.Data, wire.Computer{ID: "idle", Phase: "stopped"})
	}
	p.seen.Computers.Data = append(p.seen.Computers.Data, wire.Computer{ID: "busy", Name: "bad\x1b[2Jname", Phase: "running", StartedAt: &started})
	for range 30 {
		p.seen.Runs.Data = append(p.seen.Runs.Data, wire.Thread{ID: "thread_1", UpdatedAt: started})
	}
	for _, size := range [][2]int{{200, 60}, {80, 24}, {20, 10}, {5, 3}, {1, 1}} {
		lines := p.frame(now, nil).lines(size[0], size[1])
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > size[0] || strings.Contains(line, "\x1b") {
				t.Errorf("%v: %d letters in %q", size, n, line)
			}
		}
	}
	whole := strings.Join(p.frame(now, nil).lines(200, 60), "\n")
	for _, text := range []string{"leader none: writes wait", "busy", "1h30m", "more"} {
		if !strings.Contains(whole, text) {
			t.Errorf("no %q in\n%s", text, whole)
		}
	}
}

func TestWhatARunIsDoing(t *testing.T) {
	code := 1
	var a activity
	for _, c := range []struct {
		event wire.Event
		line  string
	}{
		{wire.Event{Type: wire.ContentPartDelta, Delta: &wire.Delta{Text: "First\nI will "}}, "I will"},
		{wire.Event{Type: wire.ContentPartDelta, Delta: &wire.Delta{Text: "look."}}, "I will look."},
		{wire.Event{Type: wire.ReasoningDelta}, "thinking"},
		{wire.Event{Type: wire.ToolStarted, Item: &wire.Item{Type: "tool_call", Tool: &wire.Tool{Command: "cd x\nmake"}}}, "$ make"},
		{wire.Event{Type: wire.ItemCompleted, Item: &wire.Item{Type: "tool_call", Tool: &wire.Tool{Command: "make", ExitCode: &code}}}, "$ make → exit 1"},
		{wire.Event{Type: wire.ToolStarted, Item: &wire.Item{Type: "tool_call", Name: "read", Tool: &wire.Tool{FilePath: "a.txt"}}}, "read a.txt"},
		{wire.Event{Type: wire.ResponseNotice, Message: "slow"}, "! slow"},
		{wire.Event{Type: wire.ContentPartDelta, Delta: &wire.Delta{Text: strings.Repeat("x", 2*maxHeard)}}, strings.Repeat("x", maxHeard)},
	} {
		if a.hear(c.event); a.line != c.line {
			t.Errorf("%s: %q, want %q", c.event.Type, a.line, c.line)
		}
	}
}
