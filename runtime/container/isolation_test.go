package container

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// refused are scripts that root inside runs in vain.
func refused(dir, secret string) map[string]string {
	return map[string]string{
		"the machine's /root":          "ls " + secret,
		"the machine's passwords":      "cat /etc/shadow- || ls /etc/ssh/*key",
		"the node's data":              "ls " + dir,
		"mounting":                     "mount -t tmpfs none /mnt",
		"unmounting":                   "umount /proc",
		"new namespaces":               "unshare -U true",
		"new mount namespaces":         "unshare -m true",
		"other namespaces":             "nsenter -t 1 -n true",
		"device nodes":                 "mknod /tmp/sda b 8 0",
		"the kernel's settings":        "echo 1 > /proc/sys/kernel/printk",
		"the request key":              "echo b > /proc/sysrq-trigger",
		"the kernel's memory":          "head -c 1 /proc/kcore | grep -q .",
		"the control groups":           "echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
		"the clock":                    "date -s 2020-01-01",
		"its own guest":                "echo x > " + guestPath,
		"removing the guest":           "rm -f " + guestPath,
		"the guest under another name": "mv " + guestPath + " /tmp/guest",
		"the machine's name servers":   "echo x > /etc/resolv.conf",
		"its host name":                "hostname other",
		"its guest's memory":           `python3 -c 'open("/proc/1/mem", "r+b")'`,
		"its guest's descriptors":      "readlink /proc/1/fd/2 || echo x > /proc/1/fd/2",
		"its guest's program":          "exec 3>/proc/1/exe",
		"a program of ours that runs":  `python3 -c 'import subprocess as s; p = s.Popen(["` + guestPath + `", "sftp"], stdin=s.PIPE); open("/proc/%d/exe" % p.pid, "r+b")'`,
		"staying when memory runs out": "echo -17 > /proc/self/oom_score_adj",
		"what happens to crashes":      "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
		"room that is not written":     "fallocate -l 1M /workspace/room",
		"packets":                      `python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)'`,
		"files by handle":              syscalls(304),
		"other processes' memory":      syscalls(310, 311),
		"other processes' descriptors": syscalls(438),
		"rings of requests":            syscalls(425),
		"faults in user space":         syscalls(323),
		"the kernel's keys":            syscalls(248, 249, 250),
		"counters of the processor":    syscalls(298),
		"swapping":                     syscalls(167, 168),
		"modules and other kernels":    syscalls(175, 246, 313, 320),
		"new kinds of mounts":          syscalls(428, 429, 430, 432, 442),
		"tracing":                      `python3 -c 'import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).ptrace(0,0,0,0)==0 else 1)'`,
		"bpf":                          `python3 -c 'import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).syscall(321,0,0,0)>=0 else 1)'`,
		"raw sockets":                  `python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'`,
		"the kernel's crypto sockets":  `python3 -c 'import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0)'`,
		"the machine's virtual socket": `python3 -c 'import socket; socket.socket(40, socket.SOCK_STREAM, 0)'`,
	}
}

// syscalls is a script that succeeds when the kernel lets in any of some calls
// (numbers of amd64), whatever it then says to their arguments.
func syscalls(numbers ...int) string {
	list := strings.Trim(fmt.Sprint(numbers), "[]")
	return `python3 -c 'import ctypes, sys
c = ctypes.CDLL(None, use_errno=True)
for n in "` + list + `".split():
    r = c.syscall(int(n), 1, 1, 1, 1, 1)
    if r >= 0 or ctypes.get_errno() != 1: sys.exit(0)
sys.exit(1)'`
}

// TestWhatAComputerCannotReach asks from inside, as root there.
func TestWhatAComputerCannotReach(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	secret := filepath.Join("/root", testMark+"-secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(secret) })
	st, err := n.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("its root is nobody outside", func(t *testing.T) {
		if got := n.says(id, "root", "id -u; cut -d' ' -f1 /proc/self/uid_map | head -1; cat /proc/self/setgroups"); !strings.HasPrefix(got, "0\n") {
			t.Errorf("inside: %q", got)
		}
		r, err := n.load(id)
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.PID))
		if err != nil || !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", r.Range.Host)) {
			t.Errorf("the first process is not uid %d outside: %v", r.Range.Host, err)
		}
	})
	whole, err := os.ReadFile(n.guest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if now, err := os.ReadFile(n.guest); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("the guest of every computer was changed: %v", err)
		}
	})
	for what, script := range refused(n.dir, secret) {
		t.Run(what, func(t *testing.T) {
			if exit, out := n.sh(id, "root", script); exit.Code == 0 {
				t.Errorf("%s worked: %s", script, out)
			}
		})
	}
	t.Run("only its own processes", func(t *testing.T) {
		if got := n.says(id, "root", "ls -d /proc/[0-9]* | wc -l"); len(got) > 1 {
			t.Errorf("%s processes are seen", got)
		}
	})
	t.Run("only its own files", func(t *testing.T) {
		for dir, want := range map[string]string{"/root": "", "/home": "node\nuser", "/opt": "", "/usr/local/src": ""} {
			if got := n.says(id, "root", "ls "+dir+" 2>/dev/null || true"); got != want {
				t.Errorf("%s holds %q, want %q", dir, got, want)
			}
		}
		if got := n.says(id, "root", "cut -d: -f2 /etc/shadow 2>/dev/null | grep -c '[$]' || true"); got != "0" && got != "" {
			t.Errorf("%s hashes of passwords", got)
		}
	})
}

