package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// sshReply is what ssh-credentials answers.
type sshReply struct {
	User    string `json:"ssh_user"`
	Port    int    `json:"edge_port"`
	SNI     string `json:"sni"`
	Private string `json:"client_private_key"`
	Cert    string `json:"client_certificate"`
	HostKey string `json:"guest_host_public_key"`
}

// sshHouse is three nodes and a computer, with credentials that were asked of a
// node that does not own it and are shown to that node.
type sshHouse struct {
	nodes  []*process
	id     string
	owner  string
	far    *process // does not own the computer
	grant  sshReply
	client *sshIdentity
}

func openSSHHouse(t *testing.T) *sshHouse {
	t.Helper()
	h := &sshHouse{nodes: launch(t, "n1", "n2", "n3")}
	h.id, h.owner = h.nodes[0].makeComputer("box")
	for _, p := range h.nodes {
		if p.name != h.owner {
			h.far = p
		}
	}
	h.far.api(http.MethodPost, "/computers/box/ssh-credentials", map[string]any{}, http.StatusCreated, &h.grant)
	if _, port, _ := net.SplitHostPort(h.far.ssh); strconv.Itoa(h.grant.Port) != port || h.grant.User != "box" {
		t.Errorf("the SSH door is told as %d for %s", h.grant.Port, h.grant.User)
	}
	h.client = givenIdentity(t, h.far, h.id, h.grant.User, h.grant.HostKey, h.grant.Private, h.grant.Cert)
	return h
}

// TestSSH has OpenSSH's own programs log in to a computer through nodes that do
// not own it.
func TestSSH(t *testing.T) {
	t.Parallel()
	h := openSSHHouse(t)
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *sshHouse)
	}{
		{"commands", sshCommands}, {"every node", sshEveryNode}, {"binary", sshBinary}, {"terminal", sshTerminal}, {"files", sshFiles},
		{"copies", sshCopies}, {"ports", sshPorts}, {"refusals", sshRefusals}, {"hang up", sshHangUp}, {"edge", sshEdge},
		{"keys", sshKeys}, {"certificates", sshCertificates}, {"stopped", sshStopped}, {"deleted", sshDeleted},
	} {
		if !t.Run(tt.name, func(t *testing.T) { tt.do(t, h.of(t)) }) && tt.name == "commands" {
			t.FailNow()
		}
	}
}

// of is the house in the hands of a part of the test.
func (h *sshHouse) of(t *testing.T) *sshHouse {
	part := *h
	client := *h.client
	client.t = t
	part.client = &client
	return &part
}

func sshCommands(t *testing.T, h *sshHouse) {
	out, errs, code := h.client.run(nil, "id -un; pwd; echo $SHELL; echo oops >&2; exit 3")
	if code != 3 || errs != "oops\n" || out != "node\n/home/node\n/bin/bash\n" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if _, errs, code := h.client.run(nil, "kill -TERM $$"); code != 255 {
		t.Errorf("a command that a signal ended: exit %d, %q", code, errs)
	}
	if out := h.client.through(h.far, "-o", "SetEnv=LC_ALL=C.UTF-8 LD_PRELOAD=/x.so NO_COLOR=1").says("echo $LC_ALL,$LD_PRELOAD,$NO_COLOR,${SSH_CONNECTION%% *}"); out != "C.UTF-8,,1,127.0.0.1\n" {
		t.Errorf("variables: %q", out)
	}
	if out, _, code := h.client.run(strings.NewReader("echo from a shell; exit 7\n")); out != "from a shell\n" || code != 7 {
		t.Errorf("a shell fed by a pipe: %d %q", code, out)
	}
}

func sshEveryNode(t *testing.T, h *sshHouse) {
	for _, p := range h.nodes {
		for _, user := range []string{"box", h.id} {
			if out := h.client.through(p).as(user).says("echo here"); out != "here\n" {
				t.Errorf("%s through %s: %q", user, p.name, out)
			}
		}
	}
}

func sshBinary(t *testing.T, h *sshHouse) {
	data := make([]byte, 8<<20)
	rand.Read(data)
	out, errs, code := h.client.run(bytes.NewReader(data), "cat")
	if code != 0 || errs != "" || !bytes.Equal([]byte(out), data) {
		t.Errorf("exit %d, %d bytes of %d came back, %q", code, len(out), len(data), errs)
	}
	// A command that reads nothing ends all the same.
	if out, _, code := h.client.run(bytes.NewReader(data), "echo done"); code != 0 || out != "done\n" {
		t.Errorf("exit %d, %q", code, out)
	}
}

