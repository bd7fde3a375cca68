package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// counter is a script that adds a byte to a file, again and again.
const counter = "while :; do echo >> count; sleep 0.005; done"

// counting starts a counter inside and returns how to read it from outside.
func (n *node) counting(id runtime.ID) func() int64 {
	n.t.Helper()
	n.says(id, "", "setsid sh -c '"+counter+"' >/dev/null 2>&1 &")
	root, err := n.Workspace(n.t.Context(), 1, id)
	if err != nil {
		n.t.Fatal(err)
	}
	return func() int64 { return counted(root.Path) }
}

func counted(dir string) int64 {
	info, err := os.Stat(filepath.Join(dir, "count"))
	if err != nil {
		return 0
	}
	return info.Size()
}

func moves(t *testing.T, count func() int64) {
	t.Helper()
	was := count()
	until(t, "the counter moves", func() bool { return count() > was })
}

// stands expects a counter not to move while one beside it makes twenty steps,
// however slow the machine is.
func stands(t *testing.T, count func() int64) {
	t.Helper()
	was := count()
	beside := exec.Command("sh", "-c", counter)
	beside.Dir, beside.SysProcAttr = t.TempDir(), &syscall.SysProcAttr{Setpgid: true}
	if err := beside.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-beside.Process.Pid, syscall.SIGKILL)
		_ = beside.Wait() // killed, as it says
	}()
	until(t, "a counter beside it moves", func() bool { return counted(beside.Dir) >= 20 })
	if now := count(); now != was {
		t.Fatalf("the counter moved from %d to %d", was, now)
	}
}

func TestComputersOutliveTheDriver(t *testing.T) {
	n := newNode(t, 1)
	id := n.started(n.spec())
	count := n.counting(id)
	before, err := n.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	n.leave()
	moves(t, count)
	n.open(1)
	after, err := n.Inspect(t.Context(), id)
	if err != nil || !reflect.DeepEqual(after, before) {
		t.Fatalf("after: %+v, %v; before: %+v", after, err, before)
	}
	moves(t, count)
	if got := n.says(id, "", "echo here"); got != "here" {
		t.Errorf("exec after: %q", got)
	}
}

// driveArg makes the test binary a node: driveArg DIR NODE ID.
const driveArg = "drive-for-the-test"

// drive starts a computer and then goes on renewing the warden's deadline.
func drive(dir, node, id string) {
	fail := func(err error) {
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
	}
	guestBinary, scratch = os.Getenv("TEST_GUEST"), filepath.Join(dir, "scratch")
	d, _, err := openDriver(dir, node, 0, "")
	fail(err)
	ctx := d.life
	fail(d.Create(ctx, 1, runtime.Spec{ID: runtime.ID(id), Resources: runtime.Resources{StorageBytes: 64 << 20}}))
	fail(d.Start(ctx, 1, runtime.ID(id)))
	fail(d.Warden.SetDeadline(ctx, warden.Now().Add(leaseTime)))
	os.Stdout.WriteString("started\n")
	for range time.Tick(leaseTime / 10) {
		fail(d.Warden.SetDeadline(ctx, warden.Now().Add(leaseTime)))
	}
}

const leaseTime = time.Second

// driven runs a node in a process of its own, with one computer.
func driven(t *testing.T) (*node, *exec.Cmd, runtime.ID) {
	t.Helper()
	n := newNode(t, 0)
	n.leave()
	id := n.spec().ID
	cmd := exec.Command("/proc/self/exe", driveArg, n.dir, n.uuid, string(id))
	cmd.Env = append(os.Environ(), "TEST_GUEST="+guestBinary)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line := make([]byte, 64)
	read, err := out.Read(line)
	if err != nil || strings.TrimSpace(string(line[:read])) != "started" {
		t.Fatalf("the node did not start: %q, %v", line[:read], err)
	}
	return n, cmd, id
}

func TestKillingTheNodeLeavesItsComputers(t *testing.T) {
	n, cmd, id := driven(t)
	pid := n.pidOf(id)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it says
	n.open(0)
	st, err := n.Inspect(t.Context(), id)
	if err != nil || st.PID != pid {
		t.Fatalf("after: %+v, %v; the process was %d", st, err, pid)
	}
	if err := n.Warden.SetDeadline(t.Context(), warden.NoDeadline); err != nil {
		t.Fatal(err)
	}
	if err := n.Thaw(t.Context(), 2, id); err != nil {
		t.Fatal(err)
	}
	n.epoch = 2
	n.says(id, "", "echo on")
	if err := n.Stop(t.Context(), 1, id, 0); err == nil {
		t.Error("the dead node's epoch still acts")
	}
}

// TestAStoppedNodeLosesItsComputersUntilItReturns is the fence from end to end:
// the node's process stands still, and so do its computers at the deadline.
func TestAStoppedNodeLosesItsComputersUntilItReturns(t *testing.T) {
	n, cmd, id := driven(t)
	// A second driver only to watch and to run the counter.
	n.open(0)
	count := n.counting(id)
	moves(t, count)
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the computer is frozen", func() bool {
		st, err := n.Inspect(t.Context(), id)
		return err == nil && st.Phase == runtime.Frozen
	})
	stands(t, count)
	if err := n.Thaw(t.Context(), 1, id); err == nil {
		t.Error("thawed past the deadline")
	}
	spec := n.spec()
	if err := n.Create(t.Context(), 1, spec); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), 1, spec.ID); err == nil {
		t.Error("started past the deadline")
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the lease is back", func() bool {
		st, err := n.Warden.Status(t.Context())
		return err == nil && !st.Fenced
	})
	stands(t, count) // until somebody who may says so
	if err := n.Thaw(t.Context(), 2, id); err != nil {
		t.Fatal(err)
	}
	moves(t, count)
}

func (n *node) pidOf(id runtime.ID) int {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, "computers", string(id), pidFile))
	if err != nil {
		n.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		n.t.Fatal(err)
	}
	return pid
}

func TestADeadWardenIsReplacedAndComputersGoOn(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	count := n.counting(id)
	st, err := n.Warden.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another warden serves", func() bool {
		now, err := n.Warden.Status(t.Context())
		return err == nil && now.PID != st.PID
	})
	moves(t, count)
	if err := n.Pause(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	stands(t, count)
	if err := n.Stop(t.Context(), 1, id, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
}
