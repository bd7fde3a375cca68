package image

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// using leaves what is in use.
func using(digests ...string) Sweeping {
	return Sweeping{Used: func() ([]string, error) { return digests, nil }}
}

// nameless makes an image that nothing keeps.
func nameless(t *testing.T, s *Store, parent, user string) string {
	t.Helper()
	digest, err := s.Commit(t.Context(), Change{Parent: parent, Trees: []Tree{{Path: upperTree(t), At: "."}}, IDs: upperIDs, Config: Config{User: user}})
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestAnImageInUseIsNotSwept(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	digest := nameless(t, s, host, "a")
	first, err := s.Use(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Use(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	sweep := func(keep Sweeping, want int) {
		t.Helper()
		if n, err := s.Sweep(t.Context(), keep); err != nil || n != want {
			t.Fatalf("swept %d, want %d: %v", n, want, err)
		}
	}
	sweep(Sweeping{}, 0)
	first()
	first() // again
	sweep(Sweeping{}, 0)
	second()
	sweep(Sweeping{Spare: time.Hour}, 0)
	sweep(Sweeping{}, 1)
	if _, err := s.Use(t.Context(), digest); err == nil {
		t.Error("used what is gone")
	}
}

// TestWhoComesWhileASweepLooksIsNotLost: from the moment that a sweep reads who
// uses what, an image is used by nobody new until it has ended.
func TestWhoComesWhileASweepLooksIsNotLost(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	digest := nameless(t, s, host, "a")
	used := make(chan error, 1)
	n, err := s.Sweep(t.Context(), Sweeping{Used: func() ([]string, error) {
		go func() {
			release, err := s.Use(t.Context(), digest)
			if err == nil {
				release()
			}
			used <- err
		}()
		return nil, nil
	}})
	if err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if err := <-used; err == nil {
		t.Error("it was used and swept")
	}
}

func TestAFullDiskForgetsTheOldestStepsFirst(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	var keys, digests []string
	for i := range 8 {
		key := digestPrefix + strings.Repeat("0", 63) + strconv.Itoa(i)
		digest := nameless(t, s, host, strconv.Itoa(i))
		if err := s.Remember(key, digest); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(9-i) * time.Hour)
		if i == 7 {
			at = time.Now()
		}
		if err := os.Chtimes(filepath.Join(s.dir, "cache", key[len(digestPrefix):]), at, at); err != nil {
			t.Fatal(err)
		}
		keys, digests = append(keys, key), append(digests, digest)
	}
	// Each image that is gone frees a byte.
	s.disk = func() int64 {
		entries, err := os.ReadDir(filepath.Join(s.dir, "images"))
		if err != nil {
			t.Error(err)
		}
		return int64(8 - len(entries))
	}
	for _, tt := range []struct {
		want int64
		left int // of the eight
	}{{0, 8}, {2, 6}, {8, 1}} {
		if _, err := s.Sweep(t.Context(), Sweeping{FreeBytes: tt.want}); err != nil {
			t.Fatal(err)
		}
		for i, digest := range digests {
			if here := s.has(t.Context(), digest); here != (i >= 8-tt.left) {
				t.Errorf("for %d bytes step %d is there: %v", tt.want, i, here)
			}
		}
	}
	if _, ok := s.Cached(keys[7]); !ok {
		t.Error("what a build has just made was forgotten")
	}
}

func TestTwoProcessesDoNotPlaceAtOnce(t *testing.T) {
	dir := t.TempDir()
	one, other := openStore(t, Options{Dir: dir, machine: testMachine(t)}), openStore(t, Options{Dir: dir, machine: testMachine(t)})
	one.placing.Lock()
	placed := make(chan error, 1)
	go func() { _, err := importPath(t, other, "x", writeLayout(t, twoLayers(t))); placed <- err }()
	select {
	case err := <-placed:
		t.Fatalf("placed meanwhile: %v", err)
	case <-time.After(50 * time.Millisecond): // it could have
	}
	one.placing.Unlock()
	if err := <-placed; err != nil {
		t.Fatal(err)
	}
}

// TestNobodyWaitsWhileSweptFilesAreRemoved: a large image takes seconds, and each
// Create takes hold of its image.
func TestNobodyWaitsWhileSweptFilesAreRemoved(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	digest := nameless(t, s, host, "a")
	free := func(when string) {
		t.Helper()
		if !s.placing.mu.TryLock() {
			t.Errorf("who wants an image waits %s", when)
			return
		}
		s.placing.mu.Unlock()
	}
	s.removeAll = func(dir string) error {
		free("while files are removed")
		if s.has(t.Context(), digest) {
			t.Error("the image is there while it is removed")
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*", "*")); err != nil || len(left) == 0 {
			t.Errorf("nothing is removed: %v", err)
		}
		return os.RemoveAll(dir)
	}
	s.disk = func() int64 {
		free("while a sweep looks for room")
		expectNothingUnfinished(t, s)
		return 1
	}
	if n, err := s.Sweep(t.Context(), Sweeping{}); err != nil || n != 1 {
		t.Fatalf("swept %d: %v", n, err)
	}
}

func TestWhatASweepLeftIsRemovedAtTheNextStart(t *testing.T) {
	dir, machine := t.TempDir(), testMachine(t)
	s := openStore(t, Options{Dir: dir, machine: machine})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	nameless(t, s, host, "a")
	s.removeAll = func(string) error { return os.ErrPermission }
	if n, err := s.Sweep(t.Context(), Sweeping{}); err == nil || n != 1 {
		t.Fatalf("swept %d: %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expectNothingUnfinished(t, openStore(t, Options{Dir: dir, machine: machine}))
}
