package idmap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

func TestARangeStaysWithItsID(t *testing.T) {
	dir := t.TempDir()
	first, err := Allocate(dir, "n1.a")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Allocate(dir, "n1.a")
	if err != nil || again != first {
		t.Fatalf("second time %v, %v; want %v", again, err, first)
	}
	if first.Host < FirstHost || first.Size != RangeSize {
		t.Fatalf("range %v", first)
	}
	if err := Rename(dir, "n1.a", "n1.left-a"); err != nil {
		t.Fatal(err)
	}
	if err := Rename(dir, "n1.a", "n1.left-a"); err != nil {
		t.Fatalf("renaming twice: %v", err)
	}
	if got, ok, err := Lookup(dir, "n1.left-a"); err != nil || !ok || got != first {
		t.Fatalf("after rename: %v %v %v", got, ok, err)
	}
	other, err := Allocate(dir, "n1.a")
	if err != nil || other.overlaps(first) {
		t.Fatalf("new range %v overlaps %v (%v)", other, first, err)
	}
	if err := Rename(dir, "n1.a", "n1.left-a"); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("rename over another: %v", err)
	}
	for range 2 {
		if err := Release(dir, "n1.left-a"); err != nil {
			t.Fatal(err)
		}
	}
	if back, err := Allocate(dir, "n1.b"); err != nil || back != first {
		t.Fatalf("released range not given again: %v, %v", back, err)
	}
	if err := Rename(dir, "nobody", "someone"); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("rename of nothing: %v", err)
	}
}

func TestManyAtOnceNeverShare(t *testing.T) {
	dir := t.TempDir()
	const nodes, each = 4, 25
	var wg sync.WaitGroup
	for n := range nodes {
		wg.Go(func() {
			for i := range each {
				if _, err := Allocate(dir, fmt.Sprintf("n%d.c%d", n, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	all, err := List(dir)
	if err != nil || len(all) != nodes*each {
		t.Fatalf("%d ranges, %v", len(all), err)
	}
	seen := map[int]string{}
	for id, r := range all {
		if other := seen[r.Host]; other != "" {
			t.Fatalf("%s and %s share %v", id, other, r)
		}
		seen[r.Host] = id
	}
}

func TestDelegatedRangesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(path, []byte("ann:165536:65536\n# no\nbob:x:y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := delegated(path)
	if len(foreign) != 1 || foreign[0] != (Range{165536, 65536}) {
		t.Fatalf("read %v", foreign)
	}
	r, err := lowestFree(nil, foreign)
	if err != nil || r.Host != FirstHost+RangeSize {
		t.Fatalf("got %v, %v", r, err)
	}
	full := make(map[string]Range, MaxRanges)
	for i := range MaxRanges {
		full[fmt.Sprint(i)] = Range{FirstHost + i*RangeSize, RangeSize}
	}
	if _, err := lowestFree(full, nil); !errors.Is(err, runtime.ErrFull) {
		t.Fatalf("a full machine: %v", err)
	}
}

func TestIDsThatAreNoFileNamesAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"", ".", "..", ".lock", "a/b", "../x", "a\x00b", "ä", strings.Repeat("x", maxIDBytes+1)} {
		if _, err := Allocate(dir, id); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("allocate %q: %v", id, err)
		}
	}
}

// TestRangesAlwaysDisjoint walks random histories beside a plain map.
func TestRangesAlwaysDisjoint(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "r")
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]Range{}
		id := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rt.Repeat(map[string]func(*rapid.T){
			"allocate": func(rt *rapid.T) {
				k := id.Draw(rt, "id")
				r, err := Allocate(dir, k)
				if err != nil {
					rt.Fatal(err)
				}
				if old, ok := want[k]; ok && old != r {
					rt.Fatalf("%s moved from %v to %v", k, old, r)
				}
				want[k] = r
			},
			"release": func(rt *rapid.T) {
				k := id.Draw(rt, "id")
				if err := Release(dir, k); err != nil {
					rt.Fatal(err)
				}
				delete(want, k)
			},
			"rename": func(rt *rapid.T) {
				from, to := id.Draw(rt, "from"), id.Draw(rt, "to")
				if err := Rename(dir, from, to); err == nil && from != to {
					if r, ok := want[from]; ok {
						want[to] = r
						delete(want, from)
					}
				}
			},
			"": func(rt *rapid.T) {
				got, err := List(dir)
				if err != nil || len(got) != len(want) {
					rt.Fatalf("%v, want %v (%v)", got, want, err)
				}
				seen := map[Range]bool{}
				for k, r := range got {
					if want[k] != r || seen[r] {
						rt.Fatalf("%v, want %v", got, want)
					}
					seen[r] = true
				}
			},
		})
	})
}
