package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// layerFiles of layerFileBytes each, which do not compress, are what an
	// image has above its base.
	layerFiles     = 200
	layerFileBytes = 1 << 20
	layerBytes     = layerFiles * layerFileBytes
	layerStep      = "RUN mkdir /opt/data && for i in $(seq %d); do head -c %d /dev/urandom > /opt/data/$i; done\n"
	// layerTries bounds the builds until enough were made by the other node.
	layerTries = 12
)

// images times the start of a computer on one node from an image that another
// one has built, beside the copy of the same bytes by tar.
func (b *bench) images(ctx context.Context) error {
	t := measure.Latencies(fmt.Sprintf("image to a second node: %d files, %d MiB", layerFiles, layerBytes>>20))
	var copied, fetched, again measure.Samples
	err := b.in(ctx, house.Shape{Nodes: 2, Memory: buildMemory}, func(h *house.House) error {
		n := b.count(3)
		for try := 0; try < layerTries; try++ {
			if have, _ := fetched.Count(); have >= n {
				return nil
			}
			if err := b.handOver(ctx, h, fmt.Sprint("bench image ", try), &copied, &fetched, &again); err != nil {
				return err
			}
		}
		return fmt.Errorf("of %d builds too few were made by the other node", layerTries)
	})
	t.Compare("tar | tar of the same files, to the disk", &copied, nil)
	t.Compare("first start of a computer, its image on the other node", &fetched, &copied)
	t.Compare("its next start", &again, &copied)
	for _, s := range []struct {
		what string
		of   *measure.Samples
	}{{"tar", &copied}, {"the first start", &fetched}} {
		if p50 := s.of.Percentile(50); p50 > 0 {
			t.Note("%s: %s MiB/s", s.what, measure.PerSecond(layerBytes>>20, p50))
		}
	}
	t.Note("both nodes and what they are compared to share one disk and its processors; the image comes over the nodes' own mutual TLS and is checked by digest")
	return errors.Join(err, t.Write(b.out))
}

// handOver has a computer live on a node and its image built wherever the leader
// wills. Where that is the other node, its next start is timed.
func (b *bench) handOver(ctx context.Context, h *house.House, name string, copied, fetched, again *measure.Samples) error {
	envs := h.Client(0).Environments()
	e, err := envs.Create(ctx, wire.WriteEnvironment{Name: wire.Some(name)})
	if err != nil {
		return err
	}
	owner, err := livesOn(ctx, h, e)
	if err != nil {
		return err
	}
	if _, err := envs.Update(ctx, e.ID, wire.WriteEnvironment{DockerfileExtensions: wire.Some(fmt.Sprintf(layerStep, layerFiles, layerFileBytes))}); err != nil {
		return err
	}
	if err := buildWhole(ctx, envs, e.ID, true); err != nil {
		return err
	}
	before, err := imagesOf(owner)
	if err != nil {
		return err
	}
	begun := time.Now()
	if _, err := envs.Start(ctx, e.ID); err != nil {
		return err
	}
	took := time.Since(begun)
	after, err := imagesOf(owner)
	if err == nil && after > before {
		fetched.Add(took)
		err = errors.Join(restart(ctx, envs, e.ID, again), b.copyFiles(ctx, copied))
	}
	if err != nil {
		return err
	}
	_, err = envs.Stop(ctx, e.ID)
	return errors.Join(err, envs.Delete(ctx, e.ID, true))
}

// livesOn gives an environment's computer a node, which has its data from then on.
func livesOn(ctx context.Context, h *house.House, e wire.Environment) (*house.Node, error) {
	c := h.Client(0)
	if _, err := c.Environments().Start(ctx, e.ID); err != nil {
		return nil, err
	}
	computer, err := c.Computers().Get(ctx, e.ComputerID)
	if err != nil || computer.Node == nil {
		return nil, fmt.Errorf("find the computer's node: %w", errors.Join(err, errors.New("none")))
	}
	owner, _ := h.Named(*computer.Node)
	_, err = c.Environments().Stop(ctx, e.ID)
	return owner, err
}

func restart(ctx context.Context, envs client.Environments, id string, started *measure.Samples) error {
	if _, err := envs.Stop(ctx, id); err != nil {
		return err
	}
	return started.Time(func() error { _, err := envs.Start(ctx, id); return err })
}

// imagesOf counts the images that a node has unpacked.
func imagesOf(n *house.Node) (int, error) {
	have, err := os.ReadDir(filepath.Join(n.Dir, "images", "images"))
	if err != nil {
		return 0, fmt.Errorf("count the images of %s: %w", n.Name, err)
	}
	return len(have), nil
}

// copyFiles times the plain copy of as many files as the image has.
func (b *bench) copyFiles(ctx context.Context, copied *measure.Samples) error {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	err = errors.Join(os.Mkdir(from, 0o755), os.Mkdir(to, 0o755))
	data := make([]byte, layerFileBytes)
	for i := 0; i < layerFiles && err == nil; i++ {
		rand.Read(data)
		err = os.WriteFile(filepath.Join(from, fmt.Sprint(i)), data, 0o644)
	}
	if err == nil {
		err = exec.CommandContext(ctx, "sync", "-f", from).Run()
	}
	if err == nil {
		err = copied.Time(func() error {
			return exec.CommandContext(ctx, "sh", "-ec", `tar -C "$1" -c . | tar -C "$2" -x; sync -f "$2"`, "sh", from, to).Run()
		})
	}
	return errors.Join(err, remove())
}
