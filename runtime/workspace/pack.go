package workspace

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/bothy-computer/bothy/runtime"
)

// MaxArchiveEntries bounds what is in an archive, both ways.
const MaxArchiveEntries = 1_000_000

// Format is how an archive is written.
type Format string

const (
	Tar   Format = "tar"
	TarGz Format = "tar.gz"
	Zip   Format = "zip"
)

// ParseFormat reads a format's name; "" is TarGz. Errors are runtime.ErrInvalid.
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case Tar, TarGz, Zip:
		return f, nil
	case "tgz", "":
		return TarGz, nil
	}
	return "", fmt.Errorf("%w: an archive is tar, tar.gz or zip, not %.50q", runtime.ErrInvalid, text)
}

// Pack writes a directory, or one file, as an archive. Entries are named from
// the directory on, which is itself the first of them, as "./"; a file is the
// only entry, by its own name. Links are kept as they are; pipes, sockets and
// devices are left out. After an error the archive is not whole.
func (w *FS) Pack(ctx context.Context, to io.Writer, name string, format Format) error {
	clean, err := Clean(name)
	if err != nil {
		return err
	}
	top, err := w.Stat(clean)
	if err != nil {
		return err
	}
	if top.Kind != Directory && top.Kind != File {
		return plain("pack", clean, fmt.Errorf("%w: it is neither a file nor a directory", runtime.ErrInvalid))
	}
	p := &packer{ctx: ctx, w: w, out: newArchive(to, format), buf: make([]byte, copyBytes)}
	if top.Kind == File {
		err = p.add(top, path.Base(clean))
	} else {
		err = p.directory(top)
	}
	if err = errors.Join(err, p.out.Close()); err != nil {
		return plain("pack", clean, err)
	}
	return nil
}

// PackNothing writes the archive of an empty directory.
func PackNothing(to io.Writer, format Format) error {
	out := newArchive(to, format)
	return errors.Join(out.add(Entry{Path: ".", Kind: Directory, Mode: directoryMode}, "./", nil), out.Close())
}

type packer struct {
	ctx   context.Context
	w     *FS
	out   archive
	count int
	buf   []byte
}

func (p *packer) directory(top Entry) error {
	if err := p.out.add(top, "./", nil); err != nil {
		return err
	}
	return p.w.walk(p.ctx, top.Path, 0, func(e Entry) error {
		if p.count++; p.count > MaxArchiveEntries {
			return fmt.Errorf("%w: there are more than %d files", runtime.ErrInvalid, MaxArchiveEntries)
		}
		name := e.Path
		if top.Path != "." {
			name = strings.TrimPrefix(name, top.Path+"/")
		}
		return p.add(e, name)
	})
}

// add puts an entry into the archive, as it is when it is opened.
func (p *packer) add(e Entry, name string) error {
	switch e.Kind {
	case Directory:
		return p.out.add(e, name+"/", nil)
	case Symlink:
		return p.out.add(e, name, nil)
	case File:
	default:
		return nil
	}
	f, now, err := p.w.openFile(e.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, runtime.ErrInvalid) {
		return nil // it is gone, or something else by now
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content := &bounded{ctx: p.ctx, from: f, left: now.SizeBytes}
	return p.out.add(now, name, func(to io.Writer) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{to}, content, p.buf)
		if err == nil && n < now.SizeBytes {
			err = fmt.Errorf("%s became shorter while it was read", e.Path)
		}
		return err
	})
}

// archive is one of the formats. content writes exactly an entry's bytes; nil is
// for what has none.
type archive interface {
	add(e Entry, name string, content func(io.Writer) error) error
	Close() error
}

func newArchive(to io.Writer, format Format) archive {
	switch format {
	case Zip:
		z := zip.NewWriter(to)
		z.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestSpeed) })
		return zipArchive{z}
	case TarGz:
		z, _ := gzip.NewWriterLevel(to, gzip.BestSpeed) // fails for an unknown level alone
		return tarArchive{tar.NewWriter(z), z}
	}
	return tarArchive{tar.NewWriter(to), nil}
}

type tarArchive struct {
	*tar.Writer
	zipped io.Closer // nil when it is not
}

func (t tarArchive) add(e Entry, name string, content func(io.Writer) error) error {
	h := &tar.Header{Name: name, Mode: int64(e.Mode), ModTime: e.Modified.Truncate(time.Second), Format: tar.FormatPAX}
	switch e.Kind {
	case Directory:
		h.Typeflag = tar.TypeDir
	case Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	default:
		h.Typeflag, h.Size = tar.TypeReg, e.SizeBytes
	}
	if err := t.WriteHeader(h); err != nil || content == nil {
		return err
	}
	return content(t)
}

func (t tarArchive) Close() error {
	err := t.Writer.Close()
	if t.zipped != nil {
		err = errors.Join(err, t.zipped.Close())
	}
	return err
}

type zipArchive struct{ *zip.Writer }

func (z zipArchive) add(e Entry, name string, content func(io.Writer) error) error {
	h := &zip.FileHeader{Name: name, Modified: e.Modified, Method: zip.Deflate}
	mode := e.Mode
	switch e.Kind {
	case Directory:
		mode, h.Method = mode|fs.ModeDir, zip.Store
	case Symlink:
		mode = mode | fs.ModeSymlink
		content = func(to io.Writer) error { _, err := io.WriteString(to, e.Target); return err }
	}
	h.SetMode(mode)
	to, err := z.CreateHeader(h)
	if err != nil || content == nil {
		return err
	}
	return content(to)
}
