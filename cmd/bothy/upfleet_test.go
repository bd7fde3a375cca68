package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bothy-computer/bothy/cluster/trace/tracetest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// TestUpWithThreeNodes runs one command that makes a cluster of three, loses
// one of its processes to kill -9, and starts that again by its own command.
func TestUpWithThreeNodes(t *testing.T) {
	t.Parallel()
	root := scratchDir(t)
	config := filepath.Join(root, "bothy.yaml")
	spans := tracetest.Listen(t)
	settings := strings.Replace(smallNodes, "level: info", "level: debug", 1) + "tracing: {endpoint: " + strconv.Quote(spans.URL) + "}\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePorts(t, 15)
	addr := func(i int) string { return "127.0.0.1:" + strconv.Itoa(port+3*i) }
	fleet := &process{t: t, name: "fleet", dir: filepath.Join(root, "n1"), url: "http://" + addr(0), out: &screen{}}
	fleet.args = []string{"up", "--nodes", "3", "--config", config, "--data-dir", root,
		"--http", addr(0), "--peer", addr(1), "--gossip", addr(2), "--ops", addr(3), "--ssh", addr(4)}
	t.Cleanup(func() {
		if fleet.cmd != nil && fleet.cmd.ProcessState == nil {
			fleet.signal(syscall.SIGTERM)
		}
		fleet.destroy()
		for _, name := range []string{"n2", "n3"} {
			wipeDir(t, filepath.Join(root, name))
		}
	})
	fleet.start("")
	fleet.out.shows(t, "is up: node n", 3)

	status := fleet.status()
	if len(status.Nodes) != 3 || status.Leader == "" {
		t.Fatalf("status %+v", status)
	}
	id := fleet.postThread("```bash\necho hello\n```")[0].Thread.ID
	for i := range 3 {
		other := &process{t: t, dir: fleet.dir, url: "http://127.0.0.1:" + strconv.Itoa(port+i)}
		if out, code := other.bothy("threads", "get", id); code != 0 {
			t.Errorf("node %d does not know what another made: %s", i+1, out)
		}
	}

	followed(t, fleet, port, spans)

	second := childOf(t, filepath.Join(root, "n2"))
	kill(t, strconv.Itoa(second), syscall.SIGKILL)
	fleet.out.shows(t, "n2 ended: signal: killed", 1)
	fleet.postThread("```bash\necho still here\n```")

	again := &process{t: t, name: "n2", dir: filepath.Join(root, "n2"), url: "http://127.0.0.1:" + strconv.Itoa(port+1), out: &screen{}}
	_, command, _ := strings.Cut(lineOf(fleet.out.String(), "fleet | n2: "), "n2: ")
	again.cmd = exec.Command("sh", "-c", "exec "+command)
	again.cmd.Stdout, again.cmd.Stderr = again.out, again.out
	again.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := again.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	again.ended = make(chan struct{})
	go func() { _ = again.cmd.Wait(); close(again.ended) }()
	again.ready()
	again.stop()
	fleet.signal(syscall.SIGTERM)
	<-fleet.ended
}

// status asks a node how the cluster is.
func (p *process) status() (s wire.ClusterStatus) {
	p.t.Helper()
	out, code := p.bothy("status")
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
		p.t.Fatalf("status: exit %d: %s", code, out)
	}
	return s
}

// childOf finds the process of the node in a data directory.
func childOf(t *testing.T, dir string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		line, err := os.ReadFile(path)
		args := strings.Split(string(line), "\x00")
		if err != nil || len(args) < 6 || args[1] != "up" || !strings.Contains(string(line), "--data-dir\x00"+dir+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("no node runs in %s", dir)
	return 0
}
