package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lineV1 = "%d 25 0:%d / /cg/%s rw,relatime - cgroup cgroup rw,%s\n"
	lineV2 = "40 25 0:40 / %s rw - cgroup2 cgroup2 rw,nsdelegate\n"
)

func mountinfo(v2 string, v1 ...string) string {
	var s strings.Builder
	s.WriteString("22 1 8:1 / / rw - ext4 /dev/root rw\nnonsense\n")
	for i, c := range v1 {
		fmt.Fprintf(&s, lineV1, 30+i, 30+i, c, c)
	}
	if v2 != "" {
		fmt.Fprintf(&s, lineV2, v2)
	}
	return s.String()
}

func TestParseFindsTheHierarchyThatCounts(t *testing.T) {
	full, bare := t.TempDir(), t.TempDir()
	for dir, has := range map[string]string{full: "cpuset cpu io memory pids", bare: "hugetlb"} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(has), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v1 := []string{"cpu,cpuacct", "memory", "freezer", "pids"}
	tests := map[string]struct {
		info   string
		v2     bool
		reason string // of the failure, "" for none
	}{
		"version 1":                    {mountinfo("", v1...), false, ""},
		"version 2":                    {mountinfo(full), true, ""},
		"both, v1 has the controllers": {mountinfo(bare, v1...), false, ""},
		"v1 without a freezer":         {mountinfo("", "cpu,cpuacct", "memory", "pids"), false, "lack freezer"},
		"v2 without controllers":       {mountinfo(bare), true, "lack cpu, memory, pids"},
		"nothing":                      {"", false, "lack cpu, memory, pids, freezer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tree, err := parse(strings.NewReader(tt.info))
			if tree.V2() != tt.v2 {
				t.Errorf("v2 is %v", tree.V2())
			}
			if (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
		})
	}
}

// trees are the hierarchies of this machine that groups can be made in: its
// own, and cgroup2 as such, which any kernel mounts and whose freezer needs
// no controller.
func trees(t *testing.T) map[string]Tree {
	t.Helper()
	own, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return map[string]Tree{"the machine's": own, "cgroup2": Unified(dir)}
}

// counter is a process in a group that writes a growing file.
type counter struct {
	file string
	cmd  *exec.Cmd
}

func count(t *testing.T, g Group) *counter {
	t.Helper()
	c := &counter{file: filepath.Join(t.TempDir(), "count")}
	c.cmd = exec.Command("/bin/sh", "-c", "while :; do echo >> "+c.file+"; sleep 0.002; done")
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait() }() // reaped whenever its group is killed
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	for _, dir := range g.dirs() {
		err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(c.cmd.Process.Pid)), 0o600)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return c
}

func (c *counter) value() int64 {
	info, err := os.Stat(c.file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (c *counter) moves(t *testing.T) {
	t.Helper()
	was := c.value()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c.value() > was {
			return
		}
	}
	t.Fatal("the counter does not move")
}

func (c *counter) stands(t *testing.T) {
	t.Helper()
	was := c.value()
	time.Sleep(50 * time.Millisecond) // twenty-five steps of a counter that moved
	if now := c.value(); now != was {
		t.Fatalf("the counter moved from %d to %d", was, now)
	}
}

func makeGroup(t *testing.T, g Group) Group {
	t.Helper()
	if err := g.Make(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Kill(ctx); err != nil {
			t.Error(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			err := g.Remove()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Error(err)
				return
			}
		}
	})
	return g
}

