package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// file saves a file: from the index, from another of its names, or read.
func (v *saving) file(parent int, e entry, l local, st *unix.Stat_t, old *found, same bool) error {
	e.size = st.Size
	if st.Nlink > 1 {
		e.link = st.Ino
		if segments, ok := v.links[st.Ino]; ok {
			return v.listed(e, l, segments)
		}
	}
	if same && old.whole && old.entry.size == e.size && !wasteful(e, old.entry.segments) {
		l.extents = old.local.extents
		if l.extents == nil { // after a restore
			l.extents = v.extents(l.inode, e.size)
		}
		return v.listed(e, l, old.entry.segments)
	}
	l.extents = v.extents(l.inode, e.size)
	have := &reuse{}
	if old != nil && old.whole && old.local.inode == l.inode {
		have.same = unchanged(l.extents, old.local.extents, v.base.State.Generation)
		have.segments = old.entry.segments
	}
	fd, err := unix.Openat(parent, e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOATIME|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.name)
	defer f.Close()
	return v.content(f, e, l, have)
}

// wasteful reports whether a small file lies in packs of which little else is of
// use.
func wasteful(e entry, segments []segment) bool {
	if e.size > chunkBytes {
		return false
	}
	for _, s := range segments {
		if s.piece.stale {
			return true
		}
	}
	return false
}

// listed saves a file whose segments the store has, or is about to have.
func (v *saving) listed(e entry, l local, segments []segment) error {
	v.begin(e)
	for _, s := range segments {
		if err := v.segment(s, l); err != nil {
			return err
		}
	}
	return v.end(l)
}

// content saves a file by its chunks. What is a hole is not read.
func (v *saving) content(f *os.File, e entry, l local, old *reuse) error {
	v.begin(e)
	var chunk []run // the data of one chunk
	for at := int64(0); at < e.size; {
		data, err := nextData(int(f.Fd()), at)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return err
		}
		for at = data.at; at < min(data.end, e.size); {
			end := min(data.end, e.size, at/chunkBytes*chunkBytes+chunkBytes)
			if len(chunk) > 0 && chunk[0].at/chunkBytes != at/chunkBytes {
				if err := v.spliced(f, chunk, old, l); err != nil {
					return err
				}
				chunk = chunk[:0]
			}
			chunk = append(chunk, run{at, end})
			at = end
		}
	}
	if err := v.spliced(f, chunk, old, l); err != nil {
		return err
	}
	return v.end(l)
}

// nextData finds the next run of data in a file; ENXIO means that there is none.
func nextData(fd int, at int64) (run, error) {
	data, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if err != nil {
		return run{}, fmt.Errorf("find data: %w", err)
	}
	hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
	if err != nil {
		return run{}, fmt.Errorf("find holes: %w", err)
	}
	return run{data, hole}, nil
}

// readRun reads a run of data that lies in one chunk.
func (v *saving) readRun(f *os.File, at, length int64, l local) error {
	data := make([]byte, length)
	if _, err := f.ReadAt(data, at); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read: %w", err)
	}
	v.read += length
	s := segment{at: at, length: length}
	if length > smallBytes {
		var err error
		if s.piece, err = v.up.piece(data); err != nil {
			return err
		}
		return v.segment(s, l)
	}
	if v.up.full(len(data)) {
		if err := v.flush(); err != nil {
			return err
		}
	}
	s.piece, s.from = v.up.packed(data)
	return v.segment(s, l)
}

// begin opens the record of a file, segment adds to it, end closes it.
func (v *saving) begin(e entry) { v.record = &e }

func (v *saving) segment(s segment, l local) error {
	r := v.record
	if n := len(r.segments); n > 0 && (s.at/recordBytes != r.segments[n-1].at/recordBytes || n >= maxRecordSegments) ||
		n == 0 && r.kind == regular && s.at >= recordBytes {
		next := entry{depth: r.depth, name: r.name, kind: more}
		if err := v.push(*r, l); err != nil {
			return err
		}
		v.record, r = &next, &next
	}
	r.segments = append(r.segments, s)
	return nil
}

func (v *saving) end(l local) error {
	r := *v.record
	v.record = nil
	if r.link != 0 && len(v.links) < maxLinks && len(r.segments) <= maxLinkSegments {
		v.links[r.link] = r.segments // with more, only the last record's link is 0
	}
	if err := v.push(r, l); err != nil {
		return err
	}
	// Packs end where files do, by their names, so that one file more or less
	// changes few of them.
	if len(v.up.packing) >= minPackBytes && hashed(r.name, packShare) {
		return v.flush()
	}
	return nil
}
