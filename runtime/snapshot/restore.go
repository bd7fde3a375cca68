package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// Target is where a disk is made.
type Target struct {
	Path string      // an empty directory, which nobody else uses
	IDs  idmap.Range // who gets the files
	// Only are the top-level names that are made; nil is all.
	Only []string
	// Index is the file where the index is to be; "" is none.
	Index string
	// Settle has all on the disk, and reports how far the volume is written then.
	Settle func(ctx context.Context) (volume.State, error)
}

// Restore makes a disk of a save. What the store says is not trusted: each piece
// is checked against its name, and nothing is made outside of the target. An error
// leaves the target as far as it came. runtime.ErrNoSave means that a piece is
// gone, runtime.ErrFull that the target has no room.
func (s *Saver) Restore(ctx context.Context, m *Manifest, into Target) error {
	leave, err := enter(ctx, s.restores)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.restore(ctx, m, into); err != nil {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			err = fmt.Errorf("%w: %w", runtime.ErrFull, err)
		}
		return fmt.Errorf("restore save %s of %s: %w", m.Name, m.Computer, err)
	}
	return nil
}

func (s *Saver) restore(ctx context.Context, m *Manifest, into Target) error {
	pieces, parts, err := m.read()
	if err != nil {
		return err
	}
	index, err := newIndex(into.Index)
	if err != nil {
		return err
	}
	defer index.close()
	l, err := newLayout(ctx, into, newFetcher(s, m.Computer), index)
	if err != nil {
		return err
	}
	for i, p := range parts {
		data, err := l.from.get(ctx, p)
		if err != nil {
			return errors.Join(err, l.close())
		}
		if i+1 < len(parts) {
			l.ahead(parts[i+1])
		}
		entries, err := parsePart(data, pieces.find)
		if err == nil {
			err = l.part(data, entries)
		}
		if err != nil {
			return errors.Join(err, l.close())
		}
	}
	if err := errors.Join(l.finish(), l.close()); err != nil {
		return err
	}
	state, err := into.Settle(ctx)
	if err != nil {
		return err
	}
	if err := index.finish(header{Store: s.id, Manifest: m, State: state, Sure: l.latest.Add(1)}); err != nil {
		return err
	}
	return index.place()
}

// linksDir holds files with several names until all have been made.
const linksDir = ".links"

// layout lays entries out as a tree.
type layout struct {
	Target
	ctx   context.Context // ends with the first segment that fails
	from  *fetcher
	index *indexWriter

	levels []*level // from the tree's top down to where the last entry is
	links  *os.File
	skip   bool // what is below the last name of the top
	group  *errgroup.Group
	outer  context.Context
	cancel context.CancelFunc
	aside  sync.WaitGroup
	files  []*file // that are open, in order
	going  *file   // the last, which may go on
	// passing is set while more is of a file that was there under another name.
	passing bool
	frames  []*frame
	latest  time.Time // of all that was made
}

// level is a directory that entries come into.
type level struct {
	dir  *os.File
	made entry
	last string // name in it
}

// file is one whose segments are being written.
type file struct {
	*os.File
	made  entry
	frame *frame
	at    int // in frame.locals
}

// frame is a part with what this machine knows of its entries.
type frame struct {
	part   []byte
	locals []local
	open   int // files that are not done
}

func newLayout(ctx context.Context, into Target, from *fetcher, index *indexWriter) (*layout, error) {
	top, err := openDirectory(unix.AT_FDCWD, into.Path)
	if err != nil {
		return nil, err
	}
	l := &layout{Target: into, from: from, index: index}
	l.outer, l.cancel = context.WithCancel(ctx)
	l.regroup()
	err = unix.Mkdirat(int(top.Fd()), linksDir, 0o700)
	if err == nil {
		l.links, err = openDirectory(int(top.Fd()), linksDir)
	}
	if err != nil {
		l.cancel()
		return nil, errors.Join(err, top.Close())
	}
	l.levels = []*level{{dir: top}}
	return l, nil
}

// regroup begins to write aside anew.
func (l *layout) regroup() {
	l.group, l.ctx = errgroup.WithContext(l.outer)
	l.group.SetLimit(2 * downloads)
}

// close lets go of all that is open, however far it came.
func (l *layout) close() error {
	l.cancel()
	_ = l.group.Wait() // it was told, or another error is
	l.aside.Wait()
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.Close())
	}
	for _, v := range l.levels {
		errs = append(errs, v.dir.Close())
	}
	l.files, l.levels = nil, nil
	return errors.Join(append(errs, l.links.Close())...)
}

// ahead has the next part come while this one is laid out.
func (l *layout) ahead(p *piece) {
	l.aside.Go(func() { _, _ = l.from.get(l.outer, p) }) // whoever needs it sees the error
}

// part lays out the entries of a part.
func (l *layout) part(data []byte, entries []entry) error {
	f := &frame{part: data}
	l.frames = append(l.frames, f)
	for i := range entries {
		if err := l.entry(&entries[i], f); err != nil {
			return fmt.Errorf("%.200q: %w", entries[i].name, err)
		}
	}
	return l.settle(false)
}

