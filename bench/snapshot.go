package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/container"
	"github.com/bothy-computer/bothy/runtime/image"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
	"github.com/bothy-computer/bothy/runtime/warden"
)

const (
	// keptBytes is what lies in the workspace that is snapshotted.
	keptBytes = 1 << 30
	// snapshotPool holds it, what is written meanwhile, and a restored one.
	snapshotPool = 6 << 30
	// tidyTime bounds how long taking all away may last.
	tidyTime = time.Minute
	// fillScript makes the workspace, hotScript keeps writing into it.
	fillScript = "head -c %d /dev/urandom > kept && sync"
	hotScript  = "while :; do dd if=/dev/urandom of=hot bs=64k count=64 conv=notrunc 2>/dev/null; done"
)

// snapshot times snapshots of a running computer, and how long it stands still
// for them, beside the snapshot of its volume alone.
func (b *bench) snapshot(ctx context.Context) error {
	t := measure.Latencies(fmt.Sprintf("snapshot of a running computer with %d MiB in its workspace", keptBytes>>20))
	err := b.withDriver(ctx, func(d *container.Driver) error {
		id := runtime.ID("bench-" + uuid.NewString()[:8])
		spec := runtime.Spec{ID: id, Resources: runtime.Resources{MemoryBytes: 512 << 20, StorageBytes: 3 * keptBytes}}
		if err := errors.Join(d.Create(ctx, 1, spec), d.Start(ctx, 1, id)); err != nil {
			return err
		}
		exit, err := d.Exec(ctx, 1, id, runtime.Cmd{Argv: []string{"/bin/sh", "-c", fmt.Sprintf(fillScript, keptBytes)}})
		if err != nil || exit.Code != 0 {
			return fmt.Errorf("fill the workspace: %+v, %w", exit, err)
		}
		return b.snapshots(ctx, d, id, t)
	})
	t.Note("ratios: to the snapshot of the volume alone, with its note; the driver is called without a node between")
	return errors.Join(err, t.Write(b.out))
}

func (b *bench) snapshots(ctx context.Context, d *container.Driver, id runtime.ID, t *measure.Table) error {
	n := b.count(100)
	var alone measure.Samples
	for range n {
		if err := alone.Time(func() error {
			return errors.Join(d.Pool.TakeSnapshot(ctx, string(id), "alone"), d.Pool.KeepSnapshot(ctx, string(id), "alone", []byte("{}")))
		}); err != nil {
			return err
		}
		if err := d.Pool.RemoveSnapshot(ctx, string(id), "alone"); err != nil {
			return err
		}
	}
	t.Compare("its volume alone", &alone, nil)
	if err := timeSnapshots(ctx, d, id, n, "the computer waits", t, &alone); err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := d.Exec(writing, 1, id, runtime.Cmd{Argv: []string{"/bin/sh", "-c", hotScript}, Stdout: io.Discard, Stderr: io.Discard})
		ended <- err
	}()
	err := timeSnapshots(ctx, d, id, n, "it writes all the time", t, &alone)
	stop()
	if wrote := <-ended; !errors.Is(wrote, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("write meanwhile: %w", wrote))
	}
	return errors.Join(err, timeRestores(ctx, d, id, min(n, 10), t, &alone))
}

func timeSnapshots(ctx context.Context, d *container.Driver, id runtime.ID, n int, when string, t *measure.Table, peer *measure.Samples) error {
	var all, still measure.Samples
	for range n {
		var s runtime.Snapshot
		if err := all.Time(func() (err error) { s, err = d.Snapshot(ctx, 1, id, "s"); return err }); err != nil {
			return err
		}
		still.Add(s.Still)
		if err := d.DropSnapshot(ctx, s.Source); err != nil {
			return err
		}
	}
	t.Compare("snapshot, "+when, &all, peer)
	t.Compare("  of it the pause", &still, peer)
	return nil
}

func timeRestores(ctx context.Context, d *container.Driver, id runtime.ID, n int, t *measure.Table, peer *measure.Samples) error {
	s, err := d.Snapshot(ctx, 1, id, "s")
	if err != nil {
		return err
	}
	var all measure.Samples
	for range n {
		back := runtime.Spec{ID: id + "-back", Resources: runtime.Resources{StorageBytes: 3 * keptBytes}, From: s.Source}
		if err := all.Time(func() error { return d.Create(ctx, 1, back) }); err != nil {
			return err
		}
		if err := d.Remove(ctx, 1, back.ID); err != nil {
			return err
		}
	}
	t.Compare("create from it", &all, peer)
	return nil
}

// withDriver runs do with a driver over an empty directory, without a node,
// and takes everything away.
func (b *bench) withDriver(ctx context.Context, do func(d *container.Driver) error) (err error) {
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	undo := []func(context.Context) error{func(context.Context) error { return remove() }}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i](ctx))
		}
	}()
	log, node := slog.New(slog.DiscardHandler), "bench"+uuid.NewString()[:8]
	images, err := image.Open(image.Options{Dir: filepath.Join(dir, "images"), Log: log})
	if err != nil {
		return err
	}
	undo = append(undo, func(context.Context) error { return images.Close() })
	pool, err := volume.Open(volume.Options{Dir: filepath.Join(dir, "volumes"), SizeBytes: snapshotPool, Log: log})
	if err != nil {
		return err
	}
	undo = append(undo, pool.Unmount)
	bothy, err := filepath.Abs(b.bothy)
	if err != nil {
		return err
	}
	w, err := warden.Spawn(ctx, warden.SpawnOptions{Argv: []string{bothy, "warden", dir, node}, Dir: dir, Log: log})
	if err != nil {
		return err
	}
	undo = append(undo, w.Stop)
	saves, err := snapshot.Open(ctx, snapshot.Options{Store: blob.NewDir(filepath.Join(dir, "store")), IDFile: filepath.Join(dir, "store.json")})
	if err != nil {
		return err
	}
	d, err := container.Open(container.Options{Saves: saves, Dir: filepath.Join(dir, "computers"), NodeID: node, Images: images, Pool: pool, Warden: w, Log: log})
	if err != nil {
		return err
	}
	undo = append(undo, func(context.Context) error { return d.Close() }, func(ctx context.Context) error {
		_, err := d.Sweep(ctx, func(runtime.ID) bool { return false })
		return err
	})
	return do(d)
}
