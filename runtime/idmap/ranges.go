package idmap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// DefaultDir is where the nodes of one machine agree on ranges.
	DefaultDir = "/var/lib/bothy/uids"
	// FirstHost is the first id given out on the machine.
	FirstHost = 200_000
	// RangeSize is how many ids a computer has: all that a 16-bit uid can name.
	RangeSize = 65_536
	// MaxRanges bounds how many ranges a machine has. The last one ends below
	// 2^31, because some tools read ids as signed numbers.
	MaxRanges = (1<<31 - FirstHost) / RangeSize
	// maxIDBytes bounds the name a range is kept under.
	maxIDBytes = 200
)

// lockName cannot be an id: ids do not begin with a dot.
const lockName = ".lock"

// Range is a run of user and group ids on this machine. Inside a computer they
// are 0..Size-1.
type Range struct{ Host, Size int }

func (r Range) overlaps(o Range) bool {
	return r.Host < o.Host+o.Size && o.Host < r.Host+r.Size
}

// Allocate gives id its own range, the same one each time until Release. The
// id must be unique on the machine: when the nodes of one machine may hold
// the same computer (one is about to hand it over), each puts its own name in
// the id. Ranges that /etc/subuid or /etc/subgid give to others are left out.
// runtime.ErrFull means that all MaxRanges are taken.
func Allocate(dir, id string) (Range, error) {
	if err := checkID(id); err != nil {
		return Range{}, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return Range{}, err
	}
	defer unlock()
	taken, err := List(dir)
	if err != nil {
		return Range{}, err
	}
	if r, ok := taken[id]; ok {
		return r, nil
	}
	r, err := lowestFree(taken, append(delegated("/etc/subuid"), delegated("/etc/subgid")...))
	if err != nil {
		return Range{}, err
	}
	// A range is a symbolic link: it appears whole or not at all.
	if err := os.Symlink(strconv.Itoa(r.Host), filepath.Join(dir, id)); err != nil {
		return Range{}, fmt.Errorf("note the id range of %s: %w", id, err)
	}
	// A range forgotten by a power cut would be given to a second computer.
	return r, syncDir(dir)
}

// Lookup reports the range of id, if it has one.
func Lookup(dir, id string) (Range, bool, error) {
	if err := checkID(id); err != nil {
		return Range{}, false, err
	}
	r, err := read(dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return Range{}, false, nil
	}
	return r, err == nil, err
}

// Release gives back the range of id, after everything that its ids own is
// gone. An unknown id is success.
func Release(dir, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(filepath.Join(dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release the id range of %s: %w", id, err)
	}
	return syncDir(dir)
}

// Rename keeps a range under another id. Doing it twice is success; a new id
// that has another range already is an error.
func Rename(dir, oldID, newID string) error {
	if err := errors.Join(checkID(oldID), checkID(newID)); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	taken, err := List(dir)
	if err != nil {
		return err
	}
	_, haveOld := taken[oldID]
	_, haveNew := taken[newID]
	switch {
	case oldID == newID && haveOld, !haveOld && haveNew:
		return nil
	case !haveOld:
		return fmt.Errorf("rename the id range of %s: %w", oldID, runtime.ErrNotFound)
	case haveNew:
		return fmt.Errorf("%w: both %s and %s have an id range", runtime.ErrInvalid, oldID, newID)
	}
	if err := os.Rename(filepath.Join(dir, oldID), filepath.Join(dir, newID)); err != nil {
		return fmt.Errorf("rename the id range of %s: %w", oldID, err)
	}
	return syncDir(dir)
}

// List reports all ranges of the machine, by id.
func List(dir string) (map[string]Range, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list id ranges: %w", err)
	}
	all := make(map[string]Range, len(entries))
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		r, err := read(dir, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // released while we read
		}
		if err != nil {
			return nil, err
		}
		all[e.Name()] = r
	}
	return all, nil
}

func lowestFree(taken map[string]Range, foreign []Range) (Range, error) {
	used := make(map[int]bool, len(taken))
	for _, r := range taken {
		used[r.Host] = true
	}
next:
	for i := range MaxRanges {
		r := Range{Host: FirstHost + i*RangeSize, Size: RangeSize}
		if used[r.Host] {
			continue
		}
		for _, f := range foreign {
			if r.overlaps(f) {
				continue next
			}
		}
		return r, nil
	}
	return Range{}, fmt.Errorf("%w: all %d id ranges are taken", runtime.ErrFull, MaxRanges)
}

// delegated reads the ranges that the machine gives to its users' own
// namespaces, name:first:count in each line. Lines of another form name no
// range; a missing file gives none.
func delegated(path string) []Range {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all []Range
	for line := range strings.Lines(string(text)) {
		part := strings.Split(strings.TrimSpace(line), ":")
		if len(part) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(part[1])
		count, err2 := strconv.Atoi(part[2])
		if err1 == nil && err2 == nil {
			all = append(all, Range{Host: first, Size: count})
		}
	}
	return all
}

func read(dir, id string) (Range, error) {
	text, err := os.Readlink(filepath.Join(dir, id))
	if err != nil {
		return Range{}, fmt.Errorf("read the id range of %s: %w", id, err)
	}
	host, err := strconv.Atoi(text)
	if err != nil || host < FirstHost || (host-FirstHost)%RangeSize != 0 {
		return Range{}, fmt.Errorf("read the id range of %s: %q is no range", id, text)
	}
	return Range{Host: host, Size: RangeSize}, nil
}

func checkID(id string) error {
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c)
	}
	if id == "" || len(id) > maxIDBytes || id[0] == '.' || strings.ContainsFunc(id, func(c rune) bool { return !legal(c) }) {
		return fmt.Errorf("%w: %.40q is no id: letters, digits, - _ . and at most %d bytes", runtime.ErrInvalid, id, maxIDBytes)
	}
	return nil
}

// lock keeps the other nodes of this machine out until the returned function
// is called. The kernel lets go when the process dies.
func lock(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the id ranges: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the id ranges: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the id ranges: %w", err)
	}
	return func() { f.Close() }, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the id ranges: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the id ranges: %w", err)
	}
	return nil
}
