package warden

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Instant is a moment on CLOCK_BOOTTIME: the time since the machine started,
// suspended time included. It means nothing on another machine or after the
// next boot.
type Instant time.Duration

// NoDeadline says that computers may run without anybody's leave, as on a
// cluster of one node.
const NoDeadline Instant = 0

// Now reads the clock that deadlines are held against.
func Now() Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("warden: CLOCK_BOOTTIME: %v", err)) // in every kernel since 2.6.39
	}
	return Instant(ts.Nano())
}

// Add is the moment d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub is the time from earlier to i.
func (i Instant) Sub(earlier Instant) time.Duration { return time.Duration(i - earlier) }

// bootID names this boot of the machine, so that an Instant kept on disk is
// not believed after another.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// alarm wakes its reader at a moment on CLOCK_BOOTTIME. Go's own timers stand
// still while the machine is suspended; this does not.
type alarm struct{ file *os.File }

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make timer: %w", err)
	}
	return &alarm{file: os.NewFile(uintptr(fd), "timerfd")}, nil
}

// set arms the alarm, or disarms it with NoDeadline. A moment that has passed
// rings at once.
func (a *alarm) set(at Instant) error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// wait blocks until the alarm rings; an error means that it was closed.
func (a *alarm) wait() error {
	var count [8]byte
	_, err := a.file.Read(count[:])
	return err
}

func (a *alarm) close() error { return a.file.Close() }
