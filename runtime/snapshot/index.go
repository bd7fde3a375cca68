package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// An index is a file: frames of a part and its locals, each with its length
// before it, all compressed; then the header as JSON, and its length in 8 bytes.
// It appears under its name once all of that is on the disk.

// header says what an index is of.
type header struct {
	Store    string    `json:"store"`
	Manifest *Manifest `json:"manifest"`
	// State is the volume's when its content was that of the save.
	State volume.State `json:"state"`
	// Sure is before what is changed may have the time of what was not.
	Sure time.Time `json:"sure"`
}

type indexWriter struct {
	path string
	file *os.File
	out  *zstd.Encoder
}

// newIndex begins an index that is to be at path; "" is none.
func newIndex(path string) (*indexWriter, error) {
	if path == "" {
		return &indexWriter{}, nil
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the index: %w", full(err))
	}
	out, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &indexWriter{path: path, file: f, out: out}, nil
}

func (w *indexWriter) add(part, locals []byte) error {
	if w.file == nil {
		return nil
	}
	b := append(binary.AppendUvarint(nil, uint64(len(part))), part...)
	b = append(binary.AppendUvarint(b, uint64(len(locals))), locals...)
	if _, err := w.out.Write(b); err != nil {
		return fmt.Errorf("write the index: %w", full(err))
	}
	return nil
}

// finish writes what there is to the disk, still without its name.
func (w *indexWriter) finish(h header) error {
	if w.file == nil {
		return nil
	}
	text, err := json.Marshal(h)
	if err == nil {
		err = w.out.Close()
	}
	if err == nil {
		_, err = w.file.Write(binary.LittleEndian.AppendUint64(text, uint64(len(text))))
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the index: %w", full(err))
	}
	return nil
}

// full turns the errors of a node's full disk into the one that callers act on.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: there is no room on the node to note what is saved", runtime.ErrFull)
	}
	return err
}

// place puts the index in the place of the one before. A computer that is gone
// has none.
func (w *indexWriter) place() error {
	if w.file == nil {
		return nil
	}
	if err := rename(w.path+".new", w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the index: %w", err)
	}
	return nil
}

// close ends the writing, and leaves nothing of an index that was not placed.
func (w *indexWriter) close() {
	if w == nil || w.file == nil {
		return
	}
	w.out.Close()
	w.file.Close()
	os.Remove(w.path + ".new")
}

// readHeader reads the header of an index; fs.ErrNotExist means that there is
// none.
func readHeader(f *os.File) (h header, listed int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return h, 0, err
	}
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return h, 0, fmt.Errorf("%w: an index", errForm)
	}
	length := binary.LittleEndian.Uint64(tail[:])
	if length > uint64(size)-8 || length > 2*maxManifestBytes {
		return h, 0, fmt.Errorf("%w: an index", errForm)
	}
	text := make([]byte, length)
	listed = size - 8 - int64(length)
	if _, err := f.ReadAt(text, listed); err != nil {
		return h, 0, err
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Manifest == nil || h.Manifest.Format != format {
		return h, 0, fmt.Errorf("%w: an index", errForm)
	}
	return h, listed, nil
}

// index is what was saved last from a disk, read side by side with a walk.
type index struct {
	header
	pieces catalog
	file   *os.File
	in     *bufio.Reader
	unpack *zstd.Decoder
	frame  []entry
	locals *scanner
	at     entry // the entry that comes next; its depth is -1 after the last
	local  local
}

// Known tells what an index at a path is of: a save, and how far the volume had
// been written when it was so. Where there is none the store is "".
func Known(path string) (store string, m *Manifest, at volume.State) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, at
	}
	defer f.Close()
	h, _, err := readHeader(f)
	if err != nil {
		return "", nil, at
	}
	return h.Store, h.Manifest, h.State
}

// openIndex opens the index at a path, if it is of a save of this store, made of
// this volume.
func openIndex(path, store, save, volume string) (*index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	x := &index{file: f}
	var listed int64
	x.header, listed, err = readHeader(f)
	if err == nil && (x.Store != store || x.Manifest.Name != save || x.State.ID != volume) {
		err = fmt.Errorf("it is of another save: %w", fs.ErrNotExist)
	}
	if err == nil {
		x.pieces, _, err = x.Manifest.read()
	}
	if err == nil {
		x.unpack, err = zstd.NewReader(io.NewSectionReader(f, 0, listed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPieceBytes*2))
	}
	if err == nil {
		x.in = bufio.NewReader(x.unpack)
		err = x.next()
	}
	if err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

func (x *index) close() {
	if x == nil {
		return
	}
	if x.unpack != nil {
		x.unpack.Close()
	}
	x.file.Close()
}

// next goes on to the next entry.
func (x *index) next() error {
	for len(x.frame) == 0 {
		part, err := x.block()
		if errors.Is(err, io.EOF) {
			x.at = entry{depth: -1}
			return nil
		}
		if err != nil {
			return err
		}
		locals, err := x.block()
		if err != nil {
			return err
		}
		if x.frame, err = parsePart(part, x.pieces.find); err != nil {
			return err
		}
		x.locals = &scanner{data: locals}
	}
	x.at, x.frame = x.frame[0], x.frame[1:]
	if x.at.kind != more {
		x.local = x.locals.local()
	}
	return x.locals.err
}

func (x *index) block() ([]byte, error) {
	n, err := binary.ReadUvarint(x.in)
	if err != nil {
		return nil, err
	}
	if n > maxPieceBytes {
		return nil, fmt.Errorf("%w: an index", errForm)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(x.in, b)
	return b, err
}

// seek goes on to a name in the directory that the index is in, and reports
// whether it is there. Names are asked for in their order.
func (x *index) seek(depth int, name string) (bool, error) {
	for x.at.depth > depth || x.at.depth == depth && (x.at.kind == more || x.at.name < name) {
		if err := x.next(); err != nil {
			return false, err
		}
	}
	return x.at.depth == depth && x.at.name == name, nil
}

// take is the entry that seek has found, with all segments if it is a file; the
// index goes on behind it. Of a file with very many segments it has none, and
// whole is false.
func (x *index) take() (e entry, l local, whole bool, err error) {
	e, l, whole = x.at, x.local, true
	if err := x.next(); err != nil {
		return e, l, false, err
	}
	for x.at.kind == more {
		if whole = whole && len(e.segments)+len(x.at.segments) <= maxReused; whole {
			e.segments = append(e.segments, x.at.segments...)
		}
		if err := x.next(); err != nil {
			return e, l, false, err
		}
	}
	return e, l, whole, nil
}
