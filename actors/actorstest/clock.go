package actorstest

import (
	"sync/atomic"
	"time"
)

// Clock is a time of day that stands still until a test moves it. Actors may
// read it while it is moved.
type Clock struct{ nano atomic.Int64 }

// NewClock stands at the time of now.
func NewClock() *Clock {
	c := &Clock{}
	c.nano.Store(time.Now().UnixNano())
	return c
}

// Now is the time it stands at.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nano.Load()) }

// Advance moves it forward by d.
func (c *Clock) Advance(d time.Duration) { c.nano.Add(int64(d)) }
