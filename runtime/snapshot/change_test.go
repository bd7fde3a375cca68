package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime/volume"
)

// extentsOf draws what lies where in a file of a few bytes.
func extentsOf(rt *rapid.T, name string) []volume.Extent {
	var all []volume.Extent
	for at := int64(0); at < 40; {
		x := volume.Extent{
			At: at + rapid.Int64Range(0, 3).Draw(rt, name+" hole"), Length: rapid.Int64Range(1, 9).Draw(rt, name+" length"),
			Disk: rapid.Uint64Range(1, 12).Draw(rt, name+" disk"), Generation: rapid.Uint64Range(4, 6).Draw(rt, name+" generation"),
		}
		all = append(all, x)
		at = x.At + x.Length
	}
	return all
}

// placeOf is where a byte lies, and since when; nil in a hole.
func placeOf(all []volume.Extent, at int64) any {
	for _, x := range all {
		if x.At <= at && at < x.At+x.Length {
			return [2]uint64{x.Disk + uint64(at-x.At), x.Generation}
		}
	}
	return nil
}

// TestWhatIsUnchangedLiesWhereItLay byte by byte.
func TestWhatIsUnchangedLiesWhereItLay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		then := extentsOf(rt, "then")
		now := extentsOf(rt, "now")
		if rapid.Bool().Draw(rt, "alike") { // mostly as it was
			now = slices.Clone(then)
			i := rapid.IntRange(0, len(now)-1).Draw(rt, "changed")
			now[i].Generation, now[i].Disk = 7, 1
		}
		const base = 5
		same := unchanged(now, then, base)
		for at := range int64(60) {
			here := slices.ContainsFunc(same, func(r run) bool { return r.at <= at && at < r.end })
			place := placeOf(now, at)
			want := place != nil && place == placeOf(then, at) && place.([2]uint64)[1] <= base
			if here != want {
				rt.Fatalf("byte %d: %v, want %v, in %v of %v and %v", at, here, want, same, now, then)
			}
		}
		// Cut at any place, each byte comes from where it was, or is read.
		pieces := []*piece{{size: 100}, {size: 100, stale: true}}
		old := &reuse{same: same}
		for at := int64(0); at < 50; at += 10 {
			old.segments = append(old.segments, segment{at: at, length: rapid.Int64Range(1, 10).Draw(rt, "length"), piece: pieces[at/10%2], from: at + 1})
		}
		segments := slices.Clone(old.segments)
		for at := int64(0); at < 60; {
			end := at + rapid.Int64Range(1, 15).Draw(rt, "run")
			next := at
			for _, s := range old.split(run{at, end}) {
				if s.at != next || s.length <= 0 {
					rt.Fatalf("of %d to %d a segment is at %d for %d, want %d", at, end, s.at, s.length, next)
				}
				next = s.end()
				for b := s.at; b < s.end(); b++ {
					i := slices.IndexFunc(segments, func(o segment) bool { return o.at <= b && b < o.end() })
					known := i >= 0 && !segments[i].piece.stale && slices.ContainsFunc(same, func(r run) bool { return r.at <= b && b < r.end })
					if known != (s.piece != nil) || known && (s.piece != segments[i].piece || s.from+b-s.at != segments[i].from+b-segments[i].at) {
						rt.Fatalf("byte %d comes from %+v", b, s)
					}
				}
			}
			if next != end {
				rt.Fatalf("of %d to %d it ends at %d", at, end, next)
			}
			at = end
		}
	})
}

// TestNamesComeInOrderAFewAtATime whatever the directory's own order.
func TestNamesComeInOrderAFewAtATime(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprintf("%x", i*7919%1000))
		if err := os.WriteFile(filepath.Join(dir, want[i]), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, most := range []int{1, 7, 999, 1000, 1001} {
		var got []string
		for after, all := "", false; !all; {
			var names []string
			if names, all, err = nextNames(d, after, most); err != nil || len(names) > most {
				t.Fatalf("%d names, %v", len(names), err)
			}
			got = append(got, names...)
			if len(names) > 0 {
				after = names[len(names)-1]
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d at a time: %d names", most, len(got))
		}
	}
	room := nameRoom{held: namesHeld}
	var got []string
	if err := room.eachName(d, func(name string) error { got = append(got, name); return nil }); err != nil || !slices.Equal(got, want) {
		t.Errorf("without room: %d names, %v", len(got), err)
	}
	if room.held != namesHeld {
		t.Errorf("it holds %d", room.held-namesHeld)
	}
}
