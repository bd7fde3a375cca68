package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeVariable makes this test binary a node of a fleet, as far as the fleet
// can tell: it answers /readyz, belongs to a cluster once it has, and says
// what it was started with.
const fakeVariable = "BOTHY_TEST_FAKE_NODE"

func fakeNode(args []string) int {
	flags := map[string]string{}
	for i := 2; i+1 < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	dir := flags["--data-dir"]
	member := filepath.Join(dir, memberFile)
	_, err := os.Stat(member)
	fmt.Printf("joins with %q, member %v, pid %d\n", os.Getenv(joinVariable), err == nil, os.Getpid())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 1
	}
	if err := os.WriteFile(member, nil, 0o600); err != nil {
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	server := &http.Server{Addr: flags["--http"], Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.ListenAndServe()
	<-ended
	fmt.Println("ends as told")
	return 0
}

// screen is what a program has printed so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// shows waits until the screen shows a text.
func (s *screen) shows(t *testing.T, text string, times int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d times %q on the screen", times, text), 20*time.Second, func() error {
		if n := strings.Count(s.String(), text); n < times {
			return fmt.Errorf("%d times in:\n%s", n, s)
		}
		return nil
	})
}

// eventually waits for a fact.
func eventually(t testing.TB, what string, within time.Duration, fact func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := fact()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Ports that tests listen on again after a node was killed lie below those that
// the kernel gives to connections: one of those could take a port meanwhile.
const (
	firstPort = 15_000
	lastPort  = 32_000
)

// freePorts finds n ports in a row that nobody listens on now.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort-n)
		if !handedOut.take(port, n) {
			continue
		}
		var held []net.Listener
		for i := range n {
			if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+i)); err == nil {
				held = append(held, l)
			}
		}
		for _, l := range held {
			l.Close()
		}
		if len(held) == n {
			return port
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// handedOut are the ports that tests of this process have had: a node binds its own
// seconds later, when another test must not have been given them.
var handedOut ports

type ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

func (p *ports) take(port, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		if p.taken[port+i] {
			return false
		}
	}
	if p.taken == nil {
		p.taken = map[int]bool{}
	}
	for i := range n {
		p.taken[port+i] = true
	}
	return true
}

// aFleet makes a fleet of fake nodes.
func aFleet(t *testing.T, config Config, out *screen) (f *fleet, tokens *int) {
	t.Helper()
	tokens = new(int)
	f = &fleet{log: newPrefixer(out), token: func(_ context.Context, _, dir string) (string, error) {
		*tokens++
		return fmt.Sprintf("token%d of %s", *tokens, filepath.Base(dir)), nil
	}}
	for i := range 3 {
		m, err := newMember(config, os.Args[0], "", i)
		if err != nil {
			t.Fatal(err)
		}
		f.members = append(f.members, m)
	}
	return f, tokens
}

func TestFleet(t *testing.T) {
	t.Setenv(fakeVariable, "1")
	t.Setenv("BOTHY_HTTP", "not for the children")
	config := DefaultConfig()
	config.Node.Dir = t.TempDir()
	config.HTTP.Addr = "127.0.0.1:" + strconv.Itoa(freePorts(t, 3))

	out := &screen{}
	f, tokens := aFleet(t, config, out)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()

	out.shows(t, "n1 | joins with \"\", member false", 1)
	out.shows(t, "n2 | joins with \"token1 of n1\", member false", 1)
	out.shows(t, "n3 | joins with \"token2 of n1\", member false", 1)
	if *tokens != 2 {
		t.Errorf("%d tokens were made", *tokens)
	}
	_, pid, _ := strings.Cut(lineOf(out.String(), "n2 | joins"), "pid ")
	kill(t, pid, syscall.SIGKILL)
	out.shows(t, "n2 ended: signal: killed. The others go on; start it again with: "+f.members[1].command(), 1)

	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "n2: signal: killed") {
		t.Errorf("the fleet ended with %v", err)
	}
	out.shows(t, "ends as told", 2)
	if strings.Contains(out.String(), "n2 | ends as told") {
		t.Error("a node that was killed came back")
	}

	// All belong to the cluster now, so none waits for another.
	again := &screen{}
	f, tokens = aFleet(t, config, again)
	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- f.run(ctx) }()
	again.shows(t, "member true", 3)
	stop()
	if err := <-ended; err != nil || *tokens != 0 {
		t.Errorf("ended with %v after %d tokens", err, *tokens)
	}
}

func TestANodeThatLostItsDirectoryJoinsTheOthers(t *testing.T) {
	config := DefaultConfig()
	config.Node.Dir = t.TempDir()
	f, _ := aFleet(t, config, &screen{})
	for _, m := range f.members[1:] {
		if err := os.MkdirAll(m.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.dir, memberFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	founder, joiners := f.sort()
	if founder.name != "n2" || len(joiners) != 1 || joiners[0].name != "n1" {
		t.Errorf("founder %s, joiners %v: n1 would make a second cluster", founder.name, joiners)
	}
}

func TestMembersCommandsCanBePasted(t *testing.T) {
	m := &member{argv: []string{"/opt/my bothy", "up", "--id", "n1", "--domain", "it's"}}
	if got, want := m.command(), `'/opt/my bothy' up --id n1 --domain 'it'\''s'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// lineOf is the first line that begins with a text.
func lineOf(text, begins string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begins) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// kill sends a signal to a process of this test.
func kill(t *testing.T, pid string, signal syscall.Signal) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil || n <= 1 {
		t.Fatalf("%q is no process", pid)
	}
	if err := syscall.Kill(n, signal); err != nil {
		t.Fatal(err)
	}
}
