package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is where this machine mounts its control groups.
type Tree struct {
	v1      map[string]string // controller → mount point
	unified string            // mount point of cgroup2, when it carries the controllers
	beside  string            // mount point of cgroup2 beside v1; runc makes groups there too
}

// needed are the controllers without which limits would be promises.
var needed = []string{"cpu", "memory", "pids"}

// Detect reads the mounts of this process.
func Detect() (Tree, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Tree{}, fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	return parse(f)
}

// Unified makes a Tree over one cgroup2 mount, whatever controllers it has.
func Unified(mount string) Tree { return Tree{unified: mount} }

func parse(mountinfo io.Reader) (Tree, error) {
	t := Tree{v1: map[string]string{}}
	second := ""
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			second = left[4]
		case "cgroup":
			for _, option := range strings.Split(right[2], ",") {
				t.v1[option] = left[4]
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Tree{}, fmt.Errorf("find cgroups: %w", err)
	}
	if t.v1["memory"] == "" && second != "" {
		return Tree{unified: second}, t.check(second)
	}
	t.beside = second
	return t, t.check("")
}

// check reports the controllers that are missing.
func (t Tree) check(unified string) error {
	var have []string
	if unified != "" {
		data, err := os.ReadFile(filepath.Join(unified, "cgroup.controllers"))
		if err != nil {
			return fmt.Errorf("find cgroups: %w", err)
		}
		have = strings.Fields(string(data))
	}
	var missing []string
	for _, c := range needed {
		if t.v1[c] == "" && !slices.Contains(have, c) {
			missing = append(missing, c)
		}
	}
	if unified == "" && t.v1["freezer"] == "" {
		missing = append(missing, "freezer")
	}
	if missing != nil {
		return fmt.Errorf("this machine's cgroups lack %s: mount them or enable them on the kernel's command line",
			strings.Join(missing, ", "))
	}
	return nil
}

// V2 says whether the unified hierarchy is in use.
func (t Tree) V2() bool { return t.unified != "" }

// String names the version for people.
func (t Tree) String() string {
	if t.V2() {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// Group names a group in every hierarchy; it need not exist. The path is
// relative to the root of the hierarchy, such as "bothy/<uuid>".
func (t Tree) Group(path string) Group { return Group{tree: t, path: path} }

// errNoController is returned when a group is asked for what is not mounted.
var errNoController = errors.New("controller not mounted")
