package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is where a node's time comes from.
type Clock interface {
	// Now is the time of day. Only the leader's is used, to stamp entries.
	Now() time.Time
	// Boottime counts from some moment in the past, goes on while the machine
	// sleeps, and is never set. Leases are counted by it.
	Boottime() time.Duration
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// Boottime is CLOCK_BOOTTIME.
func (SystemClock) Boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("cluster: CLOCK_BOOTTIME cannot be read: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
