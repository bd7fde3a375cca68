package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/container"
)

const (
	// touchScript writes a hundredth of a file in place, in pages all over it.
	touchScript = `python3 -c '
import os, random
f = os.open("kept", os.O_RDWR)
for i in random.sample(range(%d), %d):
    os.pwrite(f, os.urandom(4096), i * 4096)
os.fsync(f)
'`
	// manyScript makes many small files, and manyTouch changes a hundredth of them.
	manyScript = "mkdir many && cd many && for d in $(seq 100); do mkdir $d; for f in $(seq 100); do head -c 4k /dev/urandom > $d/$f; done; done; sync"
	manyTouch  = "cd many && for d in $(seq 100); do head -c 4k /dev/urandom > $d/7; done; sync"
	pageBytes  = 4096
)

// saves times saves of a computer with a large file and many small ones into a
// directory, and the computer made of one, beside tar into zstd.
func (b *bench) saves(ctx context.Context) error {
	t := measure.Latencies(fmt.Sprintf("saves of a workspace of %d MiB in one file and 10,000 files of 4 KiB", keptBytes>>20))
	err := b.withDriver(ctx, func(d *container.Driver) error {
		id := runtime.ID("bench-" + uuid.NewString()[:8])
		spec := runtime.Spec{ID: id, Resources: runtime.Resources{MemoryBytes: 512 << 20, StorageBytes: 3 * keptBytes}}
		if err := errors.Join(d.Create(ctx, 1, spec), d.Start(ctx, 1, id)); err != nil {
			return err
		}
		s := saveBench{Driver: d, id: id, t: t, spec: spec}
		for _, script := range []string{fmt.Sprintf(fillScript, keptBytes), manyScript} {
			if err := s.script(ctx, script); err != nil {
				return err
			}
		}
		return s.run(ctx, b.count(3))
	})
	t.Note("ratios: to tar and zstd, at its fastest level, of the workspace into a file that is synced; the data do not compress")
	return errors.Join(err, t.Write(b.out))
}

type saveBench struct {
	*container.Driver
	id   runtime.ID
	spec runtime.Spec
	t    *measure.Table
	last string // save
	made int
}

func (s *saveBench) script(ctx context.Context, text string) error {
	exit, err := s.Exec(ctx, 1, s.id, runtime.Cmd{Argv: []string{"/bin/sh", "-c", text}})
	if err != nil || exit.Code != 0 {
		return fmt.Errorf("change the workspace: %+v, %w", exit, err)
	}
	return nil
}

func (s *saveBench) run(ctx context.Context, n int) error {
	var plain measure.Samples
	bytes, err := s.plain(ctx, n, &plain)
	if err != nil {
		return err
	}
	s.t.Compare("tar | zstd", &plain, nil)
	s.t.Note("tar | zstd reads and writes %d MiB", bytes>>20)
	touch := fmt.Sprintf(touchScript, keptBytes/pageBytes, keptBytes/pageBytes/100)
	for _, tt := range []struct {
		name, change string
		whole        bool
	}{
		{"a first save", "true", true}, {"1 % of the file changed", touch, false}, {"1 % of the files changed", manyTouch, false}, {"nothing changed", "true", false},
	} {
		if err := s.timeSaves(ctx, n, tt.name, tt.change, tt.whole, &plain); err != nil {
			return err
		}
	}
	return s.timeFetches(ctx, n, &plain)
}

// plain packs the workspace whole, and reports into how many bytes. Each time it
// reads a snapshot that nobody has read, as saves do.
func (s *saveBench) plain(ctx context.Context, n int, all *measure.Samples) (size int64, err error) {
	for range n {
		of, err := s.Snapshot(ctx, 1, s.id, "plain")
		if err != nil {
			return 0, err
		}
		root, err := s.SnapshotWorkspace(ctx, of.Source)
		if err != nil {
			return 0, err
		}
		if err := all.Time(func() error { size, err = tarZstd(ctx, root.Path, filepath.Join(s.Dir, "plain.tar.zst")); return err }); err != nil {
			return 0, err
		}
		if err := s.DropSnapshot(ctx, of.Source); err != nil {
			return 0, err
		}
	}
	return size, nil
}

func tarZstd(ctx context.Context, dir, to string) (int64, error) {
	f, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer os.Remove(to)
	defer f.Close()
	out, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return 0, err
	}
	tar := exec.CommandContext(ctx, "tar", "-C", dir, "-cf", "-", ".")
	tar.Stdout = out
	if err := errors.Join(tar.Run(), out.Close(), f.Sync()); err != nil {
		return 0, err
	}
	return f.Seek(0, io.SeekEnd)
}

// timeSaves times the saving of snapshots, each after a change.
func (s *saveBench) timeSaves(ctx context.Context, n int, name, change string, whole bool, peer *measure.Samples) error {
	var all measure.Samples
	var made runtime.Saved
	for range n {
		if err := s.script(ctx, change); err != nil {
			return err
		}
		s.made++
		of, err := s.Snapshot(ctx, 1, s.id, fmt.Sprintf("s%d", s.made))
		if err != nil {
			return err
		}
		base := s.last
		if whole {
			base = ""
		}
		if err := all.Time(func() (err error) { made, err = s.SaveSnapshot(ctx, of.Source, base); return err }); err != nil {
			return err
		}
		s.last = of.Name
		if err := s.DropSnapshot(ctx, of.Source); err != nil {
			return err
		}
	}
	s.t.Compare(name, &all, peer)
	s.t.Note("%s: reads %.1f MiB and sends %.1f MiB", name, float64(made.Read)/(1<<20), float64(made.Sent)/(1<<20))
	return nil
}

// timeFetches times the making of a computer out of the last save.
func (s *saveBench) timeFetches(ctx context.Context, n int, peer *measure.Samples) error {
	var all measure.Samples
	back := s.spec
	back.ID, back.Saved = s.id+"-back", runtime.Save{Computer: s.id, Name: s.last}
	for range n {
		if err := all.Time(func() error { return s.Create(ctx, 1, back) }); err != nil {
			return err
		}
		if err := s.Remove(ctx, 1, back.ID); err != nil {
			return err
		}
	}
	s.t.Compare("create from the last", &all, peer)
	return nil
}
