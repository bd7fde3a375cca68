package warden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// Words that make the test binary something else.
const (
	wardenArg = "be-a-warden" // DIR NODE
	nodeArg   = "be-a-node"   // DIR: pushes deadlines until it is stopped
)

const (
	leaseTime  = 300 * time.Millisecond
	renewEvery = 50 * time.Millisecond
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 4 && os.Args[1] == wardenArg:
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := Main(context.Background(), Options{Dir: os.Args[2], Node: os.Args[3], Log: log}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		syscall.Exit(0) // os.Exit lingers for a second under the race detector
	case len(os.Args) == 3 && os.Args[1] == nodeArg:
		renew(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

// renew is a node that holds its lease.
func renew(dir string) {
	ctx := context.Background()
	c, err := Connect(ctx, dir)
	for err == nil {
		err = c.SetDeadline(ctx, Now().Add(leaseTime))
		time.Sleep(renewEvery)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type bench struct {
	*Client
	dir, node string
	group     cgroup.Group
}

func newBench(t *testing.T) *bench {
	t.Helper()
	tree, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	// Deep enough that the socket's whole path would not fit its address.
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 20))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: dir, node: fmt.Sprintf("bothytest-%d", time.Now().UnixNano())}
	b.group = Group(tree, b.node)
	b.Client, err = Spawn(t.Context(), SpawnOptions{
		Argv: []string{"/proc/self/exe", wardenArg, dir, b.node}, Dir: dir, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := b.group.Remove(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(dir, logName)); err != nil || strings.Contains(string(log), "DATA RACE") {
			t.Errorf("in the warden: %s %v", log, err)
		}
	})
	return b
}

// counter runs in a group below the node's, as a computer would.
func (b *bench) counter(t *testing.T, name string) func() int64 {
	t.Helper()
	g := b.group.Child(name)
	if err := g.Make(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "count")
	cmd := exec.Command("/bin/sh", "-c", "while :; do echo >> "+file+"; sleep 0.002; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.SetDeadline(ctx, NoDeadline)
		go func() { _ = cmd.Wait() }()
		if err := g.Kill(ctx); err != nil {
			t.Error(err)
		}
		await(t, "the group is gone", func() bool { return g.Remove() == nil })
	})
	dir, err := g.Dir("freezer")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
}

func await(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if fact() {
			return
		}
	}
	t.Errorf("never came true: %s", what)
}

func moves(t *testing.T, count func() int64) {
	t.Helper()
	was := count()
	await(t, "the counter moves", func() bool { return count() > was })
}

func stands(t *testing.T, count func() int64) {
	t.Helper()
	was := count()
	time.Sleep(60 * time.Millisecond) // thirty steps of a counter that moved
	if now := count(); now != was {
		t.Errorf("the counter moved from %d to %d", was, now)
	}
}

func (b *bench) fenced(t *testing.T) bool {
	t.Helper()
	st, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Fenced
}

