package server

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// load is the body of GET /metrics. Sizes without a unit are bytes.
type load struct {
	TS         int64   `json:"ts"` // unix seconds
	CPUCount   int     `json:"cpu_count"`
	CPUUsedPct float64 `json:"cpu_used_pct"` // of all cpus together, since the last look
	MemTotal   uint64  `json:"mem_total"`
	MemUsed    uint64  `json:"mem_used"`
	MemCache   uint64  `json:"mem_cache"`
	MemTotalMB uint64  `json:"mem_total_mib"`
	MemUsedMB  uint64  `json:"mem_used_mib"`
	DiskUsed   uint64  `json:"disk_used"`
	DiskTotal  uint64  `json:"disk_total"`
}

const mebibyte = 1 << 20

// gauge remembers the last look, because a share of cpu needs two.
type gauge struct {
	mu   sync.Mutex
	at   time.Time
	cpu  time.Duration
	last float64
}

// minLook is the least time between two looks that are compared.
const minLook = 100 * time.Millisecond

// start makes the first look, with which the next one is compared.
func (g *gauge) start() {
	g.at = time.Now()
	g.cpu, _ = cpuTime() // what cannot be read now fails again at the next look, and is told there
}

func (s *Server) load(w http.ResponseWriter, _ *http.Request) {
	_, workdir, _ := s.settings.defaults()
	now, err := s.gauge.look(workdir)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, now)
}

func (g *gauge) look(dir string) (load, error) {
	now := load{TS: time.Now().Unix(), CPUCount: runtime.NumCPU()}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return load{}, fmt.Errorf("measure the disk: %w", err)
	}
	now.DiskTotal = disk.Blocks * uint64(disk.Bsize)
	now.DiskUsed = now.DiskTotal - disk.Bfree*uint64(disk.Bsize)
	cpu, err := cpuTime()
	if err != nil {
		return load{}, fmt.Errorf("measure the cpu: %w", err)
	}
	now.CPUUsedPct = g.share(cpu, now.CPUCount)
	if err := memory(&now); err != nil {
		return load{}, fmt.Errorf("measure the memory: %w", err)
	}
	now.MemTotalMB, now.MemUsedMB = now.MemTotal/mebibyte, now.MemUsed/mebibyte
	return now, nil
}

// share is how busy the cpus were since the last look.
func (g *gauge) share(cpu time.Duration, cpus int) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	passed := now.Sub(g.at)
	if passed < minLook {
		return g.last
	}
	g.last = min(max(0, 100*float64(cpu-g.cpu)/float64(passed)/float64(cpus)), 100)
	g.at, g.cpu = now, cpu
	return g.last
}

// cpuTime is what the computer's cgroup has used, or else what its processes
// that can be seen have.
func cpuTime() (time.Duration, error) {
	if ns, err := number("/sys/fs/cgroup/cpuacct/cpuacct.usage"); err == nil {
		return time.Duration(ns), nil
	}
	if us, err := field("/sys/fs/cgroup/cpu.stat", "usage_usec"); err == nil {
		return time.Duration(us) * time.Microsecond, nil
	}
	return machineCPU()
}

// userHertz is the unit of /proc/stat on every Linux that Go runs on.
const userHertz = 100

func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	columns := strings.Fields(line)
	if len(columns) < 5 {
		return 0, errors.New("/proc/stat has no cpu line")
	}
	var ticks uint64
	for i, column := range columns[1:] {
		if idle := i == 3 || i == 4; idle || i > 7 {
			continue
		}
		n, err := strconv.ParseUint(column, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHertz, nil
}

// memory reads the cgroup where it can be seen and bounds memory, else the
// whole machine.
func memory(l *load) error {
	total, err := field("/proc/meminfo", "MemTotal:")
	if err != nil {
		return err
	}
	free, err := field("/proc/meminfo", "MemAvailable:")
	if err != nil {
		return err
	}
	cached, err := field("/proc/meminfo", "Cached:")
	if err != nil {
		return err
	}
	l.MemTotal, l.MemUsed, l.MemCache = total<<10, (total-free)<<10, cached<<10
	for _, files := range [][4]string{
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_cache"},
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "file"},
	} {
		limit, err1 := number(files[0])
		used, err2 := number(files[1])
		cache, err3 := field(files[2], files[3])
		if errors.Join(err1, err2, err3) == nil && limit < l.MemTotal {
			l.MemTotal, l.MemUsed, l.MemCache = limit, used-min(cache, used), cache
		}
	}
	return nil
}

func number(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// field reads the number behind a name in a file of lines.
func field(path, name string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		if columns := strings.Fields(scan.Text()); len(columns) > 1 && columns[0] == name {
			return strconv.ParseUint(columns[1], 10, 64)
		}
	}
	return 0, errors.Join(scan.Err(), fmt.Errorf("%s has no %s", path, name))
}
