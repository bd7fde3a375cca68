package state

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

// An overlay reads, scans and flushes as if its writes had gone to one plain map.
func TestOverlayIsAMap(t *testing.T) {
	some := rapid.StringMatching(`[a-d]{1,3}`)
	rapid.Check(t, func(rt *rapid.T) {
		base, model := statetest.New(), statetest.New()
		for range rapid.IntRange(0, 20).Draw(rt, "in the base") {
			k := []byte(some.Draw(rt, "key"))
			base.Set(k, k)
			model.Set(k, k)
		}
		before := base.Clone()
		o := newOverlay(base)
		for i := range rapid.IntRange(0, 30).Draw(rt, "steps") {
			k, k2 := []byte(some.Draw(rt, "key")), []byte(some.Draw(rt, "to"))
			switch rapid.SampledFrom([]string{"set", "set", "delete", "range", "get", "scan", "scan"}).Draw(rt, "do") {
			case "set":
				o.Set(k, fmt.Append(nil, i))
				model.Set(k, fmt.Append(nil, i))
			case "delete":
				o.Delete(k)
				model.Delete(k)
			case "range":
				o.DeleteRange(k, k2)
				model.DeleteRange(k, k2)
			case "get":
				a, _ := o.Get(k)
				b, _ := model.Get(k)
				if string(a) != string(b) || (a == nil) != (b == nil) {
					rt.Fatalf("get %q: %q; want %q", k, a, b)
				}
			case "scan":
				reverse, most := rapid.Bool().Draw(rt, "reverse"), rapid.IntRange(1, 9).Draw(rt, "most")
				a, b := scanned(o, k, k2, reverse, most), scanned(model, k, k2, reverse, most)
				if fmt.Sprint(a) != fmt.Sprint(b) {
					rt.Fatalf("scan %q to %q, reverse %v: %q; want %q", k, k2, reverse, a, b)
				}
			}
		}
		if diff := base.Diff(before); diff != "" {
			rt.Fatalf("the base changed before the flush: %s", diff)
		}
		if err := o.flush(); err != nil {
			rt.Fatal(err)
		}
		if diff := base.Diff(model); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// scanned collects a scan, reading between pairs as records' visitors do.
func scanned(r Reader, from, to []byte, reverse bool, most int) []string {
	var got []string
	r.Scan(from, to, reverse, func(k, v []byte) bool {
		got = append(got, string(k)+"="+string(v))
		r.Get([]byte("a"))
		return len(got) < most
	})
	return got
}

// brokenWriter fails once, at its nth call, with an error that looks like a refusal.
type brokenWriter struct {
	Writer
	left int
}

var errDisk = fault.New(fault.Full, "no space left on device")

func (w *brokenWriter) fails() bool { w.left--; return w.left == -1 }

func (w *brokenWriter) Get(k []byte) ([]byte, error) {
	if w.fails() {
		return nil, errDisk
	}
	return w.Writer.Get(k)
}

func (w *brokenWriter) Set(k, v []byte) error {
	if w.fails() {
		return errDisk
	}
	return w.Writer.Set(k, v)
}

func (w *brokenWriter) Scan(from, to []byte, reverse bool, visit func(k, v []byte) bool) error {
	if w.fails() {
		return errDisk
	}
	return w.Writer.Scan(from, to, reverse, visit)
}

// Wherever the store fails, the replica stops: a refusal that other replicas do
// not make would part it from them.
func TestStoreFailureIsNoRefusal(t *testing.T) {
	f := newFixture(t)
	p := f.propose(n1, startRun("thread_1", "run_1", 1000))
	b, err := Encode(Entry{Stamp: f.now.UnixNano(), Proposals: []Proposal{p}})
	if err != nil {
		t.Fatal(err)
	}
	for calls := 0; ; calls++ {
		w := &brokenWriter{Writer: f.store.Clone(), left: calls}
		done, err := Apply(w, f.index+1, b)
		if w.left >= 0 {
			if err != nil || done.Results[0].Fault != nil {
				t.Fatalf("nothing failed: %v, %+v", err, done.Results)
			}
			if calls < 20 {
				t.Fatalf("only %d calls were failed", calls)
			}
			return
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("call %d failed: %v, %+v", calls, err, done.Results)
		}
	}
}
