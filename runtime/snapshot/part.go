package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// part is a run of entries as bytes:
//
//	part    = senders entry*          numbers are varints, texts have their length before them
//	senders = count text*             saves that sent pieces which are named below
//	entry   = depth kind name then, of more: segments; of others:
//	          mode uid gid seconds nanoseconds attrs (target | link size segments)?
//	attrs   = count (name value)*
//	segments = count (hole length piece from)*   hole: bytes since the end of the one before
//	piece   = 0, the one before in this part, or 1 + sender and 32 bytes
type part struct {
	senders []string
	body    []byte
	locals  []byte
	last    *piece
}

func (p *part) add(e *entry, l local) {
	b := binary.AppendUvarint(p.body, uint64(e.depth))
	b = append(b, byte(e.kind))
	b = text(b, e.name)
	if e.kind == more {
		p.body = p.segments(b, e)
		return
	}
	for _, n := range []uint64{uint64(e.mode), uint64(e.uid), uint64(e.gid)} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendStamp(b, e.modified)
	b = binary.AppendUvarint(b, uint64(len(e.attrs)))
	for _, a := range e.attrs {
		b = text(text(b, a.name), a.value)
	}
	switch e.kind {
	case symlink:
		b = text(b, e.target)
	case regular:
		b = binary.AppendUvarint(b, e.link)
		b = binary.AppendUvarint(b, uint64(e.size))
		b = p.segments(b, e)
	}
	p.body = b
	p.locals = l.append(p.locals)
}

func (l local) append(b []byte) []byte {
	b = appendStamp(binary.AppendUvarint(b, l.inode), l.changed)
	b = binary.AppendUvarint(b, uint64(len(l.extents)))
	var end int64
	for _, x := range l.extents {
		for _, n := range []uint64{uint64(x.At - end), uint64(x.Length), x.Disk, x.Generation} {
			b = binary.AppendUvarint(b, n)
		}
		end = x.At + x.Length
	}
	return b
}

// local reads what append wrote.
func (s *scanner) local() local {
	l := local{inode: s.number("an inode", 1<<64-1), changed: s.stamp()}
	var end int64
	for range s.number("extents", maxExtents) {
		x := volume.Extent{At: end + int64(s.number("an extent", 1<<62)), Length: int64(s.number("an extent", 1<<62)),
			Disk: s.number("an extent", 1<<64-1), Generation: s.number("an extent", 1<<64-1)}
		if s.err != nil {
			return l
		}
		end = x.At + x.Length
		l.extents = append(l.extents, x)
	}
	return l
}

func (p *part) segments(b []byte, e *entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.segments)))
	var end int64
	for _, s := range e.segments {
		b = binary.AppendUvarint(b, uint64(s.at-end))
		b = binary.AppendUvarint(b, uint64(s.length))
		if s.piece == p.last {
			b = append(b, 0)
		} else {
			at := slices.Index(p.senders, s.piece.save)
			if at < 0 {
				at, p.senders = len(p.senders), append(p.senders, s.piece.save)
			}
			b = binary.AppendUvarint(b, uint64(at)+1)
			b = append(b, s.piece.sum[:]...)
			p.last = s.piece
		}
		b = binary.AppendUvarint(b, uint64(s.from))
		end = s.end()
	}
	return b
}

// ends reports whether the part ends after an entry.
func (p *part) ends(e *entry) bool {
	if len(p.body) < minPartBytes {
		return false
	}
	return hashed(e.name, partShare) || len(p.body) >= partBytes
}

func (p *part) bytes() []byte {
	b := binary.AppendUvarint(nil, uint64(len(p.senders)))
	for _, name := range p.senders {
		b = text(b, name)
	}
	return append(b, p.body...)
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStamp(b []byte, s stamp) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, s.sec), uint64(s.nsec))
}

// errForm says that bytes are no part, index or manifest.
var errForm = errors.New("not as a save is written")

// scanner reads numbers and texts until the first that is none.
type scanner struct {
	data []byte
	err  error
}

func (s *scanner) fail(format string, a ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: "+format, append([]any{errForm}, a...)...)
		s.data = nil
	}
}

func (s *scanner) number(what string, most uint64) uint64 {
	n, size := binary.Uvarint(s.data)
	if size <= 0 || n > most {
		s.fail("%s", what)
		return 0
	}
	s.data = s.data[size:]
	return n
}

