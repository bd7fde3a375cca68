package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// takeoverTime is how long a run may stand still when its node dies: 20 s,
	// and the 5 s that the step taken up again waits for its socket.
	takeoverTime = 25 * time.Second
	// runTime bounds a whole run of these tests.
	runTime = 3 * time.Minute
)

// countingMessage is a run whose second step counts into a socket for as long
// as its computer lives. On another node, where nobody made that socket, the
// step says so and ends; retry lets it be run again.
const countingMessage = "```bash\necho first step > ready.txt; cat ready.txt\n```\n```bash retry\n" + `python3 - <<'PY'
import os, socket, time
path = '/workspace/counter.sock'
for _ in range(50):
    if os.path.exists(path):
        break
    time.sleep(0.1)
else:
    print('second step: nobody listens here')
    raise SystemExit
s = socket.socket(socket.AF_UNIX)
s.connect(path)
for n in range(10**9):
    s.send(b'%d\n' % n)
    time.sleep(0.005)
PY
` + "```\n```bash\necho third step\n```\n"

// watched is a run as a client sees it.
type watched struct {
	mu     sync.Mutex
	events []client.Event
	result client.Result
	err    error
	done   chan struct{}
}

// watch sends a message and follows its run in the background.
func watch(t *testing.T, c *client.Client, message client.Message) *watched {
	w := &watched{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	t.Cleanup(func() { cancel(); <-w.done })
	go func() {
		defer close(w.done)
		w.result, w.err = c.Run(ctx, message, func(e client.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			return nil
		})
	}()
	return w
}

func (w *watched) seen() []client.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// saw waits for an event and returns it.
func (w *watched) saw(t *testing.T, what string, is func(client.Event) bool) client.Event {
	t.Helper()
	var found client.Event
	eventually(t, what, runTime, func() error {
		events := w.seen()
		at := slices.IndexFunc(events, is)
		if at < 0 {
			return fmt.Errorf("not among %s", jsonText(t, events))
		}
		found = events[at]
		return nil
	})
	return found
}

// completed is the end of a tool call whose output holds a text.
func completed(text string) func(client.Event) bool {
	return func(e client.Event) bool {
		return e.Type == wire.ItemCompleted && e.Item != nil && e.Item.Tool != nil && strings.Contains(e.Item.Tool.Output, text)
	}
}

// ended waits for the run and checks that each event was seen once, in order.
func (w *watched) ended(t *testing.T) {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(runTime):
		t.Fatal("the run does not end")
	}
	if w.err != nil {
		t.Fatalf("the run: %v", w.err)
	}
	last := uint64(0)
	told := map[string]bool{}
	for _, e := range w.seen() {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq < last {
			t.Errorf("event %d came after %d", e.Seq, last)
		}
		if told[string(line)] {
			t.Errorf("an event came twice: %s", line)
		}
		last, told[string(line)] = e.Seq, true
	}
}

// longestSilence is the longest time between two events, as they were
// committed: a client notices later that its own node says nothing.
func (w *watched) longestSilence() (longest time.Duration) {
	events := w.seen()
	for i := 1; i < len(events); i++ {
		longest = max(longest, events[i].Timestamp.Sub(events[i-1].Timestamp.Time))
	}
	return longest
}