func TestAFreezeIsHandedDownAndThawedOneByOne(t *testing.T) {
	for name, tree := range trees(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			parent := makeGroup(t, tree.Group(fmt.Sprintf("bothycg%d", os.Getpid())))
			a, b := makeGroup(t, parent.Child("a")), makeGroup(t, parent.Child("b"))
			ca, cb := count(t, a), count(t, b)
			ca.moves(t)
			cb.moves(t)
			if !a.Contains(ca.cmd.Process.Pid) || a.Contains(cb.cmd.Process.Pid) || !parent.Contains(cb.cmd.Process.Pid) {
				t.Error("Contains is wrong about who is where")
			}
			if err := parent.Freeze(ctx); err != nil {
				t.Fatal(err)
			}
			if frozen, err := a.Frozen(); err != nil || !frozen {
				t.Fatalf("a under a frozen parent: %v, %v", frozen, err)
			}
			ca.stands(t)
			if err := a.Thaw(ctx); err != nil {
				t.Fatal(err)
			}
			ca.stands(t)
			if err := parent.HandDown(ctx); err != nil {
				t.Fatal(err)
			}
			ca.stands(t)
			cb.stands(t)
			if err := a.Thaw(ctx); err != nil {
				t.Fatal(err)
			}
			ca.moves(t)
			cb.stands(t)
			kids, err := parent.Children()
			slices.Sort(kids)
			if err != nil || !slices.Equal(kids, []string{"a", "b"}) {
				t.Errorf("children %v, %v", kids, err)
			}
			was := cb.value()
			if err := b.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			if cb.value() != was {
				t.Error("a frozen process that was killed ran on")
			}
		})
	}
}

func TestAGroupThatIsGone(t *testing.T) {
	for name, tree := range trees(t) {
		t.Run(name, func(t *testing.T) {
			g := tree.Group("bothynone")
			frozen, err := g.Frozen()
			pids, listErr := g.Processes()
			for what, err := range map[string]error{
				"freeze": g.Freeze(t.Context()), "thaw": g.Thaw(t.Context()), "frozen": err, "processes": listErr,
				"kill": g.Kill(t.Context()), "remove": g.Remove(),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			if frozen || pids != nil {
				t.Errorf("frozen %v, processes %v", frozen, pids)
			}
		})
	}
}

func TestLimitsOfTheMachine(t *testing.T) {
	own, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	g := makeGroup(t, own.Group(fmt.Sprintf("bothycg%d", os.Getpid())))
	for _, memory := range []int64{64 << 20, 256 << 20, 32 << 20} { // up and down again
		if err := g.SetLimits(Limits{MemoryBytes: memory, MilliCPU: 250}); err != nil {
			t.Fatal(err)
		}
		file := "memory.limit_in_bytes"
		if own.V2() {
			file = "memory.max"
		}
		if got, err := g.number("memory", file); err != nil || got != memory {
			t.Errorf("memory limit %d, %v; want %d", got, err, memory)
		}
	}
	if err := g.SetShare(50); err != nil {
		t.Error(err)
	}
	if _, err := g.Memory(); err != nil {
		t.Error(err)
	}
}

// TestLimitsInVersion2 checks the words, in files as the kernel would make them.
func TestLimitsInVersion2(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stat := "usage_usec 1500000\nuser_usec 1\n"
	for name, text := range map[string]string{"cpu.stat": stat, "memory.current": "4096\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := Unified(dir).Group("")
	if err := g.SetLimits(Limits{MemoryBytes: 1 << 20, MilliCPU: 1500, PIDs: 7}); err != nil {
		t.Fatal(err)
	}
	if err := g.SetShare(50); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"memory.max": "1048576", "memory.swap.max": "0", "cpu.max": "150000 100000", "cpu.weight": "50", "pids.max": "7",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if cpu, err := g.CPU(); err != nil || cpu != 1500*time.Millisecond {
		t.Errorf("cpu %v, %v", cpu, err)
	}
	if memory, err := g.Memory(); err != nil || memory != 4096 {
		t.Errorf("memory %v, %v", memory, err)
	}
}

func TestSignalOfTheDeadIsSuccess(t *testing.T) {
	own, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	g := makeGroup(t, own.Group(fmt.Sprintf("bothycg%d", os.Getpid())))
	c := count(t, g)
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := g.Signal(); err != nil {
		t.Error(err)
	}
}

// TestSocketsInAContainer has no file of the kernel's, as in a network
// namespace that is not the machine's: the guess must be near what it says.
func TestSocketsInAContainer(t *testing.T) {
	said, err := socketBytes(socketPages)
	if err != nil {
		t.Fatal(err)
	}
	guessed, err := socketBytes(filepath.Join(t.TempDir(), "none"))
	if err != nil || guessed < said/2 || guessed > 2*said {
		t.Errorf("guessed %d, %v; the kernel says %d", guessed, err, said)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("lots"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := socketBytes(bad); err == nil {
		t.Error("nonsense is taken")
	}
}
