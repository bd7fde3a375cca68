package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballast is a file that takes up room so that there is some to give back.
type ballast struct {
	fs    vfs.FS
	path  string
	bytes int64
	log   *slog.Logger

	mu   sync.Mutex
	gone atomic.Bool
}

// ErrNoSpace reports whether an error says that the disk is full.
func ErrNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// give removes the ballast; pebble then tries its write once more.
func (b *ballast) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone.Store(true)
	if b.bytes == 0 {
		return
	}
	err := b.fs.Remove(b.path)
	b.log.Error("the disk is full; the store gave up its ballast and refuses further writes until there is room",
		"path", b.path, "freed_bytes", b.bytes, "err", err)
}

// take lays the ballast down, if it is not there. Without room for it the
// store counts as full.
func (b *ballast) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes == 0 {
		b.gone.Store(false)
		return
	}
	if info, err := b.fs.Stat(b.path); err == nil && info.Size() == b.bytes {
		b.gone.Store(false)
		return
	}
	b.gone.Store(true)
	if use, err := b.fs.GetDiskUsage(b.fs.PathDir(b.path)); err == nil && use.AvailBytes < 2*uint64(b.bytes) {
		return // do not fill the disk only to find that it is full
	}
	err := writeFile(b.fs, b.path, io.LimitReader(zeros{}, b.bytes))
	if err != nil {
		if rmErr := b.fs.Remove(b.path); rmErr != nil {
			err = errors.Join(err, fmt.Errorf("remove the unfinished ballast: %w", rmErr))
		}
		b.log.Warn("there is no room for the store's ballast", "bytes", b.bytes, "err", err)
		return
	}
	b.gone.Store(false)
}

// missing reports whether the ballast is gone, after trying to lay it down.
func (b *ballast) missing() bool {
	if b.gone.Load() {
		b.take()
	}
	return b.gone.Load()
}

// zeros is an endless file of nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
