package main

import (
	"fmt"
	"strings"
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

// A build goes on elsewhere when its node dies, once; its computer runs what
// was built; and nothing of it is left.
func TestABuildOutlivesItsNode(t *testing.T) {
	nodes := launch(t, "n1", "n2", "n3")
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