// entry lays out one entry.
func (l *layout) entry(e *entry, f *frame) error {
	if e.kind == more {
		return l.more(e)
	}
	l.going, l.passing = nil, false
	if len(l.files) >= openFiles {
		if err := l.settle(true); err != nil {
			return err
		}
	}
	if e.depth == 0 {
		if e.kind != directory || len(l.levels) != 1 || l.levels[0].made.kind != 0 {
			return fmt.Errorf("%w: a second tree", errForm)
		}
		l.levels[0].made = *e
		f.locals = append(f.locals, local{})
		return nil
	}
	if e.depth > len(l.levels) && !l.skip {
		return fmt.Errorf("%w: it is in no directory", errForm)
	}
	if e.depth == 1 {
		l.skip = l.Only != nil && !slices.Contains(l.Only, e.name)
	}
	if l.skip {
		return nil
	}
	if err := l.ascend(e.depth); err != nil {
		return err
	}
	in := l.levels[len(l.levels)-1]
	if e.name <= in.last || e.depth == 1 && e.name == linksDir {
		return fmt.Errorf("%w: names out of order", errForm)
	}
	in.last = e.name
	return l.make(int(in.dir.Fd()), e, f)
}

// ascend leaves directories until so many are left.
func (l *layout) ascend(depth int) error {
	for len(l.levels) > depth {
		v := l.levels[len(l.levels)-1]
		l.levels = l.levels[:len(l.levels)-1]
		err := l.complete(int(v.dir.Fd()), &v.made)
		if err = errors.Join(err, v.dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) make(parent int, e *entry, f *frame) error {
	switch e.kind {
	case directory:
		return l.makeDirectory(parent, e, f)
	case regular:
		return l.makeFile(parent, e, f)
	case symlink:
		return l.makeNode(parent, e, f, func() error { return unix.Symlinkat(e.target, parent, e.name) })
	case fifo:
		return l.makeNode(parent, e, f, func() error { return unix.Mknodat(parent, e.name, unix.S_IFIFO|0o600, 0) })
	case socket:
		return l.makeNode(parent, e, f, func() error { return unix.Mknodat(parent, e.name, unix.S_IFSOCK|0o600, 0) })
	case whiteout:
		return l.makeNode(parent, e, f, func() error { return unix.Mknodat(parent, e.name, unix.S_IFCHR|0o600, 0) })
	}
	return fmt.Errorf("%w: an entry of the kind %d", errForm, e.kind)
}

func (l *layout) makeDirectory(parent int, e *entry, f *frame) error {
	if err := unix.Mkdirat(parent, e.name, 0o700); err != nil {
		return err
	}
	dir, err := openDirectory(parent, e.name)
	if err != nil {
		return err
	}
	l.levels = append(l.levels, &level{dir: dir, made: *e})
	return l.note(int(dir.Fd()), f)
}

// makeNode makes what has no content.
func (l *layout) makeNode(parent int, e *entry, f *frame, make func() error) error {
	if err := make(); err != nil {
		return err
	}
	fd, err := unix.Openat(parent, e.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if e.kind == symlink {
		err = unix.Fchownat(fd, "", int(outside(e.uid, l.IDs)), int(outside(e.gid, l.IDs)), unix.AT_EMPTY_PATH)
		if err == nil {
			err = unix.UtimesNanoAt(parent, e.name, times(e.modified), unix.AT_SYMLINK_NOFOLLOW)
		}
	} else {
		err = l.complete(fd, e)
	}
	if err != nil {
		return err
	}
	return l.note(fd, f)
}

// note keeps what this machine knows of an entry that is complete.
func (l *layout) note(fd int, f *frame) error {
	known, err := l.look(fd)
	f.locals = append(f.locals, known)
	return err
}

func (l *layout) look(fd int) (local, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return local{}, err
	}
	changed := stamp{st.Ctim.Sec, st.Ctim.Nsec}
	if at := changed.time(); at.After(l.latest) {
		l.latest = at
	}
	return local{inode: st.Ino, changed: changed}, nil
}

// complete gives what an entry says to what was made, which is no symlink.
func (l *layout) complete(fd int, e *entry) error {
	path := procPath(fd)
	if err := unix.Chown(path, int(outside(e.uid, l.IDs)), int(outside(e.gid, l.IDs))); err != nil {
		return err
	}
	for _, a := range e.attrs { // a change of owner takes capabilities away
		value := []byte(a.value)
		idmap.ShiftAttribute(a.name, value, func(id uint32) uint32 { return outside(id, l.IDs) })
		if err := unix.Setxattr(path, a.name, value, 0); err != nil {
			return fmt.Errorf("the attribute %s: %w", a.name, err)
		}
	}
	if err := unix.Chmod(path, e.mode); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times(e.modified), 0)
}

func times(modified stamp) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: modified.sec, Nsec: modified.nsec}}
}
