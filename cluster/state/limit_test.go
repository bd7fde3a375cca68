package state

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Edges take and return blocks, at any time, and no window ever admits more
// than the limit.
func TestWindowsNeverGrantMoreThanTheLimit(t *testing.T) {
	const limit, span = 30, time.Minute
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(rt)
		held := map[time.Time]int{} // by window: granted and not returned
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			f.pass(time.Duration(rapid.IntRange(0, 12).Draw(rt, "seconds")) * time.Second)
			if n := rapid.IntRange(0, 5).Draw(rt, "returns"); n > 0 {
				w, _, err := windows.find(f.store, "s")
				if err != nil {
					rt.Fatal(err)
				}
				n = min(n, held[w.Start])
				at := w.Start
				if rapid.IntRange(0, 4).Draw(rt, "late") == 0 {
					at = at.Add(-span) // of a window that is over: counts for nothing
				} else {
					held[at] -= n
				}
				f.ok(n1, ReturnRequests{Scope: "s", Start: at, Count: n})
			}
			if rapid.IntRange(0, 9).Draw(rt, "sweeps") == 0 {
				f.do(Sweep{})
			}
			var g Grant
			want := rapid.IntRange(1, 20).Draw(rt, "want")
			f.reply(f.ok(n2, TakeRequests{Scope: "s", Limit: limit, Span: span, Want: want}), &g)
			held[g.Start] += g.Granted
			if held[g.Start] > limit || g.Granted > want || g.Left != limit-held[g.Start] || !f.now.Before(g.Ends) || g.Start.After(f.now) {
				rt.Fatalf("%+v at %v; %d admitted", g, f.now, held[g.Start])
			}
		}
	})
}

func TestWindowRefusals(t *testing.T) {
	f := newFixture(t)
	for _, cmd := range []TakeRequests{{Scope: "s", Limit: 0, Span: 1, Want: 1}, {Scope: "s", Limit: 1, Span: 0, Want: 1},
		{Scope: "s", Limit: 1, Span: 1, Want: 0}, {Scope: "s", Limit: 1, Span: 1, Want: -1}} {
		f.refused(n1, cmd, fault.Invalid, "")
	}
	f.ok(n1, ReturnRequests{Scope: "none", Start: f.now, Count: 3})
	f.check()
}
