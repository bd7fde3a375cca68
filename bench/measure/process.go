package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Usage is what a process has in memory, in bytes.
type Usage struct {
	RSS int64 // resident: its own and what it shares with others
	PSS int64 // proportional: of shared pages only its part
	Own int64 // anonymous and dirty: what its end would give back
}

// UsageOf reads a process's memory.
func UsageOf(pid int) (u Usage, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return u, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return u, fmt.Errorf("read memory of process %d: %w", pid, err)
		}
		switch f[0] {
		case "Rss:":
			u.RSS = kib << 10
		case "Pss:":
			u.PSS = kib << 10
		case "Private_Clean:", "Private_Dirty:":
			u.Own += kib << 10
		}
	}
	return u, nil
}

// SocketBytes is the kernel memory that all TCP sockets of this machine hold.
func SocketBytes() (int64, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, fmt.Errorf("read socket memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "TCP:" {
			for i := 1; i+1 < len(f); i += 2 {
				if f[i] == "mem" {
					pages, err := strconv.ParseInt(f[i+1], 10, 64)
					return pages * int64(os.Getpagesize()), err
				}
			}
		}
	}
	return 0, fmt.Errorf("read socket memory: no TCP line")
}
