package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pollEvery is how often a change that the kernel makes in its own time is
// looked at again.
const pollEvery = time.Millisecond

// Freeze stops every process of the group and below, and returns when they
// stand. A group that is gone is success.
func (g Group) Freeze(ctx context.Context) error { return g.turn(ctx, true) }

// Thaw lets the group go on. Under a frozen parent it stays still, and Thaw
// returns at once.
func (g Group) Thaw(ctx context.Context) error { return g.turn(ctx, false) }

func (g Group) turn(ctx context.Context, frozen bool) error {
	file, value := g.freezeFile(frozen)
	for {
		err := write(file, value)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("freeze or thaw %s: %w", g.path, err)
		}
		if !frozen {
			return nil
		}
		now, err := g.Frozen()
		if err != nil || now {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("freeze %s: %w", g.path, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

func (g Group) freezeFile(frozen bool) (file, value string) {
	if g.tree.V2() {
		if frozen {
			return filepath.Join(g.tree.unified, g.path, "cgroup.freeze"), "1"
		}
		return filepath.Join(g.tree.unified, g.path, "cgroup.freeze"), "0"
	}
	file = filepath.Join(g.tree.v1["freezer"], g.path, "freezer.state")
	if frozen {
		return file, "FROZEN"
	}
	return file, "THAWED"
}

// Frozen says whether the group stands still, by its own state or by that of
// a group above it. A group that is gone does not.
func (g Group) Frozen() (bool, error) {
	file, _ := g.freezeFile(true)
	if g.tree.V2() {
		file = filepath.Join(g.tree.unified, g.path, "cgroup.events")
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read freezer: %w", err)
	}
	if g.tree.V2() {
		return strings.Contains(string(data), "frozen 1"), nil
	}
	return strings.TrimSpace(string(data)) == "FROZEN", nil
}

// HandDown moves a freeze from this group to each of its children, so that
// they can be thawed one by one: a frozen parent would hold them all. No
// process runs in between.
func (g Group) HandDown(ctx context.Context) error {
	children, err := g.Children()
	if err != nil {
		return err
	}
	for _, name := range children {
		if err := g.Child(name).Freeze(ctx); err != nil {
			return err
		}
	}
	return g.Thaw(ctx)
}
