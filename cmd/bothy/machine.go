package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster/members"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/container"
	"github.com/bothy-computer/bothy/runtime/image"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// machine is what a node runs computers with.
type machine struct {
	images  *image.Store
	warden  *warden.Client
	pool    *volume.Pool
	driver  *container.Driver
	missing []string // what this machine lacks, and how to mend it

	mu   sync.Mutex
	last members.Meta // of room
	at   time.Time    // when last was measured
}

// errNotRoot says what a node needs root for.
var errNotRoot = errors.New("a node needs root, to make containers, mounts, network namespaces and cgroups for its computers: run it with sudo. " +
	"`make build` and every client command work without")

func openMachine(ctx context.Context, c Config, self state.NodeID, reg prometheus.Registerer, log *slog.Logger) (*machine, error) {
	if os.Geteuid() != 0 {
		return nil, errNotRoot
	}
	m := &machine{}
	blobs, err := openBlobs(ctx, c.Blob, c.Node.Dir)
	if err != nil {
		return nil, err
	}
	var saves container.Saves
	if blobs != nil {
		saves = blobs
	}
	inbox, err := snapshot.OpenInbox(ctx, filepath.Join(c.Node.Dir, "inbox"))
	if err != nil {
		return nil, err
	}
	m.images, err = image.Open(image.Options{Dir: filepath.Join(c.Node.Dir, "images"), Recipes: image.DefaultRecipes(), Sources: c.Images.Sources, Insecure: c.Images.Insecure, Log: log})
	if err != nil {
		return nil, fmt.Errorf("open images: %w", err)
	}
	m.pool, err = volume.Open(volume.Options{Dir: filepath.Join(c.Node.Dir, "volumes"), SizeBytes: int64(c.Volumes.Size),
		GrowBytes: int64(c.Volumes.Grow), Log: log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open volumes: %w", err), m.images.Close())
	}
	if !m.pool.Quota() {
		m.missing = append(m.missing, "No disk quota for computers: "+m.pool.Reason())
	}
	m.warden, err = warden.Spawn(ctx, warden.SpawnOptions{Argv: wardenArgv(c.Node.Dir, string(self)), Dir: c.Node.Dir, Log: log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the warden: %w", err), m.pool.Close(), m.images.Close())
	}
	m.driver, err = container.Open(container.Options{Saves: saves, Inbox: inbox, Dir: filepath.Join(c.Node.Dir, "computers"), NodeID: string(self), Images: m.images,
		Pool: m.pool, Warden: m.warden, Log: log, Warm: c.Computer.Warm, WarmImage: c.Computer.Image, Metrics: reg})
	if err != nil {
		return nil, errors.Join(err, m.pool.Close(), m.images.Close())
	}
	return m, nil
}

// close lets go of the machine; computers run on.
func (m *machine) close() error {
	return errors.Join(m.driver.Close(), m.pool.Close(), m.images.Close())
}

const (
	// roomFor is how long a measure of the machine's room is good.
	roomFor = time.Second
	// roomPatience bounds one measure.
	roomPatience = time.Second
)

// room is what this machine can still give to computers, at most a second old.
func (m *machine) room() members.Meta {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.at) < roomFor {
		return m.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), roomPatience)
	defer cancel()
	c, err := m.driver.Capacity(ctx)
	if err != nil {
		return m.last // gossip is a hint: an old one is better than none
	}
	m.last = members.Meta{FreeMemoryBytes: c.MemoryFree, FreeDiskBytes: c.StorageFree}
	for _, name := range c.Images {
		m.last.Images = append(m.last.Images, imageKey(name))
	}
	m.at = time.Now()
	return m.last
}
