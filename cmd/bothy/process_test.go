package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
)

// Bounds of what real nodes may take here: CI runs them slowly, and several.
const (
	startTime = 60 * time.Second
	stopTime  = 60 * time.Second
	wipeTime  = 2 * time.Minute
)

// smallNodes is the configuration of nodes under test.
const smallNodes = `
computer: {memory: 512MiB, milliCPU: 1000, disk: 512MiB, warm: 1}
volumes: {size: 1GiB, grow: 512MiB}
log: {level: info}
`

// process is a real node, of its own directory and ports. Whatever becomes of
// the test, all that the node left on the machine is taken away.
type process struct {
	t    *testing.T
	name string
	dir  string
	url  string
	ssh  string // host:port
	ops  string // host:port
	args []string
	out  *screen
	// founder keeps the cluster's first key; nil is the node itself.
	founder *process
	chosen  string // the first key, where the test chose it

	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has
}

// scratchDir is a directory that computers' users can walk through.
func scratchDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bothytest-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmounted(dir); err != nil {
			t.Errorf("left behind: %v", err)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// newProcess prepares a node; its five ports are in a row.
func newProcess(t *testing.T, root, name string) *process {
	t.Helper()
	config := filepath.Join(root, "bothy.yaml")
	if err := os.WriteFile(config, []byte(smallNodes), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePorts(t, 5)
	addr := func(i int) string { return "127.0.0.1:" + strconv.Itoa(port+i) }
	p := &process{t: t, name: name, dir: filepath.Join(root, name), url: "http://" + addr(0), ssh: addr(4), ops: addr(3), out: &screen{}}
	p.args = []string{"up", "--config", config, "--id", name, "--data-dir", p.dir,
		"--http", addr(0), "--peer", addr(1), "--gossip", addr(2), "--ops", addr(3), "--ssh", addr(4)}
	t.Cleanup(p.destroy)
	return p
}

// start runs the node's process; token lets it join a cluster.
func (p *process) start(token string) {
	p.t.Helper()
	cmd := exec.Command(binary, p.args...)
	cmd.Env = childEnv(os.Environ(), token)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // its state is in cmd.ProcessState
		close(ended)
	}()
}

// ready waits until the node says that it is.
func (p *process) ready() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), startTime)
	defer cancel()
	ended := p.ended // of this process: the next start has another
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := awaitReady(ctx, p.url); err != nil {
		p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.out)
	}
}

// signal sends a signal to the node's process alone.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// stop ends the node as an operator does, and waits.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		p.t.Fatalf("%s did not end within %s\n%s", p.name, stopTime, p.out)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("%s ended with %d\n%s", p.name, code, p.out)
	}
}

// kill ends the node's process with no warning.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// destroy takes everything of the node away.
func (p *process) destroy() {
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err == nil {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.t.Error(err)
		}
	}
	<-p.ended
	for _, sign := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if _, report, found := strings.Cut(p.out.String(), sign); found {
			p.t.Errorf("%s: %s%s", p.name, sign, head(report, 60))
		}
	}
	if p.t.Failed() {
		p.t.Logf("what %s said:\n%s", p.name, tail(p.out.String(), 80))
	}
	wipeDir(p.t, p.dir)
}

// wipeDir takes away what a node left in a directory and on the machine.
func wipeDir(t *testing.T, dir string) {
	node := nodeUUID(dir)
	if node == "" {
		return // it never came so far
	}
	ctx, cancel := context.WithTimeout(context.Background(), wipeTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, binary, "wipe", "--data-dir", dir, "--yes").CombinedOutput(); err != nil {
		t.Errorf("wipe %s: %v\n%s", dir, err, out)
	}
	if left, err := groupsOf(node, ""); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// groupsOf lists a node's control groups, or what a pattern finds in them, in
// either of the kernel's layouts.
func groupsOf(node, below string) (found []string, err error) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		some, globErr := filepath.Glob(filepath.Join(root, "bothy", node, below))
		found, err = append(found, some...), errors.Join(err, globErr)
	}
	return found, err
}

// nodeUUID reads who the node of a directory is; "" when it is nobody yet.
func nodeUUID(dir string) string {
	var record struct {
		Node string `json:"uuid"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "node.json"))
	if err != nil || json.Unmarshal(text, &record) != nil {
		return ""
	}
	return record.Node
}

// tail is the last lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// head is the first lines of a text.
func head(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// launch starts a cluster of real nodes, the first of which founds it.
func launch(t *testing.T, names ...string) []*process {
	t.Helper()
	return launchWith(t, "", names...)
}

// launchWith is launch with more in the nodes' configuration.
func launchWith(t *testing.T, config string, names ...string) []*process {
	t.Helper()
	root := scratchDir(t)
	var all []*process
	for i, name := range names {
		p := newProcess(t, root, name)
		if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(smallNodes+config), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
		p.founder = all[0]
		token := ""
		if i > 0 {
			var err error
			if token, err = askToken(t.Context(), all[0].url, all[0].dir); err != nil {
				t.Fatal(err)
			}
		}
		p.start(token)
		if i == 0 {
			p.ready()
		}
	}
	for _, p := range all {
		p.ready()
	}
	if len(all) >= 3 {
		all[0].voters(3)
	}
	return all
}

// voters waits until the cluster can lose a node.
func (p *process) voters(want int) {
	p.t.Helper()
	c := clientOf(p.t, p)
	eventually(p.t, fmt.Sprintf("%d voters", want), startTime, func() error {
		status, err := c.Status(p.t.Context())
		if err != nil {
			return err
		}
		have := 0
		for _, n := range status.Nodes {
			if n.Voter && n.Leased {
				have++
			}
		}
		if have != want {
			return fmt.Errorf("%d of %d nodes", have, len(status.Nodes))
		}
		return nil
	})
}

// key is the text of the cluster's first key, which its founder keeps.
func (p *process) key() string {
	p.t.Helper()
	if p.chosen != "" {
		return p.chosen
	}
	if p.founder != nil && p.founder != p {
		return p.founder.key()
	}
	key, err := findKey([]string{p.dir})
	if err != nil || key == "" {
		p.t.Fatalf("no admin key in %s: %v", p.dir, err)
	}
	return key
}

// clientOf calls nodes, the first one first.
func clientOf(t *testing.T, nodes ...*process) *client.Client {
	t.Helper()
	var urls []string
	for _, p := range nodes {
		urls = append(urls, p.url)
	}
	c, err := client.New(urls, nodes[0].key())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bothy runs a client command of the real binary against a node.
func (p *process) bothy(args ...string) (stdout string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(childEnv(os.Environ(), ""), urlVariable+"="+p.url, keyVariable+"="+p.key())
	var errs screen
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("bothy %s: %v", strings.Join(args, " "), err)
	}
	if s := errs.String(); s != "" {
		p.t.Log(fmt.Sprintf("bothy %s: ", strings.Join(args, " ")) + s)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