// ownerOf is the name of the node that owns a thread's computer, as those of
// the nodes say that answer.
func ownerOf(t *testing.T, nodes []*process, thread string) string {
	t.Helper()
	var owner string
	eventually(t, "somebody owns the thread", startTime, func() error {
		for _, p := range nodes {
			if p.cmd.ProcessState != nil {
				continue
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/threads/"+thread, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+nodes[0].key())
			resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if owner = resp.Header.Get("X-Bothy-Owner"); owner != "" {
				return nil
			}
		}
		return errors.New("nobody")
	})
	return owner
}

// counter listens in a computer's workspace, on the node's side of it.
type counter struct {
	mu   sync.Mutex
	conn net.Conn
	last time.Time // something came
	n    int       // bytes that came
}

// listenInWorkspace finds the one workspace of a node that has ready.txt.
func listenInWorkspace(t *testing.T, p *process) *counter {
	t.Helper()
	var found []string
	eventually(t, "a workspace", startTime, func() (err error) {
		found, err = filepath.Glob(filepath.Join(p.dir, "volumes", "pool", "computers", "*", "workspace", "ready.txt"))
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d workspaces", len(found))
		}
		return err
	})
	dir, err := os.Open(filepath.Dir(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	// The path of the directory itself is too long for a socket.
	path := fmt.Sprintf("/proc/self/fd/%d/counter.sock", dir.Fd())
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{}
	ended := make(chan struct{})
	go func() { defer close(ended); c.read(l) }()
	t.Cleanup(func() { l.Close(); c.close(); <-ended; dir.Close() })
	eventually(t, "the counter runs", startTime, func() error {
		if c.count() < 10 {
			return fmt.Errorf("at %d", c.count())
		}
		return nil
	})
	return c
}

func (c *counter) read(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.last, c.n = time.Now(), c.n+n
		c.mu.Unlock()
	}
}

func (c *counter) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) stoodStillAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// loseOwner runs countingMessage on three nodes and does something to the
// process of the node that owns its computer. The counter must stand still
// before another node owns the computer, and the run goes on there.
func loseOwner(t *testing.T, lose func(*process)) (nodes []*process, owner *process, thread string, w *watched, c *counter) {
	t.Helper()
	nodes = launch(t, "n1", "n2", "n3")
	calls := clientOf(t, nodes...)
	// A stopped node takes connections and never answers.
	calls.HTTP = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 5 * time.Second}}
	w = watch(t, calls, client.Message{Content: countingMessage})
	w.saw(t, "the first step", completed("first step"))
	thread = w.saw(t, "the thread", func(e client.Event) bool { return e.Thread != nil }).Thread.ID
	owner = named(nodes, ownerOf(t, nodes, thread))
	c = listenInWorkspace(t, owner)
	lose(owner)
	others := without(nodes, owner)
	eventually(t, "another node owns the thread", runTime, func() error {
		if next := ownerOf(t, others, thread); next == owner.name {
			return fmt.Errorf("%s still does", owner.name)
		}
		return nil
	})
	moved := time.Now()
	w.ended(t)
	if w.result.Run.Status != "success" {
		t.Errorf("the run ended as %+v", w.result.Run)
	}
	w.saw(t, "the second step", completed("nobody listens here"))
	w.saw(t, "the third step", completed("third step"))
	if silent := w.longestSilence(); silent > takeoverTime {
		t.Errorf("the run stood still for %s, want at most %s", silent, takeoverTime)
	}
	if last := c.stoodStillAt(); !last.Before(moved) {
		t.Errorf("the old computer still counted %s after it had a new owner", last.Sub(moved))
	}
	return nodes, owner, thread, w, c
}

// TestRunOutlivesItsNode kills the node that owns a running thread. The run
// goes on at another, and its client sees every event once, in order.
func TestRunOutlivesItsNode(t *testing.T) {
	t.Parallel()
	loseOwner(t, (*process).kill)
}

// TestStoppedNodeLosesItsComputers stops only the process of the node that
// owns a running thread: to the others it is as dead, and when it goes on it
// does nothing in its old epoch.
func TestStoppedNodeLosesItsComputers(t *testing.T) {
	t.Parallel()
	nodes, owner, thread, w, c := loseOwner(t, func(p *process) { p.signal(syscall.SIGSTOP) })
	counted, told := c.count(), len(w.seen())
	owner.signal(syscall.SIGCONT)
	owner.ready()
	if next := ownerOf(t, nodes, thread); next == owner.name {
		t.Errorf("%s took the thread back", owner.name)
	}
	replayed := 0
	if err := clientOf(t, nodes...).Replay(t.Context(), thread, 0, func(client.Event) error { replayed++; return nil }); err != nil {
		t.Fatal(err)
	}
	// The stream of the request alone has thread.created.
	if replayed != told-1 {
		t.Errorf("the log has %d events after the old owner came back, the stream had %d", replayed, told-1)
	}
	if now := c.count(); now != counted {
		t.Errorf("the old computer counted on, from %d to %d", counted, now)
	}
}

func named(nodes []*process, name string) *process {
	return nodes[slices.IndexFunc(nodes, func(p *process) bool { return p.name == name })]
}

func without(nodes []*process, gone *process) []*process {
	return slices.DeleteFunc(slices.Clone(nodes), func(p *process) bool { return p == gone })
}

// TestKilledNodeComesBack kills each node in turn, the founder first, which
// knows no others but by its records, and starts it again by its own command.
func TestKilledNodeComesBack(t *testing.T) {
	t.Parallel()
	nodes := launch(t, "n1", "n2", "n3")
	for _, p := range nodes {
		p.kill()
		p.start("")
		p.ready()
		p.postThread("```bash\necho back\n```")
	}
}
