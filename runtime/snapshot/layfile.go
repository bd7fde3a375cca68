package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// makeFile makes a file, whose segments are written aside, or another name of
// one.
func (l *layout) makeFile(parent int, e *entry, f *frame) error {
	if e.link != 0 {
		linked, err := l.link(parent, e)
		if err != nil {
			return err
		}
		if linked {
			l.passing = true
			return l.noteLink(parent, e, f)
		}
	}
	fd, err := unix.Openat(parent, e.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	made := &file{File: os.NewFile(uintptr(fd), e.name), made: *e, frame: f, at: len(f.locals)}
	made.made.segments = nil
	l.files, l.going = append(l.files, made), made
	f.locals = append(f.locals, local{})
	f.open++
	if err := made.Truncate(e.size); err != nil {
		return err
	}
	if e.link != 0 {
		if err := unix.Linkat(parent, e.name, int(l.links.Fd()), linkName(e), 0); err != nil {
			return err
		}
	}
	return l.write(made, e.segments)
}

func linkName(e *entry) string { return strconv.FormatUint(e.link, 16) }

// link gives a file that is there another name. The last of all that a file can
// have is the one that it is kept under here.
func (l *layout) link(parent int, e *entry) (bool, error) {
	kept := int(l.links.Fd())
	err := unix.Linkat(kept, linkName(e), parent, e.name, 0)
	if errors.Is(err, unix.EMLINK) {
		err = unix.Renameat(kept, linkName(e), parent, e.name)
	}
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

func (l *layout) noteLink(parent int, e *entry, f *frame) error {
	fd, err := unix.Openat(parent, e.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return l.note(fd, f)
}

// more writes more segments of the last file.
func (l *layout) more(e *entry) error {
	if l.skip || l.passing {
		return nil
	}
	f := l.going
	if f == nil {
		return fmt.Errorf("%w: segments of no file", errForm)
	}
	if n := len(e.segments); n > 0 && e.segments[n-1].end() > f.made.size {
		return fmt.Errorf("%w: a segment behind the end", errForm)
	}
	return l.write(f, e.segments)
}

// write has segments written, those of one piece together.
func (l *layout) write(f *file, segments []segment) error {
	for len(segments) > 0 {
		n := 1
		for n < len(segments) && segments[n].piece == segments[0].piece {
			n++
		}
		run := segments[:n]
		segments = segments[n:]
		if l.ctx.Err() != nil {
			return cmp.Or(l.group.Wait(), context.Cause(l.outer))
		}
		l.group.Go(func() error {
			data, err := l.from.get(l.ctx, run[0].piece)
			for _, s := range run {
				if err == nil {
					_, err = f.WriteAt(data[s.from:s.from+s.length], s.at)
				}
			}
			return err
		})
	}
	return nil
}

// settle waits until what was begun is written, and completes the files; the
// last may still go on, unless all is set.
func (l *layout) settle(all bool) error {
	if err := l.group.Wait(); err != nil {
		return err
	}
	l.regroup()
	if all {
		l.going = nil
	}
	for len(l.files) > 0 && l.files[0] != l.going {
		f := l.files[0]
		l.files = l.files[1:]
		err := l.complete(int(f.Fd()), &f.made)
		if err == nil {
			f.frame.locals[f.at], err = l.look(int(f.Fd()))
		}
		f.frame.open--
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%.200q: %w", f.made.name, err)
		}
	}
	for len(l.frames) > 1 && l.frames[0].open == 0 {
		if err := l.keep(l.frames[0]); err != nil {
			return err
		}
		l.frames = l.frames[1:]
	}
	return nil
}

// keep puts a frame into the index.
func (l *layout) keep(f *frame) error {
	var locals []byte
	for _, known := range f.locals {
		locals = known.append(locals)
	}
	return l.index.add(f.part, locals)
}

// finish completes the tree.
func (l *layout) finish() error {
	if err := l.settle(true); err != nil {
		return err
	}
	for _, f := range l.frames {
		if err := l.keep(f); err != nil {
			return err
		}
	}
	if l.levels[0].made.kind == 0 {
		return fmt.Errorf("%w: it has no tree", errForm)
	}
	if err := l.ascend(1); err != nil {
		return err
	}
	if err := l.unlink(); err != nil {
		return err
	}
	// From here on a change has a later time than all that was made.
	time.Sleep(racyTime)
	return nil
}

// unlink takes the names away that files were kept under.
func (l *layout) unlink() error {
	for {
		if _, err := l.links.Seek(0, 0); err != nil {
			return err
		}
		names, _ := l.links.Readdirnames(minNames)
		if len(names) == 0 {
			return unix.Unlinkat(int(l.levels[0].dir.Fd()), linksDir, unix.AT_REMOVEDIR)
		}
		for _, name := range names {
			if err := unix.Unlinkat(int(l.links.Fd()), name, 0); err != nil {
				return err
			}
		}
	}
}
