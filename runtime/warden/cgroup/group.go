package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Group is one control group, by name. Its methods read and write the kernel's
// files each time, so a Group never goes stale.
type Group struct {
	tree Tree
	path string
}

// Path is the group's path below the root of a hierarchy.
func (g Group) Path() string { return g.path }

// Child names a group below this one.
func (g Group) Child(name string) Group {
	return Group{tree: g.tree, path: filepath.Join(g.path, name)}
}

// Dir is the group's directory for a v1 controller name; under v2 it is the
// same for all.
func (g Group) Dir(controller string) (string, error) {
	if g.tree.V2() {
		return filepath.Join(g.tree.unified, g.path), nil
	}
	mount := g.tree.v1[controller]
	if mount == "" {
		return "", fmt.Errorf("cgroup %s: %s: %w", g.path, controller, errNoController)
	}
	return filepath.Join(mount, g.path), nil
}

// dirs are the directories of the group, one for each mounted hierarchy.
func (g Group) dirs() []string {
	if g.tree.V2() {
		return []string{filepath.Join(g.tree.unified, g.path)}
	}
	seen := map[string]bool{}
	var out []string
	if g.tree.beside != "" {
		out = append(out, filepath.Join(g.tree.beside, g.path))
	}
	for _, mount := range g.tree.v1 {
		if !seen[mount] {
			seen[mount] = true
			out = append(out, filepath.Join(mount, g.path))
		}
	}
	return out
}

// Make creates the group where freezing, weights and memory are decided, and
// under v2 hands the controllers down to it.
func (g Group) Make() error {
	if g.tree.V2() {
		return g.makeUnified()
	}
	for _, c := range []string{"freezer", "cpu", "memory"} {
		dir, err := g.Dir(c)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return nil
}

// makeUnified walks down from the root, since a v2 controller reaches a group
// only when every group above passes it on.
func (g Group) makeUnified() error {
	dir := g.tree.unified
	for _, part := range strings.Split(g.path, "/") {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		for _, c := range strings.Fields(string(data)) {
			if c != "cpu" && c != "memory" && c != "pids" && c != "io" && c != "cpuset" {
				continue
			}
			if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil {
				return fmt.Errorf("enable %s below %s: %w", c, dir, err)
			}
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return nil
}

// Children lists the names of the groups directly below.
func (g Group) Children() ([]string, error) {
	dir, err := g.Dir("freezer")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list cgroup: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Processes lists the processes in this group alone. A group that is gone has
// none.
func (g Group) Processes() ([]int, error) {
	dir, err := g.Dir("freezer")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cgroup: %w", err)
	}
	var out []int
	for _, field := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("read cgroup: %w", err)
		}
		if pid > 0 { // 0 is a process of a pid namespace we cannot see
			out = append(out, pid)
		}
	}
	return out, nil
}

// Contains says whether the process is in this group or below it.
func (g Group) Contains(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		ours := parts[1] == "freezer" && !g.tree.V2() || parts[1] == "" && g.tree.V2()
		if ours && (parts[2] == "/"+g.path || strings.HasPrefix(parts[2], "/"+g.path+"/")) {
			return true
		}
	}
	return false
}

// Signal sends SIGKILL to every process of the group. Frozen ones of a v1
// group die when they thaw, before they run another instruction of their own.
func (g Group) Signal() error {
	pids, err := g.Processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("kill %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// Kill ends every process of the group and waits until there is none. A frozen
// group is thawed for it once all have their signal.
func (g Group) Kill(ctx context.Context) error {
	for {
		pids, err := g.Processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := g.Signal(); err != nil {
			return err
		}
		if err := g.Thaw(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill cgroup %s: %w", g.path, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// Remove deletes the group in every hierarchy. It must be empty.
func (g Group) Remove() error {
	var errs []error
	for _, dir := range g.dirs() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// write puts a value in a control file that the kernel already made.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
