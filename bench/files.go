package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// largeFile is what is moved, of bytes that do not pack.
	largeFile = 512 << 20
	// filesDisk holds one of them, and others on their way.
	filesDisk = 4 * largeFile
)

// files moves a large file to and from a computer, at its owner and through
// another node, beside a copy by the machine.
func (b *bench) files(ctx context.Context) error {
	t := measure.NewTable(fmt.Sprintf("a file of %d MiB", largeFile>>20), "what", "n", "failed", "p50 MiB/s", "slowest", "ratio")
	dir, remove, err := b.scratch()
	if err != nil {
		return err
	}
	m := &mover{t: t, n: b.count(5), large: filepath.Join(dir, "large"), copy: filepath.Join(dir, "copy")}
	if err = writeNoise(m.large, largeFile); err == nil {
		m.plain()
		err = b.in(ctx, house.Shape{Nodes: 2, Memory: 512 << 20, Disk: filesDisk}, func(h *house.House) error { return m.through(ctx, h) })
	}
	t.Note("ratio: to the plain copy, which the kernel does alone; nothing is synced; client and nodes share this machine")
	return errors.Join(err, remove(), t.Write(b.out))
}

func writeNoise(name string, n int64) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), n)
	return errors.Join(err, f.Close())
}

// mover moves the file in different ways.
type mover struct {
	t           *measure.Table
	n           int
	large, copy string
	peer        time.Duration // of the plain copy
}

// time adds a line for a way to move the file.
func (m *mover) time(what string, move func() error) {
	var s measure.Samples
	for range m.n {
		_ = s.Time(move)
	}
	n, failed := s.Count()
	speed := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(largeFile>>20)/d.Seconds())
	}
	ratio := "1 (peer)"
	if m.peer == 0 {
		m.peer = s.Percentile(50)
	} else {
		ratio = measure.Ratio(float64(m.peer), float64(s.Percentile(50)))
	}
	m.t.Line(what, fmt.Sprint(n), fmt.Sprint(failed), speed(s.Percentile(50)), speed(s.Percentile(100)), ratio)
	if err := s.FirstFailure(); err != nil {
		m.t.Note("%s: the first failure: %v", what, err)
	}
}

func (m *mover) plain() {
	m.time("plain copy from file to file", func() error {
		from, err := os.Open(m.large)
		if err != nil {
			return err
		}
		return errors.Join(m.save(from), from.Close())
	})
	m.time("the same through memory", func() error {
		from, err := os.Open(m.large)
		if err != nil {
			return err
		}
		return errors.Join(m.save(struct{ io.Reader }{from}), from.Close())
	})
}

// save writes what comes to a file.
func (m *mover) save(from io.Reader) error {
	to, err := os.Create(m.copy)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, from)
	if err == nil && n != largeFile {
		err = fmt.Errorf("%d bytes came", n)
	}
	return errors.Join(err, to.Close())
}

func (m *mover) through(ctx context.Context, h *house.House) error {
	env, err := h.Client(0).Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some("bench")})
	if err != nil {
		return fmt.Errorf("make an environment: %w", err)
	}
	if err := runTrue(ctx, h.Client(0), env.ComputerID); err != nil {
		return fmt.Errorf("run the first command: %w", err)
	}
	computer, err := h.Client(0).Computers().Get(ctx, env.ComputerID)
	if err != nil || computer.Node == nil {
		return fmt.Errorf("find the computer's owner: %w", errors.Join(err, errors.New("none")))
	}
	owner, others := h.Named(*computer.Node)
	for _, way := range []struct {
		name   string
		client *client.Client
	}{{"at the owner", h.ClientOf(owner)}, {"through another node", h.ClientOf(others[0])}} {
		files := way.client.Environments().Files(env.ID)
		m.time("upload "+way.name, func() error { return m.upload(ctx, files) })
		m.time("download "+way.name, func() error {
			body, err := files.Download(ctx, "large")
			if err != nil {
				return err
			}
			return errors.Join(m.save(body), body.Close())
		})
	}
	return gone(ctx, h.Client(0), env)
}

func (m *mover) upload(ctx context.Context, files client.Files) error {
	from, err := os.Open(m.large)
	if err != nil {
		return err
	}
	done, err := files.Upload(ctx, "large", from)
	if err == nil && done.Size != largeFile {
		err = fmt.Errorf("%d bytes were written", done.Size)
	}
	return errors.Join(err, from.Close())
}
