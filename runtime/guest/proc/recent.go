package proc

import "bytes"

// RecallBytes bounds what is kept of what a terminal showed, for those who
// listen later.
const RecallBytes = 64 << 10

// recent is the end of a terminal's output.
type recent struct{ kept []byte }

// add keeps data, and lets go of the oldest in large pieces, so that each byte
// is moved a few times at most.
func (r *recent) add(data []byte) {
	if len(r.kept)+len(data) > 2*RecallBytes {
		r.kept = append(r.kept[:0], r.bytes()...)
	}
	r.kept = append(r.kept, data...)
}

// bytes is a copy of the last RecallBytes. What is left of a line whose
// beginning is lost is not in it, if others follow: it may be half a control
// sequence.
func (r *recent) bytes() []byte {
	if len(r.kept) <= RecallBytes {
		return bytes.Clone(r.kept)
	}
	last := r.kept[len(r.kept)-RecallBytes:]
	if _, whole, found := bytes.Cut(last, []byte("\n")); found && len(whole) > 0 {
		last = whole
	}
	return bytes.Clone(last)
}
