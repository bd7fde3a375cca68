package snapshot

import (
	"os"

	"github.com/bothy-computer/bothy/runtime/volume"
)

// Layout is what a file system knows of how files lie on the disk; volume.Layout
// is one.
type Layout interface {
	// Written reports the volume's generation when an inode was changed last.
	Written(inode uint64) (uint64, error)
	// Extents lists where a file's bytes lie; an error means that it is not known.
	Extents(inode uint64, most int) ([]volume.Extent, error)
}

// unwritten reports whether the file system knows that an inode was not changed
// since the base, whatever its times say.
func (v *saving) unwritten(inode uint64) bool {
	if v.Layout == nil || v.base.State.Generation == 0 || inode == stubInode {
		return false
	}
	at, err := v.Layout.Written(inode)
	return err == nil && at <= v.base.State.Generation
}

// extents are those of a file that is large enough for them to be of use.
func (v *saving) extents(inode uint64, size int64) []volume.Extent {
	if v.Layout == nil || size <= chunkBytes {
		return nil
	}
	all, err := v.Layout.Extents(inode, maxExtents)
	if err != nil {
		return nil // it will be read
	}
	return all
}

// run is a run of a file's bytes.
type run struct{ at, end int64 }

// unchanged are the runs of a file that lie where they lay in the base, and were
// written before it: what the disk has at a place, written in one generation, is
// the same for as long as somebody uses it.
func unchanged(now, then []volume.Extent, base uint64) []run {
	var same []run
	for i := 0; len(now) > 0 && i < len(then); {
		a, b := now[0], then[i]
		at, end := max(a.At, b.At), min(a.At+a.Length, b.At+b.Length)
		if at < end && a.Generation <= base && a.Generation == b.Generation &&
			a.Disk+uint64(at-a.At) == b.Disk+uint64(at-b.At) {
			if n := len(same); n > 0 && same[n-1].end == at {
				same[n-1].end = end
			} else {
				same = append(same, run{at, end})
			}
		}
		if a.At+a.Length <= b.At+b.Length {
			now = now[1:]
		} else {
			i++
		}
	}
	return same
}

// reuse is what of a changed file need not be read.
type reuse struct {
	same     []run     // in order; those that are behind are dropped
	segments []segment // of the base, likewise
}

// split cuts a run of data into what is the same as in the base, as segments,
// and what is not, without a piece, all in order. Runs are asked for in order.
func (r *reuse) split(data run) []segment {
	var all []segment
	for at := data.at; at < data.end; {
		for len(r.same) > 0 && r.same[0].end <= at {
			r.same = r.same[1:]
		}
		for len(r.segments) > 0 && r.segments[0].end() <= at {
			r.segments = r.segments[1:]
		}
		next := segment{at: at, length: data.end - at}
		switch {
		case len(r.same) == 0 || len(r.segments) == 0:
		case r.same[0].at > at:
			next.length = min(data.end, r.same[0].at) - at
		case r.segments[0].at > at: // which is not so: it was data then
			next.length = min(data.end, r.segments[0].at) - at
		default:
			s := r.segments[0]
			end := min(data.end, r.same[0].end, s.end())
			next = segment{at: at, length: end - at, piece: s.piece, from: s.from + at - s.at}
			if s.piece.stale {
				next.piece = nil
			}
		}
		if n := len(all); n > 0 && next.piece == nil && all[n-1].piece == nil {
			all[n-1].length += next.length
		} else {
			all = append(all, next)
		}
		at = next.end()
	}
	return all
}

// spliced saves a chunk of a changed file: what is the same from the base, if
// that is worth its list, and else all of it read.
func (v *saving) spliced(f *os.File, data []run, old *reuse, l local) error {
	var all []segment
	var changed int64
	for _, d := range data {
		all = append(all, old.split(d)...)
	}
	for _, s := range all {
		if s.piece == nil {
			changed += s.length
		}
	}
	if changed > chunkBytes/2 || len(all) > len(data)+maxSplices && changed > 0 {
		for _, d := range data {
			if err := v.readRun(f, d.at, d.end-d.at, l); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range all {
		var err error
		if s.piece == nil {
			err = v.readRun(f, s.at, s.length, l)
		} else {
			err = v.segment(s, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
