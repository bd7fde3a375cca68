package store

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	s, err := Open("node/store", o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// step makes one update that a reader can check: the applied index and a key
// that says the same.
func step(s *Store, index uint64) error {
	return s.Update(func(w state.Writer) error {
		if err := w.Set([]byte("g0 n"), fmt.Append(nil, index)); err != nil {
			return err
		}
		if err := w.Set(fmt.Appendf(nil, "g0 k%06d", index), []byte(strings.Repeat("x", 100))); err != nil {
			return err
		}
		return state.Skip(w, index)
	})
}

// check reads a store that step made and returns its index.
func check(t testing.TB, s *Store) uint64 {
	t.Helper()
	r, done, err := s.View()
	must(t, err)
	defer done()
	index, err := state.AppliedIndex(r)
	must(t, err)
	n, err := r.Get([]byte("g0 n"))
	must(t, err)
	if want := fmt.Sprint(index); index > 0 && string(n) != want {
		t.Fatalf("the store is at index %s and says %s", n, want)
	}
	keys := uint64(0)
	must(t, r.Scan([]byte("g0 k"), []byte("g0 l"), false, func(_, _ []byte) bool { keys++; return true }))
	if keys != index {
		t.Fatalf("%d keys at index %d", keys, index)
	}
	return index
}

func TestUpdateSeesItselfAndIsWholeOrNothing(t *testing.T) {
	s := open(t, Options{})
	must(t, s.Update(func(w state.Writer) error {
		must(t, w.Set([]byte("a"), nil))
		must(t, w.Set([]byte("b"), []byte("1")))
		must(t, w.Set([]byte("c"), []byte("2")))
		must(t, w.DeleteRange([]byte("b"), []byte("c")))
		if v, err := w.Get([]byte("b")); v != nil || err != nil {
			t.Fatalf("b is %q, %v after its range was deleted", v, err)
		}
		if v, err := w.Get([]byte("a")); v == nil || err != nil {
			t.Fatalf("an empty value reads as none: %v", err)
		}
		return nil
	}))
	refused := errors.New("refused")
	err := s.Update(func(w state.Writer) error {
		must(t, w.Delete([]byte("c")))
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	r, done, err := s.View()
	must(t, err)
	defer done()
	must(t, s.Update(func(w state.Writer) error { return w.Set([]byte("d"), nil) }))
	var forth, back []string
	must(t, r.Scan([]byte("a"), nil, false, func(k, _ []byte) bool { forth = append(forth, string(k)); return true }))
	must(t, r.Scan([]byte("a"), []byte("z"), true, func(k, _ []byte) bool { back = append(back, string(k)); return len(back) < 1 }))
	if !slices.Equal(forth, []string{"a", "c"}) || !slices.Equal(back, []string{"c"}) {
		t.Fatalf("scanned %q and back %q", forth, back)
	}
}

func TestStoreMatchesAMap(t *testing.T) {
	failed := errors.New("failed")
	rapid.Check(t, func(rt *rapid.T) {
		s, err := Open("s", Options{FS: vfs.NewMem()})
		must(t, err)
		defer s.Close()
		want := map[string]string{}
		key := rapid.StringMatching(`[a-d]{1,2}`)
		for range rapid.IntRange(1, 20).Draw(rt, "updates") {
			next := maps.Clone(want)
			err := s.Update(func(w state.Writer) error {
				for range rapid.IntRange(1, 4).Draw(rt, "writes") {
					must(t, write(w, next, key.Draw(rt, "key"), key.Draw(rt, "to"), rapid.IntRange(0, 2).Draw(rt, "op")))
				}
				for k := range next { // what the update reads is what it wrote
					if v, err := w.Get([]byte(k)); string(v) != next[k] || err != nil {
						rt.Fatalf("%s is %q, %v; want %q", k, v, err, next[k])
					}
				}
				if k := key.Draw(rt, "read"); next[k] == "" {
					if v, err := w.Get([]byte(k)); v != nil || err != nil {
						rt.Fatalf("%s is %q, %v; want nothing", k, v, err)
					}
				}
				if rapid.IntRange(0, 3).Draw(rt, "fails") == 0 {
					return failed
				}
				return nil
			})
			if err == nil {
				want = next
			} else if !errors.Is(err, failed) {
				rt.Fatal(err)
			}
		}
		r, done, err := s.View()
		must(t, err)
		defer done()
		got := map[string]string{}
		must(t, r.Scan([]byte("a"), []byte("z"), false, func(k, v []byte) bool { got[string(k)] = string(v); return true }))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

// write does one operation on the store and on the map.
func write(w state.Writer, m map[string]string, a, b string, op int) error {
	switch op {
	case 0:
		m[a] = b
		return w.Set([]byte(a), []byte(b))
	case 1:
		delete(m, a)
		return w.Delete([]byte(a))
	default:
		for k := range m {
			if k >= a && k < b {
				delete(m, k)
			}
		}
		return w.DeleteRange([]byte(a), []byte(b))
	}
}

func TestHotKeysAreBounded(t *testing.T) {
	s := open(t, Options{})
	for i := range 4 {
		must(t, s.Update(func(w state.Writer) error {
			for k := range maxHotKeys {
				must(t, w.Set(fmt.Appendf(nil, "%d-%d", i, k), []byte("v")))
			}
			return w.Set([]byte("big"), make([]byte, maxHotBytes+1))
		}))
	}
	if n := len(s.live.hot.committed); n > maxHotKeys {
		t.Fatalf("%d keys are kept", n)
	}
	if _, kept := s.live.hot.get([]byte("big")); kept {
		t.Fatal("a large value is kept")
	}
}

func TestRestoreKeepsOpenViews(t *testing.T) {
	s := open(t, Options{})
	for i := range uint64(10) {
		must(t, step(s, i+1))
	}
	_, err := s.Checkpoint("node/store/cp")
	must(t, err)
	for i := range uint64(10) {
		must(t, step(s, i+11))
	}
	before, done, err := s.View()
	must(t, err)
	must(t, s.Restore("node/store/cp"))
	if got := check(t, s); got != 10 {
		t.Fatalf("restored to %d", got)
	}
	must(t, step(s, 11))
	if at, err := state.AppliedIndex(before); at != 20 || err != nil {
		t.Fatalf("the open view moved to %d, %v", at, err)
	}
	done()
	names, err := s.fs.List("node/store")
	must(t, err)
	if slices.Contains(names, "db-000001") {
		t.Fatalf("the replaced directory is still there: %q", names)
	}
	must(t, s.Restore("node/store/cp")) // the checkpoint is untouched by use
	if got := check(t, s); got != 10 {
		t.Fatalf("restored again to %d", got)
	}
}

// TestCrashAtEveryPoint loses everything that was not synced, or a random part
// of it, at each point of taking a snapshot and of restoring one.
func TestCrashAtEveryPoint(t *testing.T) {
	points := map[string]bool{}
	disk := vfs.NewCrashableMem()
	var crashed []*vfs.MemFS
	o := Options{FS: disk, Crash: func(point string) error {
		points[point] = true
		for _, percent := range []int{0, 40, 100} {
			crashed = append(crashed, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(len(crashed))))}))
		}
		return nil
	}}
	s := open(t, o)
	shelf, err := s.Shelf(2)
	must(t, err)
	for n := range uint64(3) {
		for i := range uint64(200) {
			must(t, step(s, n*200+i+1))
		}
		d, err := shelf.Begin(fmt.Sprintf("%03d", n))
		must(t, err)
		must(t, d.Take())
		_, err = d.Keep([]byte(`{}`))
		must(t, err)
	}
	must(t, step(s, 601))
	items, err := shelf.List()
	must(t, err)
	opened, err := shelf.Open(items[0].ID)
	must(t, err)
	must(t, s.Restore(opened.Dir))
	must(t, opened.Close())
	if got := check(t, s); got != 600 {
		t.Fatalf("restored to %d", got)
	}
	for _, want := range []string{"checkpoint: flushed", "snapshot: taken", "snapshot: described", "snapshot: kept",
		"snapshot: reaped", "restore: copied", "restore: opened", "restore: switched"} {
		if !points[want] {
			t.Errorf("the point %q was not reached", want)
		}
	}
	for i, fs := range crashed {
		afterCrash(t, i, fs)
	}
}

// afterCrash checks that what a crash left behind opens and can be restored
// from each of its snapshots.
func afterCrash(t *testing.T, i int, fs vfs.FS) {
	t.Helper()
	s, err := Open("node/store", Options{FS: fs})
	if err != nil {
		t.Fatalf("crash %d: %v", i, err)
	}
	defer s.Close()
	live := check(t, s)
	shelf, err := s.Shelf(3)
	must(t, err)
	items, err := shelf.List()
	if err != nil {
		t.Fatalf("crash %d: %v", i, err)
	}
	for _, it := range items {
		if it.Applied > 600 || it.Applied == 0 {
			t.Fatalf("crash %d: the snapshot %s is at %d", i, it.ID, it.Applied)
		}
		if live < it.Applied {
			t.Fatalf("crash %d: the store is at %d, behind its own snapshot at %d", i, live, it.Applied)
		}
		o, err := shelf.Open(it.ID)
		must(t, err)
		must(t, s.Restore(o.Dir))
		must(t, o.Close())
		if got := check(t, s); got < it.Applied {
			t.Fatalf("crash %d: the snapshot %s of index %d restores to %d", i, it.ID, it.Applied, got)
		}
	}
	must(t, step(s, check(t, s)+1))
}

func TestShelfKeepsTheNewestAndThoseInUse(t *testing.T) {
	s := open(t, Options{})
	shelf, err := s.Shelf(2)
	must(t, err)
	var held *Opened
	for i := range uint64(4) {
		must(t, step(s, i+1))
		d, err := shelf.Begin(fmt.Sprintf("%03d", i))
		must(t, err)
		must(t, d.Take())
		_, err = d.Keep([]byte(`{"n":1}`))
		must(t, err)
		if i == 0 {
			held, err = shelf.Open("000")
			must(t, err)
		}
	}
	ids := func() (ids []string) {
		items, err := shelf.List()
		must(t, err)
		for _, it := range items {
			ids = append(ids, it.ID)
		}
		return ids
	}
	if got := ids(); !slices.Equal(got, []string{"003", "002", "000"}) {
		t.Fatalf("on the shelf while one is read: %q", got)
	}
	n, err := io.Copy(io.Discard, held)
	if err != nil || n != held.Size {
		t.Fatalf("read %d of %d: %v", n, held.Size, err)
	}
	must(t, held.Close())
	if got := ids(); !slices.Equal(got, []string{"003", "002"}) {
		t.Fatalf("on the shelf: %q", got)
	}
	d, err := shelf.Begin("004")
	must(t, err)
	must(t, d.Take())
	must(t, d.Cancel())
	if got := ids(); len(got) != 2 {
		t.Fatalf("a cancelled draft is on the shelf: %q", got)
	}
}

func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	disk := vfs.NewMem()
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// Room comes back when the ballast goes.
		if op.Kind == errorfs.OpFileWrite && full.Load() {
			return syscall.ENOSPC
		}
		if op.Kind == errorfs.OpRemove && strings.HasSuffix(op.Path, "ballast") {
			full.Store(false)
		}
		return nil
	}))
	s := open(t, Options{FS: fs, BallastBytes: 1 << 16})
	if s.Full() {
		t.Fatal("full at the start")
	}
	full.Store(true)
	for i := range uint64(1000) {
		must(t, step(s, i+1))
	}
	must(t, s.Flush())
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100})
	if full.Load() || !s.Full() {
		t.Fatalf("the ballast was not given up: full disk %v, store %v", full.Load(), s.Full())
	}
	if got := check(t, s); got != 1000 {
		t.Fatalf("the store is at %d", got)
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	if s.Full() {
		t.Fatal("still full with room again")
	}
	if !ErrNoSpace(fmt.Errorf("write: %w", syscall.ENOSPC)) || ErrNoSpace(io.EOF) {
		t.Fatal("ErrNoSpace tells errors apart wrongly")
	}
}
