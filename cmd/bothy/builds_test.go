package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// buildTime bounds what builds of these tests take, a node's death included.
const buildTime = 2 * time.Minute

// environmentWith makes an environment whose image a user's own instructions
// make.
func environmentWith(t *testing.T, c *client.Client, name, dockerfile string) wire.Environment {
	t.Helper()
	e, err := c.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some(name), DockerfileExtensions: wire.Some(dockerfile)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// built waits until an environment's image is ready or failed.
func built(t *testing.T, c *client.Client, id string) wire.BuildStatus {
	t.Helper()
	var s wire.BuildStatus
	eventually(t, "a build that is over", buildTime, func() (err error) {
		s, err = c.Environments().BuildStatus(t.Context(), id)
		if err == nil && s.BuildStatus != "ready" && s.BuildStatus != "failed" {
			err = fmt.Errorf("it is %s", s.BuildStatus)
		}
		return err
	})
	return s
}

// builderOf waits until a build of an environment has begun somewhere, and
// tells where by what the nodes log.
func builderOf(t *testing.T, c *client.Client, id string, nodes []*process) *process {
	t.Helper()
	var at *process
	eventually(t, "a node that builds", buildTime, func() error {
		logs, err := c.Environments().BuildLogs(t.Context(), id)
		if err != nil || logs.BuildID == nil || !strings.Contains(logs.BuildLogs, "\nbegun\n") {
			return fmt.Errorf("the log is %q, %v", logs.BuildLogs, err)
		}
		for _, p := range nodes {
			for _, other := range nodes {
				if strings.Contains(p.out.String(), fmt.Sprintf("build=%s node=%s", *logs.BuildID, nodeUUID(other.dir))) {
					at = other
				}
			}
		}
		if at == nil {
			return fmt.Errorf("no node says who builds")
		}
		return nil
	})
	return at
}

func TestBuildsOfRealNodes(t *testing.T) {
	nodes := launch(t, "n1", "n2", "n3")
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, nodes) })
	t.Run("one outlives its node", func(t *testing.T) { outlivesItsNode(t, nodes) })
}

const (
	// manyBuilds are asked for at once, of nodes that make two each.
	manyBuilds = 20
	// readyTime bounds what each /readyz takes meanwhile, of nodes and of builds
	// that share few cores.
	readyTime = 3 * time.Second
)

// Builds that are asked for all at once all end well; the nodes answer
// meanwhile; and nothing of the builds is left.
func manyAtOnce(t *testing.T, nodes []*process) {
	c := clientOf(t, nodes...)
	before := atRest(t, nodes)
	var ids []string
	for i := range manyBuilds {
		ids = append(ids, environmentWith(t, c, fmt.Sprint("many ", i), fmt.Sprintf("RUN echo %d > /opt/which && head -c 1000000 /dev/zero > /opt/data\n", i)).ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slowest := probes(ctx, t, nodes)
	begun := time.Now()
	var work sync.WaitGroup
	for _, id := range ids {
		work.Go(func() {
			if _, err := c.Environments().Build(ctx, id, false); err != nil {
				t.Errorf("ask for %s: %v", id, err)
				return
			}
			end, err := c.Environments().FollowBuild(ctx, id, "", func(string) error { return nil })
			if err != nil || end.BuildStatus != "ready" {
				t.Errorf("%s: %+v, %v", id, end, err)
			}
		})
	}
	work.Wait()
	cancel()
	t.Logf("%d builds took %s; the slowest /readyz %s", manyBuilds, time.Since(begun), slowest())
	eventually(t, "nothing is left of the builds", buildTime, func() error {
		if now := leftOf(t, nodes); !slices.Equal(now, before) {
			left := slices.DeleteFunc(now, func(one string) bool { return slices.Contains(before, one) })
			return fmt.Errorf("%d things, before %d; new are %.2000q", len(now), len(before), left)
		}
		return nil
	})
}

// probes asks all nodes whether they are ready until ctx ends; what it returns
// waits for that and tells the longest answer.
func probes(ctx context.Context, t *testing.T, nodes []*process) func() time.Duration {
	slowest := make([]time.Duration, len(nodes))
	var work sync.WaitGroup
	for i, p := range nodes {
		work.Go(func() {
			for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; {
				begun := time.Now()
				answer, err := http.Get(p.url + "/readyz")
				took := time.Since(begun)
				if err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusOK || took > readyTime {
					t.Errorf("%s, asked whether it is ready: %v, after %s", p.name, err, took)
					return
				}
				slowest[i] = max(slowest[i], took)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() time.Duration { work.Wait(); return slices.Max(slowest) }
}

// atRest waits until each node has its warm computer and nothing else.
func atRest(t *testing.T, nodes []*process) (found []string) {
	t.Helper()
	eventually(t, "nodes with a warm computer each", startTime, func() error {
		first := leftOf(t, nodes)
		for _, p := range nodes {
			groups, err := groupsOf(nodeUUID(p.dir), "*/cgroup.procs")
			if err != nil || len(groups) == 0 {
				return fmt.Errorf("%s has %v, %v", p.name, groups, err)
			}
		}
		if found = leftOf(t, nodes); !slices.Equal(first, found) {
			return errors.New("it changes")
		}
		return nil
	})
	return found
}

// leftOf lists the computers, volumes, mounts and control groups of nodes.
func leftOf(t *testing.T, nodes []*process) (found []string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range nodes {
		groups, err := groupsOf(nodeUUID(p.dir), "*/cgroup.procs")
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, groups...)
		for _, kind := range []string{filepath.Join("computers", "computers"), filepath.Join("volumes", "pool", "computers")} {
			entries, err := os.ReadDir(filepath.Join(p.dir, kind))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				found = append(found, filepath.Join(p.name, kind, e.Name()))
			}
		}
		for line := range strings.Lines(string(mounts)) {
			if at := strings.Fields(line)[1]; strings.HasPrefix(at, p.dir+"/") {
				found = append(found, "mount "+at)
			}
		}
	}
	for i := range found { // a blank computer is as good as another
		found[i] = blankName.ReplaceAllString(found[i], "blank")
	}
	slices.Sort(found)
	return found
}

var blankName = regexp.MustCompile(`blank-[0-9a-f-]+`)

// A build goes on elsewhere when its node dies, once; its computer runs what
// was built; and nothing of it is left.
func outlivesItsNode(t *testing.T, nodes []*process) {
	c := clientOf(t, nodes...)
	e := environmentWith(t, c, "outlives", "RUN echo begun; sleep 8; echo done > /opt/done\n")
	if _, err := c.Environments().Build(t.Context(), e.ID, false); err != nil {
		t.Fatal(err)
	}
	victim := builderOf(t, c, e.ID, nodes)
	victim.kill()
	var left []*process
	for _, p := range nodes {
		if p != victim {
			left = append(left, p)
		}
	}
	c = clientOf(t, append([]*process{left[0]}, left[1:]...)...)
	var log strings.Builder
	end, err := c.Environments().FollowBuild(t.Context(), e.ID, "", func(text string) error { log.WriteString(text); return nil })
	if err != nil || end.BuildStatus != "ready" || strings.Count(log.String(), "begun\n") != 2 || !strings.Contains(log.String(), "was lost; it is built again") {
		t.Fatalf("%+v, %v; the log:\n%s", end, err, log.String())
	}
	victim.start("")
	victim.ready()
	started, err := clientOf(t, victim).Environments().Start(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := victim.bothy("exec", started.ContainerID, "--", "cat", "/opt/done"); code != 0 || out != "done\n" {
		t.Fatalf("the computer has %q, %d", out, code)
	}
}
