package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxArchiveEntries bounds the files of an archive: its layers and a few
	// documents.
	maxArchiveEntries = 4096
	// tarOverheadBytes is what a name can cost in a tar beside its content:
	// headers for a long name and attributes, and padding.
	tarOverheadBytes = 8 << 10
	// maxZstdWindowBytes bounds the memory that a compressed stream can ask for.
	maxZstdWindowBytes = 128 << 20
)

// unpackArchive unpacks the regular files of a tar, whose order does not tell
// which are needed, into an empty directory.
func (s *Store) unpackArchive(ctx context.Context, from io.Reader, to *os.Root) error {
	plain, err := decompress(from)
	if err != nil {
		return err
	}
	defer plain.Close()
	bounded := &capped{ctx: ctx, from: plain, left: s.limits.bytes}
	entries := tar.NewReader(bounded)
	for n := 0; ; n++ {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, bounded) // whoever sends it is to see that all was taken
			return err
		}
		if err != nil {
			return badTar(err)
		}
		if n > maxArchiveEntries {
			return fmt.Errorf("%w: the archive has more than %d entries", runtime.ErrInvalid, maxArchiveEntries)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := s.copyOut(to, path.Clean(header.Name), entries); err != nil {
			return badTar(err)
		}
	}
}

func (s *Store) copyOut(to *os.Root, name string, content io.Reader) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%w: the archive names %.200q", runtime.ErrInvalid, name)
	}
	if err := to.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(&roomy{to: f, room: s.stillRoom}, content)
	return errors.Join(err, f.Close())
}

// decompress undoes gzip or zstd, and leaves anything else as it is.
func decompress(from io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(from, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
		}
		return r, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindowBytes))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
		}
		return r.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// tarFaults are errors of the file system that only a strange tar brings
// about, such as a file below a file.
var tarFaults = []error{
	unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.EEXIST, unix.ENOENT, unix.EINVAL, unix.EXDEV, unix.EMLINK, unix.ENOTEMPTY,
}

// badTar tells a damaged or hostile stream, which the request is to blame for,
// from a failure of this machine or the end of the caller's patience.
func badTar(err error) error {
	var errno unix.Errno
	here := errors.As(err, &errno) && !slices.ContainsFunc(tarFaults, func(fault error) bool { return errors.Is(errno, fault) })
	if here || errors.Is(err, runtime.ErrInvalid) || errors.Is(err, runtime.ErrFull) || errors.Is(err, runtime.ErrUnready) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
}

// full turns the errors of a full disk into the one that callers act on.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", runtime.ErrFull, err)
	}
	return err
}

// capped fails after a number of bytes, or when its context ends: what a few
// bytes unpack to has no natural end.
type capped struct {
	ctx  context.Context
	from io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("%w: it unpacks to more than an image may hold", runtime.ErrInvalid)
	}
	return n, err
}

// hasher remembers the digest of what was read through it, and its length.
type hasher struct {
	from  io.Reader
	sum   hash.Hash
	bytes int64
}

func newHasher(from io.Reader) *hasher { return &hasher{from: from, sum: sha256.New()} }

func (h *hasher) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	h.sum.Write(p[:n])
	h.bytes += int64(n)
	return n, err
}

func (h *hasher) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.sum.Sum(nil))}
}

// summer remembers the digest of what was written through it, and its length.
type summer struct {
	to    io.Writer
	sum   hash.Hash
	bytes int64
}

func newSummer(to io.Writer) *summer { return &summer{to: to, sum: sha256.New()} }

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	s.sum.Write(p[:n])
	s.bytes += int64(n)
	return n, err
}

func (s *summer) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.sum.Sum(nil))}
}
