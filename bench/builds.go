package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// benchBase is the base image of both builders, of Debian's packages.
	benchBase = "bench-base"
	// buildSteps is what both build over it. The last line is the one that is
	// changed.
	buildSteps = `RUN apt-get update && apt-get install -y --no-install-recommends imagemagick jq && rm -rf /var/lib/apt/lists/*
RUN mkdir -p /opt/app && head -c 20000000 /dev/zero > /opt/app/data
RUN echo %s > /opt/app/version
`
	buildMemory = 1 << 30
	sourcesFile = "/etc/apt/sources.list.d/debian.sources"
)

// builds times builds of images through the API, beside buildah on the same
// Dockerfile.
func (b *bench) builds(ctx context.Context) error {
	t := measure.Latencies("builds of an image: packages, 20 MB, a line")
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	peer, err := bare.OpenBuildah(filepath.Join(dir, "buildah"))
	if err != nil {
		return errors.Join(err, remove())
	}
	archive := filepath.Join(dir, "base.oci")
	if err = b.benchBase(ctx, peer, dir, archive); err == nil {
		err = b.in(ctx, house.Shape{Nodes: 1, Warm: 1, Memory: buildMemory}, func(h *house.House) error {
			if err := importBase(ctx, h, archive); err != nil {
				return fmt.Errorf("import the base image: %w", err)
			}
			return b.timeBuilds(ctx, h, peer, t)
		})
	}
	t.Note("ratios: to buildah build --isolation oci --layers with runc, on this machine's network, by the same lines over the same base")
	return errors.Join(err, peer.Close(), remove(), t.Write(b.out))
}

// benchBase makes the base image for both.
func (b *bench) benchBase(ctx context.Context, peer *bare.Buildah, dir, archive string) error {
	root := filepath.Join(dir, "base.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--mode=root", "--variant=apt", "--skip=output/dev", "--include=ca-certificates", "", root, sourcesFile)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bootstrap the base image: %w: %s", err, out[max(0, len(out)-2000):])
	}
	return errors.Join(peer.Base(ctx, benchBase, root, archive), os.Remove(root))
}

func importBase(ctx context.Context, h *house.House, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = h.Client(0).Images().Import(ctx, benchBase, false, f)
	return err
}

func (b *bench) timeBuilds(ctx context.Context, h *house.House, peer *bare.Buildah, t *measure.Table) error {
	n := b.count(3)
	var theirs, ours, start [3]measure.Samples
	c := h.Client(0)
	for i := range n {
		line := fmt.Sprint(i)
		e, err := c.Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench " + line), BaseImage: wire.Some(benchBase),
			DockerfileExtensions: wire.Some(fmt.Sprintf(buildSteps, line))})
		if err != nil {
			return err
		}
		whole, err := c.Environments().Dockerfile(ctx, e.ID)
		if err != nil {
			return err
		}
		for kind, do := range []struct {
			force bool
			line  string
		}{{true, line}, {false, line}, {false, line + " changed"}} {
			text := strings.Replace(whole.EffectiveDockerfile, "echo "+line, "echo "+do.line, 1)
			if err := theirs[kind].Time(func() error { return peer.Build(ctx, "bench", text, !do.force) }); err != nil {
				return err
			}
			if err := buildOurs(ctx, c, kind, fmt.Sprintf(buildSteps, do.line), do.force, e.ID, &ours[kind], &start[kind]); err != nil {
				return err
			}
		}
	}
	for kind, what := range []string{"first build", "the same again, all cached", "the last line changed"} {
		t.Compare("buildah, "+what, &theirs[kind], nil)
		t.Compare("Bothy, "+what, &ours[kind], &theirs[kind])
	}
	t.Compare("first start of a computer from a new image", &start[0], &theirs[0])
	return nil
}

// buildOurs builds in an environment: the one given at first, and another one
// for what is cached, which a node would call up to date in the same.
func buildOurs(ctx context.Context, c *client.Client, kind int, steps string, force bool, first string, built, started *measure.Samples) error {
	id := first
	if kind > 0 {
		e, err := c.Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some(fmt.Sprint("bench again ", kind)), BaseImage: wire.Some(benchBase),
			DockerfileExtensions: wire.Some(steps)})
		if err != nil {
			return err
		}
		id = e.ID
	}
	err := built.Time(func() error { return buildWhole(ctx, c.Environments(), id, force) })
	if err != nil {
		return err
	}
	if err := started.Time(func() error { _, err := c.Environments().Start(ctx, id); return err }); err != nil {
		return err
	}
	stop, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err = c.Environments().Stop(stop, id)
	return err
}

// buildWhole asks for an image and waits until it is made.
func buildWhole(ctx context.Context, envs client.Environments, id string, force bool) error {
	asked, err := envs.Build(ctx, id, force)
	if err != nil {
		return err
	}
	end, err := envs.FollowBuild(ctx, id, *asked.BuildID, func(string) error { return nil })
	if err == nil && end.BuildStatus != "ready" {
		why := ""
		if end.BuildError != nil {
			why = *end.BuildError
		}
		err = fmt.Errorf("the build is %s: %s", end.BuildStatus, why)
	}
	return err
}
