package workspace

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxUnpackBytes bounds what is in an archive altogether.
	MaxUnpackBytes = 64 << 30
	// MaxUnpackRatio bounds how many times its own size an archive becomes, beyond
	// unpackFree.
	MaxUnpackRatio = 200
	unpackFree     = 16 << 20
	// MaxSkipsTold bounds how many of the entries that were passed over are told.
	MaxSkipsTold = 100
	// maxTarTail bounds what is read after a tar's end, to where its checksum is.
	maxTarTail = 1 << 20
	// maxZipDirectory bounds the list of files in a zip, which is read at once.
	maxZipDirectory = 32 << 20
)

// Unpacked is what came of an archive.
type Unpacked struct {
	Files       int    `json:"files"` // and links
	Directories int    `json:"directories"`
	Bytes       int64  `json:"bytes"`
	Skipped     int    `json:"skipped"` // entries that were passed over
	Skips       []Skip `json:"skips"`   // the first of them
}

// Skip is an entry that was passed over, and why.
type Skip struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// unpacker lays out one archive in a tree that nobody else writes to.
type unpacker struct {
	ctx     context.Context
	tree    *FS
	into    Unpacked
	entries int
	taken   func() int64 // bytes of the archive, so far
	made    map[string]bool
	buf     []byte
}

// unreadable says that it is the archive which is wrong.
func unreadable(err error) error {
	if err == nil || errors.Is(err, runtime.ErrInvalid) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: the archive cannot be read: %w", runtime.ErrInvalid, err)
}

// tar unpacks a tar.
func (u *unpacker) tar(from io.Reader) error {
	t := tar.NewReader(from)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e := member{name: h.Name, mode: h.FileInfo().Mode(), modified: h.ModTime, target: h.Linkname, hard: h.Typeflag == tar.TypeLink,
			open: func() (io.ReadCloser, error) { return io.NopCloser(t), nil }}
		if err := u.add(e); err != nil {
			return err
		}
	}
}

// gzip unpacks a tar that is compressed, and checks that all of it came.
func (u *unpacker) gzip(from io.Reader) error {
	z, err := gzip.NewReader(from)
	if err != nil {
		return unreadable(err)
	}
	if err := u.tar(z); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, z, maxTarTail); err != io.EOF {
		return unreadable(err)
	}
	return nil
}

// zip unpacks a zip, which is read from its end.
func (u *unpacker) zip(from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	listing := &limitedAt{from: from, left: maxZipDirectory}
	z, err := zip.NewReader(listing, info.Size())
	if err != nil {
		return unreadable(err)
	}
	listing.left = -1
	for _, f := range z.File {
		e := member{name: f.Name, mode: f.Mode(), modified: f.Modified, open: f.Open}
		if f.Flags&1 != 0 {
			e.refuse = "it is encrypted"
		}
		if e.mode&fs.ModeSymlink != 0 && e.refuse == "" {
			if e.target, err = readLink(f); err != nil {
				return unreadable(err)
			}
		}
		if err := u.add(e); err != nil {
			return err
		}
	}
	return nil
}

func readLink(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, MaxPathBytes+1))
	return string(text), err
}

// limitedAt gives at most a number of bytes altogether; less than none is no
// limit.
type limitedAt struct {
	from io.ReaderAt
	left int64
}

func (l *limitedAt) ReadAt(b []byte, at int64) (int, error) {
	n, err := l.from.ReadAt(b, at)
	if l.left >= 0 {
		if l.left -= int64(n); l.left < 0 {
			return 0, fmt.Errorf("%w: the archive's list of files is over %d bytes", runtime.ErrInvalid, maxZipDirectory)
		}
	}
	return n, err
}

// member is one entry of an archive, of any format.
type member struct {
	name     string
	mode     fs.FileMode
	modified time.Time
	target   string // of a link
	hard     bool
	refuse   string // why it is passed over; "" to see
	open     func() (io.ReadCloser, error)
}

// add lays out one entry, or passes it over.
func (u *unpacker) add(m member) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.entries++; u.entries > MaxArchiveEntries {
		return fmt.Errorf("%w: the archive has more than %d entries", runtime.ErrInvalid, MaxArchiveEntries)
	}
	clean, why := entryName(m.name)
	if why == "" {
		why = m.refuse
	}
	if why == "" && clean == "." {
		if m.mode.IsDir() {
			return nil
		}
		why = "it has no name"
	}
	if why == "" {
		why = u.parents(path.Dir(clean))
	}
	var err error
	if why == "" {
		why, err = u.lay(clean, m)
	}
	if why != "" {
		u.skip(m.name, why)
	}
	return err
}

func (u *unpacker) skip(name, why string) {
	u.into.Skipped++
	if len(u.into.Skips) < MaxSkipsTold {
		u.into.Skips = append(u.into.Skips, Skip{strings.ToValidUTF8(name[:min(len(name), MaxNameBytes)], "?"), why})
	}
}

// entryName is where an entry goes, or why it goes nowhere.
func entryName(name string) (clean, why string) {
	clean, err := Clean(strings.TrimLeft(name, "/"))
	if err != nil {
		return "", strings.TrimPrefix(err.Error(), runtime.ErrInvalid.Error()+": ")
	}
	for part := range strings.SplitSeq(clean, "/") {
		if strings.HasPrefix(part, partPrefix) {
			return "", "its name is reserved"
		}
	}
	return clean, ""
}

