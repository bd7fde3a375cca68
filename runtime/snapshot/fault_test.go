package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
)

// faulty is a store that is away from its n-th write on.
type faulty struct {
	blob.Store
	after atomic.Int64 // writes that still succeed
	mu    sync.Mutex
	puts  []string
}

func (f *faulty) Put(ctx context.Context, key string, data []byte) error {
	if f.after.Add(-1) < 0 {
		return runtime.ErrNoStore
	}
	f.mu.Lock()
	f.puts = append(f.puts, key)
	f.mu.Unlock()
	return f.Store.Put(ctx, key, data)
}

// TestASaveThatIsCutGoesOn: wherever the store goes away, what is there stays
// whole, the same save made again is whole, and no piece is sent twice.
func TestASaveThatIsCutGoesOn(t *testing.T) {
	p := newPlace(t)
	f := &faulty{Store: p.store}
	f.after.Store(1 << 30)
	p.Saver.store = f
	for i, name := range []string{"a", "b", "c", "d/e", "d/f"} {
		p.write(name, noise(uint64(i), chunkBytes/2))
	}
	p.saveAs("s0", "")
	before := describe(t, p.tree, p.ids)
	for _, name := range []string{"a", "d/e", "new", "newer", "small"} {
		p.write(name, noise(uint64(len(name))+100, chunkBytes*3/4))
	}
	after := describe(t, p.tree, p.ids)
	const most = 20
	for n := range int64(most) {
		f.after.Store(n)
		f.puts = nil
		_, err := p.trySave("s1", "s0")
		if err == nil {
			if n < 5 {
				t.Errorf("%d writes were enough", n)
			}
			return
		}
		if !errors.Is(err, runtime.ErrNoStore) {
			t.Fatal(err)
		}
		if _, err := p.tryRestore("s1"); !errors.Is(err, runtime.ErrNoSave) {
			t.Errorf("after %d writes it is there: %v", n, err)
		}
		f.after.Store(1 << 30)
		equal(t, describe(t, p.restored("s0"), p.ids), before)
		p.saveAs("s1", "s0")
		sent := map[string]bool{}
		for _, key := range f.puts {
			if sent[key] {
				t.Errorf("after %d writes %s was sent twice", n, key)
			}
			sent[key] = true
		}
		equal(t, describe(t, p.restored("s1"), p.ids), after)
		if err := p.Sweep(t.Context(), computer, []string{"s0"}); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(p.dir, "store/computers/c1/*/s1"))
		if err != nil || len(left) != 0 {
			t.Errorf("after a sweep: %q, %v", left, err)
		}
		// The index is of what was swept; the next try knows s0 from the store.
	}
	t.Errorf("%d writes are not enough", most)
}

// TestALateSweepTakesNothingFromANewerOwner: one that knows nothing of its saves.
func TestALateSweepTakesNothingFromANewerOwner(t *testing.T) {
	p := newPlace(t)
	p.write("a", noise(1, chunkBytes))
	p.saveAs("s0", "")
	former, err := Open(t.Context(), Options{Store: p.store, IDFile: filepath.Join(p.dir, "id")})
	if err != nil {
		t.Fatal(err)
	}
	var late sync.WaitGroup
	done := make(chan struct{})
	late.Go(func() {
		for {
			if err := former.Sweep(t.Context(), computer, []string{"s0"}); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 5 {
		p.write("b", noise(uint64(i+2), chunkBytes+5))
		name := string(rune('1' + i))
		p.saveAs(name, map[bool]string{true: "s0", false: string(rune('0' + i))}[i == 0])
		equal(t, describe(t, p.restored(name), p.ids), describe(t, p.tree, p.ids))
	}
	close(done)
	late.Wait()
	equal(t, describe(t, p.restored("5"), p.ids), describe(t, p.tree, p.ids))
}

// TestAnotherStoreIsNotTakenForOurs: as when a share is not mounted.
func TestAnotherStoreIsNotTakenForOurs(t *testing.T) {
	p := newPlace(t)
	p.write("a", []byte("a"))
	p.saveAs("s1", "")
	again := placeAt(t, p.dir, filepath.Join(p.dir, "store"))
	if again.ID() != p.ID() || p.ID() == "" {
		t.Errorf("the store is %q and %q", p.ID(), again.ID())
	}
	if err := p.store.Delete(t.Context(), []string{storeKey}); err != nil {
		t.Fatal(err)
	}
	again = placeAt(t, p.dir, filepath.Join(p.dir, "store")) // a node starts all the same
	for name, try := range map[string]func() error{
		"save":    func() error { _, err := again.trySave("s2", ""); return err },
		"restore": func() error { _, err := again.tryRestore("s1"); return err },
		"sweep":   func() error { return again.Sweep(t.Context(), computer, nil) },
		"forget":  func() error { return again.Forget(t.Context(), computer) },
		"list":    func() error { return again.Computers(t.Context(), func(runtime.ID) error { return nil }) },
	} {
		if err := try(); !errors.Is(err, runtime.ErrNoStore) || !strings.Contains(err.Error(), "not mounted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBandwidthIsBounded: what is sent takes as long as it must.
func TestBandwidthIsBounded(t *testing.T) {
	p := newPlace(t)
	const bandwidth = 4 << 20
	slow, err := Open(t.Context(), Options{Store: p.store, IDFile: filepath.Join(p.dir, "id"), Bandwidth: bandwidth})
	if err != nil {
		t.Fatal(err)
	}
	p.Saver = slow
	p.write("a", noise(1, 2*bandwidth))
	begun := time.Now()
	made := p.saveAs("s1", "")
	if took := time.Since(begun); took < 900*time.Millisecond { // the first second's worth goes at once
		t.Errorf("%d bytes took %v", made.Sent, took)
	}
}

// TestAStoreThatHangsIsLeft: a save ends with its context.
func TestAStoreThatHangsIsLeft(t *testing.T) {
	p := newPlace(t)
	p.write("a", []byte("a"))
	p.Saver.store = hanging{p.store}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := p.Save(ctx, saveOf("s1"), Source{Path: p.tree, IDs: p.ids, MadeAt: time.Now()}, "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

type hanging struct{ blob.Store }

func (hanging) Put(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestAFullDiskIsSaidWhereTheIndexIsWritten: what is saved is noted on the node, and
// /dev/full is a disk without room.
func TestAFullDiskIsSaidWhereTheIndexIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	if err := os.Symlink("/dev/full", path+".new"); err != nil {
		t.Fatal(err)
	}
	w, err := newIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.finish(header{}); !errors.Is(err, runtime.ErrFull) || strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	w.close()
}