// TestRoomIsTakenByWriting covers what is left of fallocate: libraries write in
// its place, and room can be given back.
func TestRoomIsTakenByWriting(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	n.says(id, "", `python3 -c 'import os
f = os.open("/workspace/f", os.O_CREAT | os.O_RDWR); os.posix_fallocate(f, 0, 1 << 20)'`)
	if got := n.says(id, "", "stat -c %s /workspace/f; fallocate -p -l 4096 /workspace/f"); got != "1048576" {
		t.Errorf("size %s", got)
	}
}

func TestTwoComputersShareNothing(t *testing.T) {
	n := newNode(t, 0)
	a, b := n.started(n.spec()), n.started(n.spec())
	ra, errA := n.load(a)
	rb, errB := n.load(b)
	if errA != nil || errB != nil || ra.Range.Host == rb.Range.Host {
		t.Fatalf("ranges %+v and %+v", ra.Range, rb.Range)
	}
	n.says(a, "root", "echo a > /usr/bin/mine; echo a > /etc/mine; echo a > /tmp/mine; echo a > /workspace/mine")
	for _, path := range []string{"/usr/bin/mine", "/etc/mine", "/tmp/mine", "/workspace/mine"} {
		if exit, _ := n.sh(b, "root", "cat "+path); exit.Code == 0 {
			t.Errorf("%s of one is seen by the other", path)
		}
		if path != "/workspace/mine" {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s was written to the machine", path)
				os.Remove(path)
			}
		}
	}
}

func TestLimitsHold(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Resources.MemoryBytes, spec.Resources.PIDs = 96<<20, 32
	id := n.started(spec)
	if exit, out := n.sh(id, "", "python3 -c 'x = bytearray(300 << 20)'"); exit.Code != 137 {
		t.Errorf("three times the memory: %+v %s", exit, out)
	}
	if n.Pool.Quota() {
		if exit, _ := n.sh(id, "", "dd if=/dev/zero of=/workspace/big bs=1M count=128"); exit.Code == 0 {
			t.Error("128 MiB in a volume of 64")
		}
	}
	begin := n.cpu(id)
	n.sh(id, "", "timeout 1 sh -c 'while :; do :; done & while :; do :; done'; true")
	if used := n.cpu(id) - begin; used > 1400*time.Millisecond {
		t.Errorf("one core for a second gave %v", used)
	}
	if err := n.Resize(t.Context(), 1, id, runtime.Resources{MemoryBytes: 512 << 20}); err != nil {
		t.Fatal(err)
	}
	n.says(id, "", "python3 -c 'x = bytearray(300 << 20)'")
	if exit, _ := n.sh(id, "", "for i in $(seq 100); do sleep 5 & done; wait"); exit.Code == 0 {
		t.Error("a hundred processes where 32 are allowed")
	}
}

// TestNamesInMemoryAreBounded makes more directories, where they are kept in
// memory, than its memory has room for.
func TestNamesInMemoryAreBounded(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Resources.MemoryBytes = 96 << 20
	id := n.started(spec)
	before, err := n.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/dev/shm", "/run", "/dev"} {
		exit, out := n.sh(id, "root", `python3 -c 'import errno, os
try:
    for i in range(200_000): os.mkdir("`+dir+`/%d" % i)
except OSError as e:
    print(errno.errorcode[e.errno])'`)
		if exit.Code != 0 || strings.TrimSpace(out) != "ENOSPC" {
			t.Errorf("200,000 directories in %s: %+v, %q", dir, exit, out)
		}
	}
	n.says(id, "", "python3 -c 'x = bytearray(32 << 20)'")
	if now, err := n.Inspect(t.Context(), id); err != nil || now.PID != before.PID {
		t.Errorf("it was %+v and is %+v, %v", before, now, err)
	}
}

func (n *node) cpu(id runtime.ID) time.Duration {
	n.t.Helper()
	used, err := n.Usage(n.t.Context(), id)
	if err != nil {
		n.t.Fatal(err)
	}
	return used.CPU
}

func TestWithoutEgressAConnectionFailsAtOnce(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	begin := time.Now()
	exit, out := n.sh(id, "", `python3 -c 'import socket; socket.create_connection(("203.0.113.1", 80), 10)'`)
	if exit.Code == 0 || !strings.Contains(out, "unreachable") || time.Since(begin) > 3*time.Second {
		t.Errorf("%+v after %v: %s", exit, time.Since(begin), out)
	}
	if got := n.says(id, "", "ls /sys/class/net"); got != "lo" {
		t.Errorf("links %q", got)
	}
}

// TestANodeReachesPortsInside dials into the namespace, past which the port
// exists for nobody.
func TestANodeReachesPortsInside(t *testing.T) {
	n := newNode(t, 0)
	a, b := n.started(n.spec()), n.started(n.spec())
	n.says(a, "", "cd /workspace; echo hi > f; (setsid python3 -m http.server 8765 --bind 127.0.0.1 >/dev/null 2>&1 &)")
	until(t, "the port answers", func() bool {
		conn, err := n.Dial(t.Context(), 1, a, 8765)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if conn, err := net.DialTimeout("tcp", "127.0.0.1:8765", time.Second); err == nil {
		conn.Close()
		t.Error("the machine reaches the port without entering")
	}
	if conn, err := n.Dial(t.Context(), 1, b, 8765); !errors.Is(err, runtime.ErrRefused) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("another computer's port: %v", err)
	}
}
