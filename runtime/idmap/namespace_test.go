package idmap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func owner(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

func TestBindShiftsIDs(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for name, id := range map[string]int{"root": 0, "daemon": 1, "outside": RangeSize + 5} {
		path := filepath.Join(src, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, id, id); err != nil {
			t.Fatal(err)
		}
	}
	before := openFiles(t)
	r := Range{Host: FirstHost, Size: RangeSize}
	if err := Bind(src, dst, r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dst, 0); err != nil {
			t.Error(err)
		}
	})
	for name, want := range map[string]int{"root": FirstHost, "daemon": FirstHost + 1, "outside": 65534} {
		if uid, gid := owner(t, filepath.Join(dst, name)); uid != want || gid != want {
			t.Errorf("%s: %d:%d, want %d", name, uid, gid, want)
		}
	}
	if uid, _ := owner(t, filepath.Join(src, "root")); uid != 0 {
		t.Errorf("the source changed: %d", uid)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files open, before %d", after, before)
	}
	if kids := children(t); kids != "" {
		t.Errorf("processes left: %s", kids)
	}
}

func TestOneNamespaceServesManyBinds(t *testing.T) {
	n, err := Open(Range{Host: FirstHost + RangeSize, Size: RangeSize})
	if err != nil {
		t.Fatal(err)
	}
	src := t.TempDir()
	for range 3 {
		dst := t.TempDir()
		if err := n.Bind(src, dst); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dst, 0) })
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBindSaysWhatWasWrong(t *testing.T) {
	r := Range{Host: FirstHost, Size: RangeSize}
	if err := Bind(filepath.Join(t.TempDir(), "absent"), t.TempDir(), r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent source: %v", err)
	}
	if err := Bind(t.TempDir(), filepath.Join(t.TempDir(), "absent"), r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent target: %v", err)
	}
	if err := Bind("/proc", t.TempDir(), r); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("a file system without shifted mounts: %v", err)
	}
	if _, err := Open(Range{Host: 0, Size: 1}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("root's own ids: %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func children(t *testing.T) string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err == nil { // a thread may have ended meanwhile
			all += string(text)
		}
	}
	return strings.TrimSpace(all)
}

func BenchmarkBind(b *testing.B) {
	src, dst := b.TempDir(), b.TempDir()
	for b.Loop() {
		if err := Bind(src, dst, Range{FirstHost, RangeSize}); err != nil {
			b.Fatal(err)
		}
		if err := unix.Unmount(dst, 0); err != nil {
			b.Fatal(err)
		}
	}
}
