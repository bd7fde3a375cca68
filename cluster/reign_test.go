package cluster

import (
	"testing"
	"time"
)

// wrongClock is a clock whose time of day is apart from what it counts.
type wrongClock struct {
	fakeClock
	ahead time.Duration
}

func (c *wrongClock) Now() time.Time { return c.fakeClock.Now().Add(c.ahead) }

func TestStampsNeitherGoBackNorStand(t *testing.T) {
	clock := &wrongClock{fakeClock: fakeClock{boot: time.Hour}}
	r := &reign{c: &Cluster{clock: clock}, stamped: clock.boot}
	steps := []struct {
		passes, ahead time.Duration
		want          time.Duration
	}{
		{0, 0, time.Hour},
		{time.Second, 0, time.Hour + time.Second},
		{time.Second, 2 * time.Hour, 3*time.Hour + 2*time.Second}, // set wrong
		{2 * time.Second, 0, 3*time.Hour + 3*time.Second},         // and right again
		{2 * time.Second, -time.Hour, 3*time.Hour + 4*time.Second},
		{4*time.Hour - 6*time.Second, 0, 5*time.Hour + time.Second},
		{time.Second, 0, 5*time.Hour + time.Second + 500*time.Millisecond}, // a little ahead still
		{time.Second, 0, 5*time.Hour + 2*time.Second},
		{time.Second, 0, 5*time.Hour + 3*time.Second},
	}
	for i, s := range steps {
		clock.boot += s.passes
		clock.ahead = s.ahead
		if got := time.Duration(r.nextStamp()); got != s.want {
			t.Errorf("step %d: %s, want %s", i, got, s.want)
		}
	}
}
