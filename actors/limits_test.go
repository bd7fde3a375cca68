package actors

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
)

func TestNodesTogetherNeverAdmitMoreThanTheLimit(t *testing.T) {
	records := actorstest.NewRecords(time.Now)
	var edges []*Limits
	for _, name := range []string{"n1", "n2", "n3"} {
		node, err := records.Join(name)
		if err != nil {
			t.Fatal(err)
		}
		edges = append(edges, newLimits(node, time.Now))
	}
	const limit, asked = 100, 60
	var admitted, refused atomic.Int64
	var work sync.WaitGroup
	for _, edge := range edges {
		for range 4 {
			work.Go(func() {
				for range asked {
					d, err := edge.Take(t.Context(), "key", limit, time.Hour)
					switch {
					case err != nil:
						t.Error(err)
					case d.Allowed:
						admitted.Add(1)
					default:
						refused.Add(1)
					}
				}
			})
		}
	}
	work.Wait()
	if n := admitted.Load(); n != limit {
		t.Fatalf("admitted %d of %d, want exactly %d", n, 3*4*asked, limit)
	}
}

func TestAWindowThatIsOverBeginsAnew(t *testing.T) {
	clock := actorstest.NewClock()
	node, err := actorstest.NewRecords(clock.Now).Join("n1")
	if err != nil {
		t.Fatal(err)
	}
	edge := newLimits(node, clock.Now)
	take := func() Decision {
		d, err := edge.Take(t.Context(), "key", 2, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if a, b, c := take(), take(), take(); !a.Allowed || !b.Allowed || c.Allowed {
		t.Fatalf("got %v %v %v", a, b, c)
	}
	clock.Advance(time.Minute)
	if d := take(); !d.Allowed || !d.Resets.Equal(clock.Now().Add(time.Minute)) {
		t.Fatalf("got %v", d)
	}
}

func TestAWrongClockNeitherWastesNorKeepsAWindow(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 2 * time.Hour, "behind": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			clock := actorstest.NewClock()
			node, err := actorstest.NewRecords(clock.Now).Join("n1")
			if err != nil {
				t.Fatal(err)
			}
			edge := newLimits(node, func() time.Time { return clock.Now().Add(ahead) })
			const limit = 100
			for window := range 2 {
				for n := range limit + 1 {
					d, err := edge.Take(t.Context(), "key", limit, time.Minute)
					if err != nil {
						t.Fatal(err)
					}
					if d.Allowed != (n < limit) {
						t.Fatalf("request %d of window %d: %+v", n, window, d)
					}
				}
				clock.Advance(time.Minute)
			}
		})
	}
}
