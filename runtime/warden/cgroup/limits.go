package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// periodMicros is the accounting period of cpu quotas, the kernel's default.
const periodMicros = 100_000

// socketShare is the part of a v1 group's memory limit that the buffers of its
// TCP and UDP sockets may hold on top of it, because v1 counts them apart, and
// bounds them only where it is told to. v2 counts them as memory.
const socketShare = 8

// Limits bound a group. A zero field is left as it is.
type Limits struct {
	MemoryBytes int64 // no swap on top
	MilliCPU    int64 // 1000 is one core
	PIDs        int64
}

// SetLimits changes the limits of a living group.
func (g Group) SetLimits(l Limits) error {
	if l.MemoryBytes > 0 {
		err := g.setMemory(l.MemoryBytes)
		if err == nil && !g.tree.V2() {
			err = g.setSockets(l.MemoryBytes / socketShare)
		}
		if err != nil {
			return fmt.Errorf("limit memory to %d bytes: %w", l.MemoryBytes, err)
		}
	}
	if l.MilliCPU > 0 {
		quota := l.MilliCPU * periodMicros / 1000
		file, value := "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)
		if g.tree.V2() {
			file, value = "cpu.max", fmt.Sprintf("%d %d", quota, periodMicros)
		}
		if err := g.set("cpu", file, value); err != nil {
			return fmt.Errorf("limit cpu to %d/1000: %w", l.MilliCPU, err)
		}
	}
	if l.PIDs > 0 {
		if err := g.set("pids", "pids.max", strconv.FormatInt(l.PIDs, 10)); err != nil {
			return fmt.Errorf("limit processes to %d: %w", l.PIDs, err)
		}
	}
	return nil
}

// setMemory keeps memory ≤ memory+swap at each step, which v1 insists on.
func (g Group) setMemory(limit int64) error {
	value := strconv.FormatInt(limit, 10)
	if g.tree.V2() {
		if err := g.set("memory", "memory.swap.max", "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return g.set("memory", "memory.max", value)
	}
	order := []string{"memory.memsw.limit_in_bytes", "memory.limit_in_bytes"}
	now, err := g.number("memory", "memory.limit_in_bytes")
	if err != nil {
		return err
	}
	if limit < now {
		order[0], order[1] = order[1], order[0]
	}
	for _, file := range order {
		err := g.set("memory", file, value)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(file, "memsw") {
			continue // a kernel without swap accounting
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// socketPages is how many pages the sockets of the machine may have.
const socketPages = "/proc/sys/net/ipv4/tcp_mem"

// socketBytes is what the kernel allows the sockets of the machine: as it says,
// or, in a network namespace that is not the machine's and has no such file, as
// it sets it by itself (tcp_init_mem in net/ipv4/tcp.c), which is 3/32 of memory.
func socketBytes(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return 0, fmt.Errorf("read memory size: %w", err)
		}
		return int64(info.Totalram) * int64(info.Unit) / 32 * 3, nil
	}
	var pages [3]int64
	if err == nil {
		_, err = fmt.Sscan(string(text), &pages[0], &pages[1], &pages[2])
	}
	if err != nil {
		return 0, fmt.Errorf("read how much memory sockets may have: %w", err)
	}
	return pages[2] * int64(os.Getpagesize()), nil
}

// setSockets bounds buffers of sockets, at half of what the kernel allows all
// of the machine's: past that it drops what the node itself sends.
func (g Group) setSockets(limit int64) error {
	all, err := socketBytes(socketPages)
	if err != nil {
		return err
	}
	limit = min(limit, all/2)
	err = g.set("memory", "memory.kmem.tcp.limit_in_bytes", strconv.FormatInt(limit, 10))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EBUSY) {
		return nil // a kernel without it, or more is in use and the old limit stays
	}
	return err
}

// SetShare gives the group a share of the processor of percent against a
// single process outside of it that asks for all (100 is equal).
func (g Group) SetShare(percent int64) error {
	if g.tree.V2() {
		return g.set("cpu", "cpu.weight", strconv.FormatInt(percent, 10))
	}
	return g.set("cpu", "cpu.shares", strconv.FormatInt(percent*1024/100, 10))
}

// CPU is the processor time used by the group since it was made.
func (g Group) CPU() (time.Duration, error) {
	if !g.tree.V2() {
		ns, err := g.number("cpuacct", "cpuacct.usage")
		return time.Duration(ns), err
	}
	dir, err := g.Dir("cpu")
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read cpu time: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if micros, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
			n, err := strconv.ParseInt(micros, 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("read cpu time: no usage_usec in %s", dir)
}

// Memory is what the group holds now, in bytes, page cache included.
func (g Group) Memory() (int64, error) {
	if g.tree.V2() {
		return g.number("memory", "memory.current")
	}
	return g.number("memory", "memory.usage_in_bytes")
}

func (g Group) set(controller, file, value string) error {
	dir, err := g.Dir(controller)
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, file), value)
}

func (g Group) number(controller, file string) (int64, error) {
	dir, err := g.Dir(controller)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, syscall.ENODEV) {
		err = fs.ErrNotExist // removed while it was read
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}