// sshTerminal types into a shell whose window changes.
func sshTerminal(t *testing.T, h *sshHouse) {
	cmd := h.client.program("ssh", "-tt", h.client.host())
	tty := onTerminal(t, cmd, &pty.Winsize{Rows: 33, Cols: 101}, "erase", "^H", "iutf8")
	out := &screen{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(out, tty) // ends with EIO when the client has ended
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, when all went well
		_ = cmd.Wait()
		_ = tty.Close()
		<-read
	})
	enter := func(line string) {
		if _, err := tty.WriteString(line + "\r"); err != nil {
			t.Fatal(err)
		}
	}
	enter("stty size; tty; echo term=$TERM")
	out.shows(t, "33 101", 1)
	out.shows(t, "/dev/pts/", 1)
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 44, Cols: 122}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new size", 20*time.Second, func() error {
		enter("stty size")
		<-time.After(100 * time.Millisecond)
		if !strings.Contains(out.String(), "44 122") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	enter("sh -c 'echo up-$((1+1)); exec sleep 1000'")
	out.shows(t, "up-2", 1)
	if _, err := tty.WriteString("\x03"); err != nil { // the terminal turns it into a signal
		t.Fatal(err)
	}
	enter("stty -a; exit 5")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("the shell ended with %v\n%s", err, out)
	}
	<-read // what the client wrote last may still lie in the terminal
	if s := out.String(); !strings.Contains(s, "erase = ^H") || strings.Contains(s, "-iutf8") {
		t.Errorf("the modes of the client's terminal are not there:\n%s", s)
	}
}

// onTerminal starts a program on a new terminal that stty has set.
func onTerminal(t *testing.T, cmd *exec.Cmd, size *pty.Winsize, modes ...string) *os.File {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close() // the program has its own
	set := exec.CommandContext(t.Context(), "stty", modes...)
	set.Stdin = tty
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("stty %v: %v: %s", modes, err, out)
	}
	if err := pty.Setsize(master, size); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return master
}

func sshFiles(t *testing.T, h *sshHouse) {
	local := filepath.Join(t.TempDir(), "up")
	data := make([]byte, 3<<20)
	rand.Read(data)
	writeFile(t, local, string(data))
	batch := strings.NewReader(fmt.Sprintf("put %s workspace/up\nrename workspace/up workspace/moved\nget /workspace/moved %s.back\nput %s /tmp/moved\nls /etc/hostname\nmkdir d\nsymlink /tmp/moved d/link\n", local, local, local))
	if out, errs, code := finish(t, h.client.program("sftp", "-b", "-", h.client.host()), batch); code != 0 {
		t.Fatalf("sftp: exit %d: %s%s", code, out, errs)
	}
	if back, err := os.ReadFile(local + ".back"); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes came back: %v", len(back), err)
	}
	if out := h.client.says("stat -c %U:%s /tmp/moved; readlink /home/node/d/link"); out != fmt.Sprintf("node:%d\n/tmp/moved\n", len(data)) {
		t.Errorf("in the computer: %q", out)
	}
	// As the user that it runs as, and no more.
	if out, errs, code := finish(t, h.client.program("sftp", "-b", "-", h.client.host()), strings.NewReader("put "+local+" /etc/up\n")); code == 0 || !strings.Contains(errs, "ermission denied") {
		t.Errorf("sftp into /etc: exit %d: %s%s", code, out, errs)
	}
}

// sshCopies copies by the old protocol, with the computer's own scp and then
// without one.
func sshCopies(t *testing.T, h *sshHouse) {
	for _, with := range []string{"its own", "the guest's"} {
		dir := t.TempDir()
		data := strings.Repeat("0123456789\x00\xff", 100_000)
		writeFile(t, filepath.Join(dir, "a b"), data)
		scp := func(args ...string) {
			t.Helper()
			if out, errs, code := finish(t, h.client.program("scp", append([]string{"-O", "-r", "-p"}, args...)...), nil); code != 0 {
				t.Fatalf("scp by %s: exit %d: %s%s", with, code, out, errs)
			}
		}
		scp(dir, h.client.host()+":/home/node/there")
		scp(h.client.host()+":/home/node/there/*", filepath.Join(dir, "back"))
		if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || string(back) != data {
			t.Errorf("by %s: %d bytes came back: %v", with, len(back), err)
		}
		h.client.says("rm -r /home/node/there")
		if _, errs, code := finish(t, h.client.program("scp", "-O", h.client.host()+":/none", dir), nil); code == 0 || !strings.Contains(errs, "none") {
			t.Errorf("a file that is not there, by %s: exit %d, %q", with, code, errs)
		}
		h.nodes[0].runIn(h.id, "rm", "-f", "/usr/bin/scp")
		if out, _, code := h.client.run(nil, "type scp"); code == 0 {
			t.Fatalf("the computer still has an scp: %s", out)
		}
	}
}

