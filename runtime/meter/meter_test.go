package meter

import (
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestCountersAddUpOverLives(t *testing.T) {
	b, err := Open(filepath.Join(t.TempDir(), "meter.json"))
	if err != nil {
		t.Fatal(err)
	}
	b.Add("a", Sample{At: start, Life: "1", CPU: 2 * time.Second, EgressBytes: 10, MemoryBytes: 100})
	b.Add("a", Sample{At: start.Add(10 * time.Second), Life: "1", CPU: 5 * time.Second, EgressBytes: 30, MemoryBytes: 50})
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(b.path); err != nil {
		t.Fatal(err)
	}
	got := b.Add("a", Sample{At: start.Add(20 * time.Second), Life: "2", CPU: time.Second, EgressBytes: 5})
	want := runtime.Usage{CPU: 6 * time.Second, EgressBytes: 35, MemoryTime: 100*10 + 50*10}
	if got != want {
		t.Fatalf("used %+v, want %+v", got, want)
	}
	b.Forget("a")
	if got := b.Add("a", Sample{At: start}); got != (runtime.Usage{}) {
		t.Fatalf("a forgotten computer has used %+v", got)
	}
}

func TestALongAbsenceIsNotCharged(t *testing.T) {
	a := account{}.add(Sample{At: start, MemoryBytes: 1})
	a = a.add(Sample{At: start.Add(24 * time.Hour)})
	if a.Total.MemoryTime != maxHeld.Seconds() {
		t.Fatalf("charged %v byte-seconds", a.Total.MemoryTime)
	}
}

// TestTotalsNeverGoBack feeds samples in any order, from any life.
func TestTotalsNeverGoBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a account
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			before := a.Total
			a = a.add(Sample{
				At:           start.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "at")) * time.Second),
				Life:         rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "life"),
				CPU:          time.Duration(rapid.IntRange(0, 1e9).Draw(t, "cpu")),
				EgressBytes:  rapid.Int64Range(0, 1e9).Draw(t, "egress"),
				MemoryBytes:  rapid.Int64Range(0, 1e9).Draw(t, "memory"),
				StorageBytes: rapid.Int64Range(0, 1e9).Draw(t, "storage"),
			})
			after := a.Total
			if after.CPU < before.CPU || after.EgressBytes < before.EgressBytes ||
				after.MemoryTime < before.MemoryTime || after.StorageTime < before.StorageTime {
				t.Fatalf("from %+v back to %+v", before, after)
			}
		}
	})
}