func TestRunTellsHowACommandEnded(t *testing.T) {
	b := newBench(t)
	run := func(script string, limit time.Duration) Result {
		t.Helper()
		res, err := b.Run(t.Context(), Command{Argv: []string{"/bin/sh", "-c", script}, Timeout: limit})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if got := run("echo out; echo err >&2; exit 3", 0); got != (Result{Code: 3, Output: "out\nerr\n"}) {
		t.Errorf("%+v", got)
	}
	if got := run("kill -9 $$", 0); got.Code != -1 || got.TimedOut {
		t.Errorf("killed: %+v", got)
	}
	if got := run("sleep 60 & sleep 60", 50*time.Millisecond); got.Code != -1 || !got.TimedOut {
		t.Errorf("too long: %+v", got)
	}
	if got := run("head -c 1000000 /dev/zero | tr '\\0' x", 0); len(got.Output) != maxOutputBytes {
		t.Errorf("kept %d bytes", len(got.Output))
	}
	if got := run("env", 0); strings.Contains(got.Output, "HOME=") {
		t.Errorf("the node's environment is passed on: %s", got.Output)
	}
	if _, err := b.Run(t.Context(), Command{Argv: []string{"/nonexistent"}}); err == nil {
		t.Error("a command that does not exist ran")
	}
	if _, err := b.Run(t.Context(), Command{}); err == nil {
		t.Error("no command ran")
	}
}

func TestOrphansFallToTheWardenAndAreReaped(t *testing.T) {
	b := newBench(t)
	res, err := b.Run(t.Context(), Command{Argv: []string{"/bin/sh", "-c", "sleep 0.2 >/dev/null 2>&1 & echo $!"}})
	if err != nil {
		t.Fatal(err)
	}
	orphan := strings.TrimSpace(res.Output)
	st, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + orphan + "/status")
	if err != nil || !strings.Contains(string(stat), fmt.Sprintf("PPid:\t%d\n", st.PID)) {
		t.Errorf("the orphan's parent is not the warden: %v", err)
	}
	await(t, "the orphan is reaped", func() bool {
		_, err := os.Stat("/proc/" + orphan)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestTheDeadlineFreezesAndComputersAreThawedOneByOne(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	one, two := b.counter(t, "one"), b.counter(t, "two")
	moves(t, one)
	if err := b.SetDeadline(ctx, Now().Add(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	await(t, "the fence shuts", func() bool { return b.fenced(t) })
	stands(t, one)
	stands(t, two)
	starts := Command{Argv: []string{"/bin/true"}, Starts: true}
	if _, err := b.Run(ctx, starts); !errors.Is(err, ErrFenced) {
		t.Errorf("a start past the deadline: %v", err)
	}
	if err := b.Thaw(ctx, "one"); !errors.Is(err, ErrFenced) {
		t.Errorf("a thaw past the deadline: %v", err)
	}
	if err := b.SetDeadline(ctx, Now().Add(-time.Second)); err != nil || !b.fenced(t) {
		t.Errorf("an old deadline opened the fence: %v", err)
	}
	if err := b.SetDeadline(ctx, Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	stands(t, one)
	if err := b.Thaw(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	moves(t, one)
	stands(t, two)
	if _, err := b.Run(ctx, starts); err != nil {
		t.Errorf("a start before the deadline: %v", err)
	}
	if err := b.Freeze(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	stands(t, one)
	if err := b.Freeze(ctx, "../one"); err == nil {
		t.Error("a path was taken for a computer")
	}
	if err := b.Fence(ctx); err != nil || !b.fenced(t) {
		t.Errorf("fence on demand: %v", err)
	}
}

func TestANodeThatIsStoppedLosesItsComputersAtTheDeadline(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"stopped": syscall.SIGSTOP, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			count := b.counter(t, "one")
			node := exec.Command("/proc/self/exe", nodeArg, b.dir)
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = node.Process.Kill(); _ = node.Wait() })
			await(t, "the node holds a lease", func() bool {
				st, err := b.Status(t.Context())
				return err == nil && st.Deadline != NoDeadline
			})
			time.Sleep(2 * leaseTime) // a lease that is renewed outlives its first term
			if b.fenced(t) {
				t.Fatal("frozen while the node renewed")
			}
			moves(t, count)
			begin := time.Now()
			if err := node.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			await(t, "the fence shuts", func() bool { return b.fenced(t) })
			if took := time.Since(begin); took > leaseTime+time.Second {
				t.Errorf("frozen after %v", took)
			}
			stands(t, count)
		})
	}
}

func TestAWardenThatDiesIsReplacedAndTheFenceHolds(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	count := b.counter(t, "one")
	if err := b.SetDeadline(ctx, Now().Add(400*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	before, err := b.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "another warden answers", func() bool {
		after, err := b.Status(ctx)
		return err == nil && after.PID != before.PID && after.Deadline == before.Deadline
	})
	await(t, "the fence shuts", func() bool { return b.fenced(t) })
	stands(t, count)
	second := exec.Command("/proc/self/exe", wardenArg, b.dir, b.node)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), ErrTaken.Error()) {
		t.Errorf("a second warden: %v, %s", err, out)
	}
}

func TestConnectStartsNothing(t *testing.T) {
	if _, err := Connect(t.Context(), t.TempDir()); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v", err)
	}
}

func TestListenerAndConsoleAreInherited(t *testing.T) {
	b := newBench(t)
	socket, console := filepath.Join(b.dir, "guest.sock"), filepath.Join(b.dir, "console")
	for range 2 { // what an earlier life left is replaced
		res, err := b.Run(t.Context(), Command{
			Argv:   []string{"/bin/sh", "-c", "readlink /proc/self/fd/3; head -c 200000 /dev/zero; exit 0"},
			Listen: socket, Console: console,
		})
		if err != nil || res.Code != 0 || res.Output != "" {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	for path, want := range map[string]os.FileMode{socket: os.ModeSocket | 0o600, console: os.ModeNamedPipe | 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestAWardenIsSmall(t *testing.T) {
	b := newBench(t)
	st, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); err == nil {
			t.Logf("anonymous memory: %d KiB", kib)
			if kib > 10<<10 && !raceEnabled {
				t.Errorf("more than 10 MiB")
			}
		}
	}
}
