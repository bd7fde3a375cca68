package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What one computer may ask of the disk. It is a fence against one that would
// starve the node's own log, not a price class.
const (
	diskBytesPerSecond = 200 << 20
	diskOpsPerSecond   = 20_000
)

// throttle is the disk that computers' data ends up on.
type throttle struct{ major, minor int64 }

// findThrottle finds the whole disk below a directory; limits cannot be set on
// a partition, nor on file systems that have no disk.
func findThrottle(dir string) (*throttle, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("find the disk: %w", err)
	}
	sys, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return nil, fmt.Errorf("%s is not on a disk of its own", dir)
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		sys = filepath.Dir(sys)
	}
	data, err := os.ReadFile(filepath.Join(sys, "dev"))
	if err != nil {
		return nil, fmt.Errorf("find the disk: %w", err)
	}
	major, minor, _ := strings.Cut(strings.TrimSpace(string(data)), ":")
	t := &throttle{}
	if t.major, err = strconv.ParseInt(major, 10, 64); err == nil {
		t.minor, err = strconv.ParseInt(minor, 10, 64)
	}
	if err != nil {
		return nil, fmt.Errorf("find the disk: %w", err)
	}
	return t, nil
}

func (t *throttle) limits() *specs.LinuxBlockIO {
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		device := specs.LinuxThrottleDevice{Rate: n}
		device.Major, device.Minor = t.major, t.minor
		return []specs.LinuxThrottleDevice{device}
	}
	return &specs.LinuxBlockIO{
		ThrottleReadBpsDevice: rate(diskBytesPerSecond), ThrottleWriteBpsDevice: rate(diskBytesPerSecond),
		ThrottleReadIOPSDevice: rate(diskOpsPerSecond), ThrottleWriteIOPSDevice: rate(diskOpsPerSecond),
	}
}
