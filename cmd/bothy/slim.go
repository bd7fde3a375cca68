package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slimEvery is how often a process that stays slim looks at itself.
	slimEvery = 5 * time.Second
	// slimPages of its files may be in memory, in pages of the machine.
	slimPages = 3072
)

// staySlim keeps what a process holds of its files small until ctx ends: the
// kernel maps far more around each page than a process that mostly waits needs.
func staySlim(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(slimEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		pages, err := filePages()
		if err == nil && pages > slimPages {
			err = slim()
		}
		if err != nil {
			log.Warn("this process is larger than it need be", "err", err)
			return
		}
	}
}

// filePages counts the pages of files that this process has in memory.
func filePages() (n int, err error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("look at own memory: %w", err)
	}
	if _, err := fmt.Sscanf(string(text), "%d %d %d", new(int), new(int), &n); err != nil {
		return 0, fmt.Errorf("look at own memory: %w", err)
	}
	return n, nil
}

// slim lets go of the pages of program files that the start of all packages
// brought into memory; what is still needed comes back as it is used.
func slim() error {
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("let go of memory: %w", err)
	}
	defer maps.Close()
	for _, r := range cleanRegions(maps) {
		if _, _, errno := unix.RawSyscall(unix.SYS_MADVISE, r.begin, r.end-r.begin, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("let go of memory: %w", errno)
		}
	}
	return nil
}

// region is a part of the address space.
type region struct{ begin, end uintptr }

// cleanRegions finds the mappings that hold nothing but what their files do:
// read-only ones, no page of which was ever changed. A loader changes pages of
// a library before it makes them read-only; such a mapping has anonymous pages.
func cleanRegions(smaps io.Reader) []region {
	var found []region
	var at region
	candidate := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && !strings.HasSuffix(fields[0], ":") {
			at, candidate = mapping(fields)
		}
		if candidate && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" {
			found = append(found, at)
		}
	}
	return found
}

// mapping reads the first line about a mapping, and whether it is read-only
// and of a file.
func mapping(fields []string) (region, bool) {
	from, to, _ := strings.Cut(fields[0], "-")
	begin, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	file := len(fields) == 6 && strings.HasPrefix(fields[5], "/")
	return region{uintptr(begin), uintptr(end)}, err1 == nil && err2 == nil && file && strings.HasPrefix(fields[1], "r-")
}
