package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func keep(t *testing.T, p *Pool, id, name, note string) {
	t.Helper()
	if err := p.TakeSnapshot(t.Context(), id, name); err != nil {
		t.Fatal(err)
	}
	if err := p.KeepSnapshot(t.Context(), id, name, []byte(note)); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotsOutliveTheirVolume(t *testing.T) {
	p := openPool(t, t.TempDir())
	ctx := t.Context()
	dir, err := p.Create(ctx, "a", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	// Nothing is synced: what was written is in it all the same.
	then := strings.Repeat("then", 1<<18)
	if err := os.WriteFile(file, []byte(then), 0o600); err != nil {
		t.Fatal(err)
	}
	keep(t, p, "a", "s2", "second")
	if err := os.WriteFile(file, []byte("now"), 0o600); err != nil {
		t.Fatal(err)
	}
	keep(t, p, "a", "s1", "first")
	frozen := filepath.Join(p.snapshot("a", "s2"), diskName)
	if err := os.WriteFile(filepath.Join(frozen, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Fatalf("written to: %v", err)
	}
	if err := p.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if names, err := p.Snapshots("a"); err != nil || !slices.Equal(names, []string{"s1", "s2"}) {
		t.Fatalf("%v, %v", names, err)
	}
	for range 2 { // the first before a restart, the second after one
		if note, err := p.Note("a", "s2"); err != nil || string(note) != "second" {
			t.Fatalf("note %q, %v", note, err)
		}
		unmount(t, p)
		p = openPool(t, p.opts.Dir)
	}
	back, err := p.Restore(ctx, "a", "s2", "b")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(back, "file")); err != nil || string(got) != then {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for range 2 {
		if err := errors.Join(p.RemoveSnapshot(ctx, "a", "s1"), p.RemoveSnapshot(ctx, "a", "s2")); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := p.Snapshotted(); err != nil || len(ids) != 0 {
		t.Fatalf("left: %v, %v", ids, err)
	}
	if _, err := p.Restore(ctx, "a", "s2", "c"); !errors.Is(err, runtime.ErrNoSnapshot) {
		t.Fatalf("restored from nothing: %v", err)
	}
	if _, err := p.Note("a", "s2"); !errors.Is(err, runtime.ErrNoSnapshot) {
		t.Fatalf("note of nothing: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(back, "file")); err != nil || string(got) != then {
		t.Fatalf("after its snapshot went: %d bytes, %v", len(got), err)
	}
}

func TestARestoredVolumeHasAQuotaOfItsOwn(t *testing.T) {
	p := openPool(t, t.TempDir())
	const quota = 8 << 20
	dir, err := p.Create(t.Context(), "a", quota)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := write(filepath.Join(dir, "f"), 2*quota); err == nil {
		t.Fatalf("wrote %d bytes past the quota", n)
	}
	keep(t, p, "a", "s", "of a full volume")
	back, err := p.Restore(t.Context(), "a", "s", "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetQuota(t.Context(), "b", quota); err != nil {
		t.Fatal(err)
	}
	if n, err := write(filepath.Join(back, "g"), 2*quota); err == nil || n < quota/2 {
		t.Fatalf("wrote %d bytes, %v; the quota is %d", n, err, quota)
	}
	if err := errors.Join(p.Remove(t.Context(), "a"), p.Remove(t.Context(), "b")); err != nil {
		t.Fatal(err)
	}
}

// TestWhatASnapshotKeepsCounts: data that a snapshot holds is charged to the
// volume it was written in, until the snapshot is gone.
func TestWhatASnapshotKeepsCounts(t *testing.T) {
	p := openPool(t, t.TempDir())
	const quota, size = 16 << 20, 10 << 20
	dir, err := p.Create(t.Context(), "a", quota)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "f"), size)
	keep(t, p, "a", "s", "note")
	if err := os.Remove(filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	if n, err := write(filepath.Join(dir, "g"), size); err == nil {
		t.Fatalf("wrote %d bytes beside the %d that are kept", n, size)
	}
	if err := p.Settle(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Usage("a"); err != nil || n < size {
		t.Fatalf("usage is %d, %v", n, err)
	}
	if err := p.RemoveSnapshot(t.Context(), "a", "s"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; syncPool(t, p) { // the kernel drops the data in its own time
		if _, err = write(filepath.Join(dir, "g"), size); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestHalfASnapshotIsNone: a process that ends between any two steps of making
// or removing a snapshot leaves a whole one or nothing.
func TestHalfASnapshotIsNone(t *testing.T) {
	dir := t.TempDir()
	p := openPool(t, dir)
	if _, err := p.Create(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	keep(t, p, "a", "whole", "note")
	keep(t, p, "a", "going", "note")
	halves := map[string]func() error{
		"empty": func() error { return os.Mkdir(p.half("a", "empty"), 0o700) },
		"taken": func() error { return p.TakeSnapshot(t.Context(), "a", "taken") },
		"noted": func() error {
			return errors.Join(p.TakeSnapshot(t.Context(), "a", "noted"), os.WriteFile(filepath.Join(p.half("a", "noted"), noteName), nil, 0o600))
		},
		"going": func() error { return move(p.snapshot("a", "going"), p.half("a", "going")) },
		"repeated": func() error {
			return errors.Join(p.TakeSnapshot(t.Context(), "a", "repeated"), p.TakeSnapshot(t.Context(), "a", "repeated"))
		},
	}
	for name, half := range halves {
		if err := half(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if names, err := p.Snapshots("a"); err != nil || !slices.Equal(names, []string{"whole"}) {
		t.Fatalf("while half: %v, %v", names, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	if left, err := names(again.snapshotsOf("a")); err != nil || !slices.Equal(left, []string{"whole"}) {
		t.Errorf("after a restart: %v, %v", left, err)
	}
	if err := again.RemoveSnapshot(t.Context(), "a", "whole"); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestSnapshotsAreBounded(t *testing.T) {
	p := openPool(t, t.TempDir())
	if _, err := p.Create(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	for i := range MaxSnapshots {
		if err := os.MkdirAll(p.snapshot("a", fmt.Sprint("s", i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.TakeSnapshot(t.Context(), "a", "more"); !errors.Is(err, runtime.ErrFull) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("one too many: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".half-x"} {
		if err := p.TakeSnapshot(t.Context(), "a", name); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("named %q: %v", name, err)
		}
	}
	if err := p.TakeSnapshot(t.Context(), "b", "s"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}
