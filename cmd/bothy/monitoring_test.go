package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
)

const (
	dashboardDir = "../../deploy/grafana"
	rulesDir     = "../../deploy/prometheus"
	// seenTime bounds how long the last of a dashboard's panels may stay empty.
	seenTime = time.Minute
	// seenWindow stands for Grafana's $__rate_interval where a test scrapes each second.
	seenWindow = "2m"
)

func TestRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "config", filepath.Join(rulesDir, "prometheus.yml")},
		{"test", "rules", filepath.Join(rulesDir, "alerts_test.yml")},
	} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	alerts, err := os.ReadFile(filepath.Join(rulesDir, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(alerts)
	tests, err := os.ReadFile(filepath.Join(rulesDir, "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(?m)alert: (\w+)$`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(tests), name[1]) {
			t.Errorf("alert %s is never seen to fire", name[1])
		}
	}
	if n, runbooks := strings.Count(text, "- alert:"), strings.Count(text, "runbook:"); n != runbooks {
		t.Errorf("%d alerts, %d runbook lines", n, runbooks)
	}
}

// panel is one that a dashboard shows, with what it asks.
type panel struct {
	Title   string
	Type    string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string }
}

type dashboard struct {
	UID, Title string
	Panels     []panel
}

func dashboards(t *testing.T) []dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dashboardDir, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v: %v", paths, err)
	}
	var all []dashboard
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, d)
	}
	return all
}

func TestDashboards(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || uids[d.UID] {
			t.Errorf("%q: uid %q", d.Title, d.UID)
		}
		uids[d.UID] = true
		titles := map[string]bool{}
		for i, p := range d.Panels {
			if p.Title == "" || titles[p.Title] || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %q at %+v", d.UID, p.Title, p.GridPos)
			}
			titles[p.Title] = true
			for _, other := range d.Panels[:i] {
				a, b := p.GridPos, other.GridPos
				if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
					t.Errorf("%s: %q covers %q", d.UID, p.Title, other.Title)
				}
			}
		}
	}
}

// prometheusOf scrapes a node's ops port each second until the test ends, with
// the rules that we ship, and returns where it answers.
func prometheusOf(t *testing.T, ops string) (base string) {
	t.Helper()
	dir, err := filepath.Abs(rulesDir)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(dir, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("15s", "1s", "127.0.0.1:7280", ops,
		"- recording.yml", "- "+filepath.Join(dir, "recording.yml"), "- alerts.yml", "- "+filepath.Join(dir, "alerts.yml")).Replace(string(shipped))
	home := t.TempDir()
	path := filepath.Join(home, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePorts(t, 1)))
	out := &screen{}
	cmd := exec.Command("prometheus", "--config.file="+path, "--storage.tsdb.path="+filepath.Join(home, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it has ended at worst
		if err := cmd.Wait(); err != nil {
			t.Errorf("prometheus: %v\n%s", err, out)
		}
	})
	base = "http://" + addr
	eventually(t, "prometheus has scraped the node", startTime, func() error {
		n, err := asked(base, "up == 1")
		if err == nil && n == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	return base
}

// asked is what Prometheus answers to an expression: how many series have a
// number that can be drawn.
func asked(base, expr string) (drawn int, err error) {
	resp, err := http.Get(base + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var reply struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return 0, err
	}
	if reply.Status != "success" {
		return 0, fmt.Errorf("%s: %s", expr, reply.Error)
	}
	for _, r := range reply.Data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			drawn++
		}
	}
	return drawn, nil
}

// ofGrafana puts a test's values where Grafana puts a viewer's choices.
var ofGrafana = strings.NewReplacer("$__rate_interval", seenWindow, "$job", "bothy", "$instance", ".*")

// allSeen has a real Prometheus scrape a node on which a little of everything
// was done, and looks at every panel of every dashboard: none is empty.
func allSeen(t *testing.T, p *process, ops string) {
	base := prometheusOf(t, ops)
	empty := map[string]string{}
	for _, d := range dashboards(t) {
		for _, panel := range d.Panels {
			for i, target := range panel.Targets {
				empty[fmt.Sprintf("%s: %s, %d", d.UID, panel.Title, i+1)] = ofGrafana.Replace(target.Expr)
			}
		}
	}
	panels := len(empty)
	doALittle(t, p)
	deadline := time.Now().Add(seenTime)
	for len(empty) > 0 {
		for name, expr := range maps.Clone(empty) {
			n, err := asked(base, expr)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n > 0 {
				delete(empty, name)
			}
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(time.Second) // until the next scrape
	}
	for _, name := range slices.Sorted(maps.Keys(empty)) {
		t.Errorf("nothing to see in %s\n\t%s", name, empty[name])
	}
	namesKnown(t, p)
	t.Logf("%d expressions of panels have something to show", panels-len(empty))
}

// doALittle does what no panel would show anything without.
func doALittle(t *testing.T, p *process) {
	c, err := client.New([]string{p.url}, p.key())
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
	env, err := c.Environments().Default(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.api(http.MethodPost, "/schedules", map[string]any{"name": "soon", "task": "```bash\ntrue\n```", "environmentId": env.ID,
		"scheduledTime": due, "enabled": true}, http.StatusCreated, nil)
	failing := environmentWith(t, c, "fails", "RUN false")
	id, _ := p.makeComputer("seen")
	p.api(http.MethodPost, "/computers/"+id+"/snapshots", map[string]any{}, http.StatusAccepted, nil)
	for range 3 {
		p.postThread("```bash\necho seen\n```")
		p.runIn(id, "true")
	}
	if s := built(t, c, failing.ID); s.BuildStatus != "failed" {
		t.Errorf("the build is %s", s.BuildStatus)
	}
	resp := p.ask(http.MethodGet, "/metrics?format=prometheus", "")
	resp.Body.Close()
}

var metricNames = regexp.MustCompile(`\bbothy_[a-z0-9_]+`)

// namesKnown finds every metric that rules and dashboards name in what the node
// exports.
func namesKnown(t *testing.T, p *process) {
	t.Helper()
	resp := p.ask(http.MethodGet, "/metrics?format=prometheus", "")
	defer resp.Body.Close()
	exported, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, line := range strings.Split(string(exported), "\n") {
		if name := metricNames.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			known[name] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(dashboardDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, filepath.Join(rulesDir, "recording.yml"), filepath.Join(rulesDir, "alerts.yml")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// What a rule records has colons in its name and is no node's.
		unrecorded := regexp.MustCompile(`\w+:\w+:\w+`).ReplaceAllString(string(text), "")
		for _, name := range metricNames.FindAllString(unrecorded, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which a node does not export", filepath.Base(path), name)
				known[name] = true // once is enough
			}
		}
	}
}
