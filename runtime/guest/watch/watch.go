// Package watch tells what happens in a directory, by inotify.
package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxDirs bounds the directories under one recursive watch.
const MaxDirs = 8192

// readBytes holds many events; a name is at most 255 bytes.
const readBytes = 16 << 10

// Errors that a caller acts on.
var (
	ErrTooMany = errors.New("too many directories to watch")
	// ErrLost means that events came faster than they were taken.
	ErrLost = errors.New("events were lost; list the directory again")
)

// Kind is what happened.
type Kind int

// The kinds of events. A move is a Rename of the old name, and a Create of
// the new one where that is watched too.
const (
	Create Kind = iota + 1
	Write
	Remove
	Rename
	Chmod
)

// Event is one thing that happened to Name, a path below the watched
// directory; "." is the directory itself.
type Event struct {
	Name string
	Kind Kind
}

// Watcher watches one directory. Run reads it; Close ends Run.
type Watcher struct {
	file      *os.File
	root      string
	recursive bool
	dirs      map[int32]string // watch descriptor to path below root
}

const interest = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// Open begins to watch a directory, and with recursive all below it, without
// following links there.
func Open(root string, recursive bool) (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	w := &Watcher{
		file: os.NewFile(uintptr(fd), "inotify"), root: root, recursive: recursive,
		dirs: make(map[int32]string),
	}
	err = w.addOne(".") // fails where walking would find nothing to do
	if err == nil {
		_, err = w.add(".")
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the watching.
func (w *Watcher) Close() error { return w.file.Close() }

// add watches a directory and, when recursive, those below it; it returns
// what lies there already.
func (w *Watcher) add(rel string) (found []string, err error) {
	if !w.recursive {
		return nil, w.addOne(rel)
	}
	err = filepath.WalkDir(filepath.Join(w.root, rel), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was listed
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(w.root, path)
		if err != nil {
			return err
		}
		if below != rel {
			found = append(found, below)
		}
		if !d.IsDir() {
			return nil
		}
		return w.addOne(below)
	})
	return found, err
}

func (w *Watcher) addOne(rel string) error {
	if len(w.dirs) >= MaxDirs {
		return fmt.Errorf("%w: at most %d", ErrTooMany, MaxDirs)
	}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch %s: %w", rel, err)
	}
	var wd int
	var failed error
	flags := uint32(interest)
	if rel != "." {
		flags |= unix.IN_DONT_FOLLOW
	}
	if err := conn.Control(func(fd uintptr) {
		wd, failed = unix.InotifyAddWatch(int(fd), filepath.Join(w.root, rel), flags)
	}); err != nil {
		return fmt.Errorf("watch %s: %w", rel, err)
	}
	switch {
	case errors.Is(failed, unix.ENOSPC):
		return fmt.Errorf("%w: the kernel allows no more", ErrTooMany)
	case rel != "." && (errors.Is(failed, unix.ENOENT) || errors.Is(failed, unix.ENOTDIR)):
		return nil // gone, or replaced, since it was listed
	case failed != nil:
		return &fs.PathError{Op: "watch", Path: filepath.Join(w.root, rel), Err: failed}
	}
	w.dirs[int32(wd)] = rel
	return nil
}

// Run gives each event to emit until Close, which is no error, until the
// directory itself is gone, which is none either, or until emit fails.
func (w *Watcher) Run(emit func(Event) error) error {
	buf := make([]byte, readBytes)
	for {
		n, err := w.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			var raw raw
			raw, rest = parse(rest)
			over, err := w.handle(raw, emit)
			if over || err != nil {
				return err
			}
		}
	}
}

// raw is one event of the kernel.
type raw struct {
	wd   int32
	mask uint32
	name string
}

func parse(buf []byte) (raw, []byte) {
	order := binary.NativeEndian
	size := int(order.Uint32(buf[12:16]))
	end := min(unix.SizeofInotifyEvent+size, len(buf))
	name, _, _ := strings.Cut(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
	return raw{int32(order.Uint32(buf[0:4])), order.Uint32(buf[4:8]), name}, buf[end:]
}

// The kernel's header has this size on every architecture.
var _ [unix.SizeofInotifyEvent]byte = [unsafe.Sizeof(unix.InotifyEvent{})]byte{}

var kinds = []struct {
	mask uint32
	kind Kind
}{
	{unix.IN_CREATE | unix.IN_MOVED_TO, Create},
	{unix.IN_MODIFY, Write},
	{unix.IN_DELETE, Remove},
	{unix.IN_MOVED_FROM, Rename},
	{unix.IN_ATTRIB, Chmod},
}

// handle emits what one kernel event means. over is that the watched
// directory is gone.
func (w *Watcher) handle(ev raw, emit func(Event) error) (over bool, err error) {
	if ev.mask&unix.IN_Q_OVERFLOW != 0 {
		return false, ErrLost
	}
	dir, known := w.dirs[ev.wd]
	if ev.mask&unix.IN_IGNORED != 0 {
		delete(w.dirs, ev.wd)
		return dir == "." && known, nil
	}
	if !known {
		return false, nil
	}
	if ev.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 {
		if dir != "." {
			return false, nil // the directory above has told it
		}
		return true, emit(Event{".", Remove})
	}
	name := filepath.Join(dir, ev.name)
	for _, row := range kinds {
		if ev.mask&row.mask != 0 {
			if err := emit(Event{name, row.kind}); err != nil {
				return false, err
			}
		}
	}
	switch moved := w.recursive && ev.mask&unix.IN_ISDIR != 0; {
	case moved && ev.mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return false, w.enter(name, emit)
	case moved && ev.mask&unix.IN_MOVED_FROM != 0:
		return false, w.leave(name)
	}
	return false, nil
}

// leave stops watching a directory that was moved away. If it went to another
// place below root, enter finds it there.
func (w *Watcher) leave(rel string) error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("stop watching %s: %w", rel, err)
	}
	for wd, dir := range w.dirs {
		if dir != rel && !strings.HasPrefix(dir, rel+"/") {
			continue
		}
		delete(w.dirs, wd)
		if err := conn.Control(func(fd uintptr) {
			unix.InotifyRmWatch(int(fd), uint32(wd)) // fails only when the directory is gone, which is as good
		}); err != nil {
			return fmt.Errorf("stop watching %s: %w", rel, err)
		}
	}
	return nil
}

// enter watches a directory that has just appeared. What was put there before
// the watch stood is told as created.
func (w *Watcher) enter(rel string, emit func(Event) error) error {
	found, err := w.add(rel)
	if err != nil {
		return err
	}
	for _, name := range found {
		if err := emit(Event{name, Create}); err != nil {
			return err
		}
	}
	return nil
}