// parents makes the directories above an entry, each of which is one, and no
// link to one: so a link is where its name says.
func (u *unpacker) parents(dir string) (why string) {
	if dir == "." || u.made[dir] {
		return ""
	}
	if why := u.parents(path.Dir(dir)); why != "" {
		return why
	}
	err := u.tree.makeOne(dir)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := u.tree.root.Lstat(dir)
		if statErr == nil && !info.IsDir() {
			return "what is above it is no directory"
		}
		err = statErr
	}
	if err != nil {
		return plain("make", dir, err).Error()
	}
	u.made[dir] = true
	u.into.Directories++
	return ""
}

// lay puts one entry in its place in the tree.
func (u *unpacker) lay(clean string, m member) (why string, err error) {
	switch {
	case m.mode.IsDir():
		if why = u.parents(clean); why == "" {
			err = u.tree.root.Chmod(clean, m.mode.Perm()|0o700)
		}
		return why, err
	case m.hard:
		return u.link(clean, m.target)
	case m.mode&fs.ModeSymlink != 0:
		if why := escape(clean, m.target); why != "" {
			return why, nil
		}
		return u.again(clean, func() error { return u.tree.root.Symlink(m.target, clean) })
	case m.mode.IsRegular():
		return u.file(clean, m)
	}
	return "it is neither a file, a directory nor a link", nil
}

// again makes a name, in the place of what an entry before made of it.
func (u *unpacker) again(clean string, makeIt func() error) (why string, err error) {
	err = makeIt()
	if errors.Is(err, fs.ErrExist) {
		if u.made[clean] {
			return "a directory has its name", nil
		}
		if err = u.tree.root.Remove(clean); err == nil {
			u.into.Files--
			err = makeIt()
		}
	}
	if err == nil {
		u.into.Files++
		err = u.tree.root.Lchown(clean, u.tree.uid, u.tree.gid)
	}
	return "", err
}

func (u *unpacker) link(clean, target string) (why string, err error) {
	old, why := entryName(target)
	if why != "" {
		return "the file it links to: " + why, nil
	}
	info, err := u.tree.root.Lstat(old)
	if err != nil || !info.Mode().IsRegular() || old == clean {
		return "the file it links to did not come before it", nil
	}
	return u.again(clean, func() error { return u.tree.root.Link(old, clean) })
}

// escape says why a link is refused. Up first and then down, it leads where its
// letters say, as long as every other link does.
func escape(clean, target string) (why string) {
	const out = "it leads out of the archive"
	if target == "" || len(target) > MaxPathBytes || strings.ContainsRune(target, 0) {
		return "its target is no path"
	}
	if path.IsAbs(target) {
		return out
	}
	up, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if up++; down {
				return out
			}
		default:
			down = true
		}
	}
	if up > strings.Count(clean, "/") {
		return out
	}
	return ""
}

func (u *unpacker) file(clean string, m member) (why string, err error) {
	content, err := m.open()
	if err != nil {
		return "", unreadable(err)
	}
	defer content.Close()
	var f *os.File
	why, err = u.again(clean, func() (err error) {
		f, err = u.tree.root.OpenFile(clean, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if why != "" || err != nil {
		return why, err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, &metered{u: u, from: content}, u.buf)
	err = errors.Join(err, u.tree.own(f, m.mode.Perm()), f.Close())
	if err == nil && m.modified.After(time.Unix(0, 0)) {
		err = u.tree.root.Chtimes(clean, m.modified, m.modified)
	}
	return "", err
}

// metered counts what comes out of an archive, and ends it at its bounds.
type metered struct {
	u    *unpacker
	from io.Reader
	read int64
}

func (m *metered) Read(b []byte) (int, error) {
	if err := m.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.from.Read(b)
	m.read += int64(n)
	m.u.into.Bytes += int64(n)
	switch all := m.u.into.Bytes; {
	case m.read > MaxFileBytes:
		return n, fmt.Errorf("%w: a file in the archive has more than %d bytes", runtime.ErrInvalid, int64(MaxFileBytes))
	case all > MaxUnpackBytes:
		return n, fmt.Errorf("%w: the archive holds more than %d bytes", runtime.ErrInvalid, int64(MaxUnpackBytes))
	case all > unpackFree && all/MaxUnpackRatio > m.u.taken():
		return n, fmt.Errorf("%w: the archive becomes more than %d times as large as it is", runtime.ErrInvalid, MaxUnpackRatio)
	}
	if err == io.EOF {
		return n, err
	}
	return n, unreadable(err)
}

// counted counts an archive's own bytes, and remembers why its sender failed.
type counted struct {
	from io.Reader
	n    int64
	err  error
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// unpack reads an archive of any format, told by how it begins.
func (w *FS) unpack(ctx context.Context, tree *FS, from io.Reader) (Unpacked, error) {
	sent := &counted{from: from}
	in := bufio.NewReaderSize(sent, copyBytes)
	u := &unpacker{ctx: ctx, tree: tree, taken: func() int64 { return sent.n }, made: map[string]bool{}, buf: make([]byte, copyBytes)}
	head, err := in.Peek(4)
	switch {
	case err != nil && len(head) == 0:
		err = fmt.Errorf("%w: the archive is empty", runtime.ErrInvalid)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		err = u.gzip(in)
	case bytes.Equal(head, []byte("PK\x03\x04")), bytes.Equal(head, []byte("PK\x05\x06")):
		var kept *Draft
		if kept, err = w.Draft(ctx, in, MaxFileBytes); err == nil {
			err = errors.Join(u.zip(kept.f), kept.Close())
		}
	default:
		err = u.tar(in)
	}
	if sent.err != nil {
		err = sent.err
	}
	return u.into, err
}