func (s *scanner) take(what string, n int) []byte {
	if n > len(s.data) {
		s.fail("%s", what)
		return nil
	}
	b := s.data[:n]
	s.data = s.data[n:]
	return b
}

func (s *scanner) text(what string, most int) string {
	return string(s.take(what, int(s.number(what, uint64(most)))))
}

func (s *scanner) stamp() stamp {
	sec, size := binary.Varint(s.data)
	if size <= 0 {
		s.fail("a time")
		return stamp{}
	}
	s.data = s.data[size:]
	return stamp{sec, int64(s.number("a time", 999_999_999))}
}

// parsePart reads what a part says. resolve finds a piece by its name, or nil.
// Whether entries make a tree is for whoever lays them out to see.
func parsePart(data []byte, resolve func(ref) *piece) ([]entry, error) {
	s := &scanner{data: data}
	senders := make([]string, 0, 8)
	for range s.number("senders", uint64(len(data))) {
		name := s.text("a sender", len(data))
		if s.err == nil && volume.CheckName(name) != nil {
			s.fail("a sender's name")
		}
		if s.err != nil {
			return nil, s.err
		}
		senders = append(senders, name)
	}
	p := partParser{scanner: s, senders: senders, resolve: resolve}
	var all []entry
	for len(s.data) > 0 {
		all = append(all, p.entry())
	}
	return all, s.err
}

type partParser struct {
	*scanner
	senders []string
	resolve func(ref) *piece
	last    *piece
}

func (p *partParser) entry() entry {
	e := entry{depth: int(p.number("a depth", maxDepth))}
	if b := p.take("a kind", 1); p.err == nil {
		e.kind = kind(b[0])
	}
	e.name = p.text("a name", maxNameBytes)
	if (e.depth > 0) != (e.name != "") && e.kind != more || strings.ContainsAny(e.name, "/\x00") || e.name == "." || e.name == ".." {
		p.fail("the name %.100q", e.name)
	}
	if e.kind == more {
		p.segments(&e, 1<<62)
		return e
	}
	e.mode = uint32(p.number("a mode", 0o7777))
	e.uid = uint32(p.number("an owner", idmap.RangeSize-1))
	e.gid = uint32(p.number("a group", idmap.RangeSize-1))
	e.modified = p.stamp()
	p.attributes(&e)
	switch e.kind {
	case directory, fifo, socket, whiteout:
	case symlink:
		e.target = p.text("a target", maxTargetBytes)
		if p.err == nil && (e.target == "" || strings.Contains(e.target, "\x00")) {
			p.fail("a target")
		}
	case regular:
		e.link = p.number("a link", 1<<63)
		e.size = int64(p.number("a size", 1<<62))
		p.segments(&e, e.size)
	default:
		p.fail("an entry of the kind %d", e.kind)
	}
	return e
}

func (p *partParser) attributes(e *entry) {
	total := 0
	for range p.number("attributes", maxAttributeBytes) {
		a := attribute{p.text("an attribute", maxNameBytes), p.text("an attribute", maxAttributeBytes)}
		if total += len(a.name) + len(a.value); total > maxAttributeBytes || p.err == nil && !kept(a.name) {
			p.fail("the attribute %.100q", a.name)
		}
		if p.err != nil {
			return
		}
		e.attrs = append(e.attrs, a)
	}
}

func (p *partParser) segments(e *entry, size int64) {
	count := p.number("segments", maxRecordSegments)
	var end int64
	for range count {
		hole := int64(p.number("a hole", uint64(size-end)))
		s := segment{at: end + hole}
		s.length = int64(p.number("a length", uint64(min(size-s.at, maxPieceBytes))))
		s.piece = p.piece()
		s.from = int64(p.number("a place in a piece", maxPieceBytes))
		if p.err == nil && (s.length == 0 || s.piece == nil || s.from+s.length > int64(s.piece.size)) {
			p.fail("a segment")
		}
		if p.err != nil {
			return
		}
		end = s.end()
		e.segments = append(e.segments, s)
	}
}

func (p *partParser) piece() *piece {
	n := p.number("a sender", uint64(len(p.senders)))
	if n == 0 || p.err != nil {
		return p.last
	}
	var at ref
	at.save = p.senders[n-1]
	copy(at.sum[:], p.take("a piece", len(at.sum)))
	if p.err == nil {
		p.last = p.resolve(at)
	}
	return p.last
}
