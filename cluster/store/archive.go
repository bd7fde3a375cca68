package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// An archive is a checkpoint's files as one stream:
//
//	magic (8) | applied index (8) | number of files (4)
//	and for each: length of name (2) | name | length (8) | bytes | xxhash of bytes (8)
//
// all numbers big endian.
const archiveMagic = "bothycp1"

// Bounds of an archive that is accepted.
const (
	maxArchiveFiles     = 1 << 20
	maxArchiveNameBytes = 255
)

var errArchive = errors.New("the snapshot's stream is damaged")

// packed is a checkpoint's directory, ready to be read as an archive.
type packed struct {
	fs      vfs.FS
	dir     string
	applied uint64
	names   []string
	sizes   []int64
}

func pack(on vfs.FS, dir string, applied uint64) (packed, error) {
	p := packed{fs: on, dir: dir, applied: applied}
	names, err := on.List(dir)
	if err != nil {
		return p, err
	}
	for _, name := range names {
		info, err := on.Stat(on.PathJoin(dir, name))
		if err != nil {
			return p, err
		}
		if info.IsDir() {
			return p, fmt.Errorf("the checkpoint %s holds a directory %s", dir, name)
		}
		p.names, p.sizes = append(p.names, name), append(p.sizes, info.Size())
	}
	return p, nil
}

// size is the archive's length.
func (p packed) size() int64 {
	n := int64(len(archiveMagic) + 8 + 4)
	for i, name := range p.names {
		n += 2 + int64(len(name)) + 8 + p.sizes[i] + 8
	}
	return n
}

// writeTo writes the archive.
func (p packed) writeTo(w io.Writer) error {
	head := binary.BigEndian.AppendUint64([]byte(archiveMagic), p.applied)
	head = binary.BigEndian.AppendUint32(head, uint32(len(p.names)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	for i, name := range p.names {
		if err := p.writeFile(w, name, p.sizes[i]); err != nil {
			return fmt.Errorf("send %s: %w", name, err)
		}
	}
	return nil
}

func (p packed) writeFile(w io.Writer, name string, size int64) error {
	f, err := p.fs.Open(p.fs.PathJoin(p.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	head := binary.BigEndian.AppendUint16(nil, uint16(len(name)))
	head = binary.BigEndian.AppendUint64(append(head, name...), uint64(size))
	if _, err := w.Write(head); err != nil {
		return err
	}
	sum := xxhash.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(f, size))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%d bytes, not %d as before", n, size)
	}
	_, err = w.Write(binary.BigEndian.AppendUint64(nil, sum.Sum64()))
	return err
}

// unpack writes an archive's files into dir, durably, and returns its applied
// index. What follows the last file is an error.
func unpack(r io.Reader, on vfs.FS, dir string) (applied uint64, err error) {
	if err := makeDir(on, dir); err != nil {
		return 0, err
	}
	head := make([]byte, len(archiveMagic)+12)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, fmt.Errorf("%w: %w", errArchive, err)
	}
	count := binary.BigEndian.Uint32(head[len(head)-4:])
	if string(head[:len(archiveMagic)]) != archiveMagic || count > maxArchiveFiles {
		return 0, errArchive
	}
	for range count {
		if err := unpackFile(r, on, dir); err != nil {
			return 0, err
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return 0, errors.Join(fmt.Errorf("%w: it does not end where it should", errArchive), err)
	}
	return binary.BigEndian.Uint64(head[len(archiveMagic):]), syncDir(on, dir)
}

func unpackFile(r io.Reader, on vfs.FS, dir string) error {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	head := make([]byte, int(binary.BigEndian.Uint16(length[:]))+8)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	name, size := string(head[:len(head)-8]), binary.BigEndian.Uint64(head[len(head)-8:])
	if !legalName(name) || size > 1<<62 {
		return fmt.Errorf("%w: a file called %.300q of %d bytes", errArchive, name, size)
	}
	sum := xxhash.New()
	body := &io.LimitedReader{R: r, N: int64(size)}
	if err := writeFile(on, on.PathJoin(dir, name), io.TeeReader(body, sum)); err != nil {
		return err
	}
	var tail [8]byte
	if _, err := io.ReadFull(r, tail[:]); err != nil || body.N != 0 {
		return fmt.Errorf("%w: %s is cut off", errArchive, name)
	}
	if binary.BigEndian.Uint64(tail[:]) != sum.Sum64() {
		return fmt.Errorf("%w: %s has another checksum", errArchive, name)
	}
	return nil
}

// legalName accepts the names of files that pebble makes, and no paths.
func legalName(name string) bool {
	if name == "" || len(name) > maxArchiveNameBytes || name[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}
