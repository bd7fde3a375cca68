package cluster

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 10 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// fakeClock is a clock that a test moves.
type fakeClock struct{ boot time.Duration }

func (c *fakeClock) Now() time.Time          { return time.Unix(0, int64(c.boot)) }
func (c *fakeClock) Boottime() time.Duration { return c.boot }