func sshPorts(t *testing.T, h *sshHouse) {
	serve := h.client.program("ssh", h.client.host(), "cd /tmp && echo inside > page && exec python3 -m http.server 8123 --bind 127.0.0.1")
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Process.Kill(); _ = serve.Wait() })
	local := strconv.Itoa(freePorts(t, 1))
	tunnel := h.client.program("ssh", "-N", "-L", "127.0.0.1:"+local+":localhost:8123", h.client.host())
	if err := tunnel.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tunnel.Process.Kill(); _ = tunnel.Wait() })
	eventually(t, "a page from inside", 30*time.Second, func() error {
		resp, err := http.Get("http://127.0.0.1:" + local + "/page")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "inside\n" {
			return fmt.Errorf("%q %v", text, err)
		}
		return nil
	})
	request := strings.NewReader("GET /page HTTP/1.0\r\n\r\n")
	if out, errs, code := finish(t, h.client.program("ssh", "-W", "box:8123", h.client.host()), request); code != 0 || !strings.HasSuffix(out, "inside\n") {
		t.Errorf("-W: exit %d, %q %q", code, out, errs)
	}
	_, opsPort, _ := net.SplitHostPort(h.far.ssh)
	for _, elsewhere := range []string{"10.0.0.1:80", "example.org:80", "0.0.0.0:" + opsPort, "169.254.169.254:80"} {
		talks := h.client.through(h.far, "-o", "LogLevel=INFO")
		if out, errs, code := finish(t, talks.program("ssh", "-W", elsewhere, h.client.host()), nil); code == 0 || !strings.Contains(errs, "prohibited") {
			t.Errorf("-W %s: exit %d, %q %q", elsewhere, code, out, errs)
		}
	}
	if _, errs, code := finish(t, h.client.through(h.far, "-o", "LogLevel=INFO").program("ssh", "-W", "localhost:8124", h.client.host()), nil); code == 0 || !strings.Contains(errs, "connect failed") {
		t.Errorf("a port that nothing listens on: exit %d, %q", code, errs)
	}
}

func sshRefusals(t *testing.T, h *sshHouse) {
	if _, errs, code := h.client.through(h.far, "-R", "0:localhost:1", "-o", "ExitOnForwardFailure=yes").run(nil, "true"); code == 0 || !strings.Contains(errs, "forward") {
		t.Errorf("-R: exit %d, %q", code, errs)
	}
	if out, errs, code := finish(t, h.client.program("ssh", "-s", h.client.host(), "netconf"), nil); code == 0 {
		t.Errorf("a subsystem that is none: %q %q", out, errs)
	}
	stranger, _ := newIdentity(t, h.far, h.id, "box", h.grant.HostKey)
	stranger.refused("a key that nobody registered")
	h.client.as("nobody").refused("a computer that is none")
	h.client.as("root").refused("a computer that is none")
}

// sshHangUp kills the client: what it ran ends.
func sshHangUp(t *testing.T, h *sshHouse) {
	for _, flags := range [][]string{{"-T"}, {"-tt"}} {
		cmd := h.client.program("ssh", append(flags, h.client.host(), "exec sleep 4321")...)
		in, err := cmd.StdinPipe() // an end of input must not end it
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running := func() string { return h.client.says("pgrep -fx 'sleep 4321' || true") }
		eventually(t, "it runs", 30*time.Second, func() error {
			if running() == "" {
				return fmt.Errorf("it does not")
			}
			return nil
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		in.Close()
		eventually(t, "it ends", 30*time.Second, func() error {
			if pid := running(); pid != "" {
				return fmt.Errorf("%s %s still runs", flags[0], pid)
			}
			return nil
		})
	}
}
