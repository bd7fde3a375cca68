package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestADirectoryIsAStore(t *testing.T) { Conform(t, NewDir(filepath.Join(t.TempDir(), "store"))) }

// Conform shows what every store does.
func Conform(t *testing.T, s Store) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func(dir string) []string {
		t.Helper()
		var names []string
		must(s.List(ctx, dir, func(e Entry) error {
			if file := e.Name[len(e.Name)-1] != '/'; file && time.Since(e.Modified).Abs() > time.Hour {
				t.Errorf("%s was modified %v", e.Name, e.Modified)
			}
			names = append(names, e.Name)
			return nil
		}))
		slices.Sort(names)
		return names
	}
	must(s.Make(ctx, "store", []byte("one")))
	if err := s.Make(ctx, "store", []byte("two")); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 2 {
		must(s.Put(ctx, "c/x/pieces/s1/a", large))
		must(s.Put(ctx, "c/x/pieces/s1/b", nil))
		must(s.Put(ctx, "c/x/saves/s1", []byte("old")))
		must(s.Put(ctx, "c/x/saves/s1", []byte("new")))
		must(s.Put(ctx, "c/y-z/saves/s1", []byte("y")))
	}
	for key, want := range map[string][]byte{"store": []byte("one"), "c/x/pieces/s1/a": large, "c/x/pieces/s1/b": {}, "c/x/saves/s1": []byte("new")} {
		if got, err := s.Get(ctx, key, 1<<20); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, %v", key, len(got), err)
		}
	}
	if _, err := s.Get(ctx, "c/x/pieces/s1/a", 1<<20-1); err == nil || errors.Is(err, runtime.ErrNoStore) {
		t.Errorf("one that is too large: %v", err)
	}
	for _, key := range []string{"none", "c", "c/x", "c/x/saves/s2"} {
		if _, err := s.Get(ctx, key, 10); err == nil || key != "c" && key != "c/x" && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s, which is none: %v", key, err)
		}
	}
	for dir, want := range map[string][]string{
		"": {"c/", "store"}, "c/": {"x/", "y-z/"}, "c/x/": {"pieces/", "saves/"}, "c/x/pieces/s1/": {"a", "b"}, "none/": nil,
	} {
		if got := list(dir); !slices.Equal(got, want) {
			t.Errorf("in %q are %q, want %q", dir, got, want)
		}
	}
	for range 2 {
		must(s.Delete(ctx, []string{"c/x/pieces/s1/a", "c/x/pieces/s1/b", "c/x/saves/s1", "c/none"}))
	}
	if got := list("c/"); !slices.Equal(got, []string{"y-z/"}) {
		t.Errorf("left: %q", got)
	}
	for _, key := range []string{"", "/a", "a/", "../a", "a//b", "a/../b", "a\x00"} {
		if err := s.Put(ctx, key, nil); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("put %q: %v", key, err)
		}
		if _, err := s.Get(ctx, key, 1); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("get %q: %v", key, err)
		}
	}
	t.Run("at once", func(t *testing.T) { atOnce(t, s) })
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(done, "late", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := s.Get(ctx, "late", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("it was put all the same: %v", err)
	}
}

// atOnce shows that of several who make a blob one succeeds, and that a
// directory may come and go while others use it.
func atOnce(t *testing.T, s Store) {
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.Make(t.Context(), "one", []byte{byte(i)}); err == nil {
				made.Add(1)
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
			for j := range 10 {
				key := fmt.Sprintf("dir/%d-%d", i, j)
				if err := s.Put(t.Context(), key, []byte("x")); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), []string{key}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d made the same", made.Load())
	}
}

func TestADirectoryThatIsAwayIsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share", "store")
	s := NewDir(dir)
	if err := s.Make(t.Context(), "store", nil); !errors.Is(err, runtime.ErrNoStore) {
		t.Errorf("made in a share that is not there: %v", err)
	}
	if err := s.Put(t.Context(), "a", nil); !errors.Is(err, runtime.ErrNoStore) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Get(t.Context(), "a", 1); !errors.Is(err, runtime.ErrNoStore) {
		t.Errorf("get: %v", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", nil); err != nil {
		t.Errorf("once it is there: %v", err)
	}
}

// TestAHalfWrittenBlobIsNone: what a process that died has left does not count,
// and goes in time.
func TestAHalfWrittenBlobIsNone(t *testing.T) {
	dir := t.TempDir()
	s := NewDir(dir)
	if err := s.Put(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(dir, tempDir, "old"), filepath.Join(dir, tempDir, "young")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*tempAge)); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), "", func(e Entry) error {
		if e.Name != "a" {
			t.Errorf("listed: %s", e.Name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("one that may be on its way: %v", err)
	}
}
