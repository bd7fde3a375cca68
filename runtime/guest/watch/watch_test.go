package watch_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime/guest/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched gathers the events of a directory until the test ends.
func watched(t *testing.T, dir string, recursive bool) <-chan watch.Event {
	t.Helper()
	w, err := watch.Open(dir, recursive)
	if err != nil {
		t.Fatal(err)
	}
	events, ended := make(chan watch.Event, 1000), make(chan error, 1)
	go func() { ended <- w.Run(func(ev watch.Event) error { events <- ev; return nil }) }()
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return events
}

// await reads until the event comes, and returns what came before it.
func await(t *testing.T, events <-chan watch.Event, want watch.Event) (before []watch.Event) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case ev := <-events:
			if ev == want {
				return before
			}
			before = append(before, ev)
		case <-limit:
			t.Fatalf("no %+v; came: %+v", want, before)
		}
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachKind(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	do(t, os.Mkdir(filepath.Join(dir, "below"), 0o755))
	events := watched(t, dir, false)
	file := filepath.Join(dir, "file")
	do(t, os.WriteFile(file, []byte("x"), 0o644))
	await(t, events, watch.Event{Name: "file", Kind: watch.Create})
	await(t, events, watch.Event{Name: "file", Kind: watch.Write})
	do(t, os.Chmod(file, 0o600))
	await(t, events, watch.Event{Name: "file", Kind: watch.Chmod})
	do(t, os.Rename(file, file+"2"))
	await(t, events, watch.Event{Name: "file", Kind: watch.Rename})
	await(t, events, watch.Event{Name: "file2", Kind: watch.Create})
	do(t, os.WriteFile(filepath.Join(dir, "below", "unseen"), nil, 0o644))
	do(t, os.Rename(file+"2", filepath.Join(other, "gone")))
	if before := await(t, events, watch.Event{Name: "file2", Kind: watch.Rename}); len(before) != 0 {
		t.Errorf("not recursive, yet came %+v", before)
	}
	do(t, os.WriteFile(file, nil, 0o644))
	do(t, os.Remove(file))
	await(t, events, watch.Event{Name: "file", Kind: watch.Remove})
}

func TestRecursiveSeesWhatComesLater(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	do(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	do(t, os.MkdirAll(filepath.Join(other, "moved", "in"), 0o755))
	do(t, os.WriteFile(filepath.Join(other, "moved", "in", "file"), nil, 0o644))
	events := watched(t, dir, true)
	do(t, os.WriteFile(filepath.Join(dir, "a", "b", "deep"), nil, 0o644))
	await(t, events, watch.Event{Name: "a/b/deep", Kind: watch.Create})
	do(t, os.Rename(filepath.Join(other, "moved"), filepath.Join(dir, "moved")))
	await(t, events, watch.Event{Name: "moved", Kind: watch.Create})
	await(t, events, watch.Event{Name: "moved/in/file", Kind: watch.Create})
	do(t, os.WriteFile(filepath.Join(dir, "moved", "in", "new"), nil, 0o644))
	await(t, events, watch.Event{Name: "moved/in/new", Kind: watch.Create})
}

func TestTheDirectorysEndEndsRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	do(t, os.Mkdir(dir, 0o755))
	w, err := watch.Open(dir, true)
	do(t, err)
	defer w.Close()
	do(t, os.Remove(dir))
	var last watch.Event
	do(t, w.Run(func(ev watch.Event) error { last = ev; return nil }))
	if last != (watch.Event{Name: ".", Kind: watch.Remove}) {
		t.Errorf("the last event is %+v", last)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	do(t, os.WriteFile(file, nil, 0o644))
	for _, path := range []string{file, file + "-missing"} {
		for _, recursive := range []bool{false, true} {
			if _, err := watch.Open(path, recursive); err == nil {
				t.Errorf("%s can be watched", path)
			}
		}
	}
}

func TestWhatMovedAwayIsNotSeen(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	do(t, os.MkdirAll(filepath.Join(dir, "tree", "sub"), 0o755))
	events := watched(t, dir, true)
	do(t, os.Rename(filepath.Join(dir, "tree"), filepath.Join(dir, "tree2")))
	await(t, events, watch.Event{Name: "tree2", Kind: watch.Create})
	await(t, events, watch.Event{Name: "tree2/sub", Kind: watch.Create})
	do(t, os.WriteFile(filepath.Join(dir, "tree2", "sub", "file"), nil, 0o644))
	await(t, events, watch.Event{Name: "tree2/sub/file", Kind: watch.Create})
	do(t, os.Rename(filepath.Join(dir, "tree2"), filepath.Join(other, "tree2")))
	await(t, events, watch.Event{Name: "tree2", Kind: watch.Rename})
	do(t, os.WriteFile(filepath.Join(other, "tree2", "sub", "unseen"), nil, 0o644))
	do(t, os.WriteFile(filepath.Join(dir, "last"), nil, 0o644))
	for _, ev := range await(t, events, watch.Event{Name: "last", Kind: watch.Create}) {
		if ev.Kind == watch.Create {
			t.Errorf("came %+v", ev)
		}
	}
}
