package workspace

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func TestRemoveAsksForRecursion(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	put(t, w, "d/e/file", "x")
	put(t, w, "top", "x")
	if err := os.Symlink("d", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", ".", "", "/workspace"} {
		if err := w.Remove(t.Context(), name, false); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q without recursion: %v", name, err)
		}
	}
	if err := w.Remove(t.Context(), "top", false); err != nil {
		t.Error(err)
	}
	if err := w.Remove(t.Context(), "link", true); err != nil {
		t.Error(err)
	}
	if there, err := w.Exists("d/e/file"); err != nil || !there {
		t.Errorf("removing a link removed what it leads to: %v, %v", there, err)
	}
	if err := w.Remove(t.Context(), "gone", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if err := w.Remove(t.Context(), "/home/node/workspace", true); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// nest makes directories in each other, deeper than any path reaches.
func nest(t *testing.T, dir string, depth int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := unix.Mkdirat(fd, "deep", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, "deep", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	unix.Close(fd)
}

func TestADeepTreeCostsFewFiles(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	put(t, w, "d/file", "x")
	nest(t, filepath.Join(dir, "d"), 5000)
	// The first free descriptors tell how many the removal may hold.
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	tight := before
	tight.Cur = uint64(fd + 2*maxOpenDirs)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
		t.Fatal(err)
	}
	err = w.Remove(t.Context(), "d", true)
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); back != nil {
		t.Fatal(back)
	}
	if left, readErr := os.ReadDir(dir); err != nil || readErr != nil || len(left) != 0 {
		t.Fatalf("%v, left %v, %v", err, left, readErr)
	}
}

func TestWhatGrowsAgainEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.MkdirAll(filepath.Join(dir, "d/e"), 0o755)
				_ = os.WriteFile(filepath.Join(dir, "d/e/f"), nil, 0o644)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := w.Remove(ctx, "d", true)
		cancel()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Remove(cancelled, ".", true); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
