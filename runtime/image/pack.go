package image

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

const (
	// maxPackDepth bounds how deep the directories of a layer lie: each is an
	// open file while it is packed.
	maxPackDepth = 512
	opaqueAttr   = "trusted.overlay.opaque"
	maxAttrBytes = 4 << 10
)

// Tree is a directory that becomes part of a layer.
type Tree struct {
	Path string // on this machine
	// At is where it belongs, relative to the image's root. The first of a
	// layer's trees is "."; another one lies in a directory of those before it,
	// and replaces what they have there.
	At string
	// Skip are names, relative to the image's root, that are left out with all
	// that is below them.
	Skip []string
}

// pack writes trees as one tar in the format of OCI layers, with whiteouts for
// what an overlay's upper directory hides. Owners are those of ids as they are
// inside; others become nobody's. The same trees give the same bytes, and so
// does what those unpack to: entries come by name, also where one tree lies in
// another, and hold no time but that of content. What cannot be in a layer,
// sockets, devices and names that mean a whiteout, is left out.
func pack(ctx context.Context, to io.Writer, trees []Tree, ids idmap.Range, room nameRoom) error {
	p := packer{ctx: ctx, out: tar.NewWriter(to), ids: ids, room: room, links: map[inode]string{}, within: map[string]Tree{}}
	for _, t := range trees {
		p.within[path.Clean(t.At)] = t
		p.skip = append(p.skip, t.Skip...)
	}
	if _, ok := p.within["."]; !ok {
		return fmt.Errorf("pack a layer: %w: it has no tree for the root", runtime.ErrInvalid)
	}
	if err := p.tree(".", 0); err != nil {
		return fmt.Errorf("pack a layer: %w", err)
	}
	for name := range p.within {
		return fmt.Errorf("pack a layer: %w: the tree at %.200q lies in no other", runtime.ErrInvalid, name)
	}
	return p.out.Close()
}

type inode struct{ dev, ino uint64 }

type packer struct {
	ctx   context.Context
	out   *tar.Writer
	ids   idmap.Range
	skip  []string
	room  nameRoom         // for names of links, and of the directories it is in
	links map[inode]string // files with several names, by their first
	owner *Owner           // of all; nil leaves each its own
	mode  uint32           // permission bits of all; 0 leaves each its own
	// within are the trees that were not met yet, by where they belong.
	within map[string]Tree
}

// tree writes the tree that belongs at a name.
func (p *packer) tree(name string, depth int) error {
	t := p.within[name]
	delete(p.within, name)
	fd, err := unix.Open(t.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return p.directory(os.NewFile(uintptr(fd), t.Path), name, depth)
}

// names lists what a directory has, with the trees that belong in it, in order.
func (p *packer) names(dir *os.File, name string) ([]string, error) {
	all, err := p.room.list(p.ctx, dir)
	if err != nil {
		return nil, err
	}
	for at := range p.within {
		if at == "." || path.Dir(at) != name {
			continue
		}
		if i, there := slices.BinarySearch(all, path.Base(at)); !there {
			if err := p.room.hold(len(path.Base(at))); err != nil {
				return nil, err
			}
			all = slices.Insert(all, i, path.Base(at))
		}
	}
	return all, nil
}

// directory writes a directory and all below it, and closes it.
func (p *packer) directory(dir *os.File, name string, depth int) error {
	defer dir.Close()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if depth > maxPackDepth {
		return fmt.Errorf("%w: directories lie more than %d deep", runtime.ErrInvalid, maxPackDepth)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if err := p.out.WriteHeader(p.header(tar.TypeDir, name+"/", &st)); err != nil {
		return err
	}
	mark := make([]byte, 1)
	if n, err := unix.Fgetxattr(int(dir.Fd()), opaqueAttr, mark); err == nil && n == 1 && mark[0] == 'y' {
		if err := p.hide(path.Join(name, opaqueWhiteout)); err != nil {
			return err
		}
	}
	return p.children(dir, name, depth)
}

// children writes what is in a directory.
func (p *packer) children(dir *os.File, name string, depth int) error {
	entries, err := p.names(dir, name)
	if err != nil {
		return err
	}
	defer p.room.release(entries)
	for _, e := range entries {
		inside := path.Join(name, e)
		if slices.Contains(p.skip, inside) || strings.HasPrefix(e, whiteout) {
			continue
		}
		if _, ok := p.within[inside]; ok {
			err = p.tree(inside, depth+1)
		} else {
			err = p.entry(dir, e, inside, depth)
		}
		if err != nil {
			return fmt.Errorf("%.200q: %w", inside, err)
		}
	}
	return nil
}

func (p *packer) entry(dir *os.File, base, name string, depth int) error {
	fd := int(dir.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		below, err := unix.Openat(fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return p.directory(os.NewFile(uintptr(below), base), name, depth+1)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, base, target)
		if err != nil {
			return err
		}
		h := p.header(tar.TypeSymlink, name, &st)
		h.Linkname = string(target[:n])
		return p.out.WriteHeader(h)
	case unix.S_IFREG:
		return p.file(fd, base, name, &st)
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return p.hide(path.Join(path.Dir(name), whiteout+base))
		}
	}
	return nil
}

func (p *packer) file(dir int, base, name string, st *unix.Stat_t) error {
	if st.Nlink > 1 {
		node := inode{st.Dev, st.Ino}
		if first, seen := p.links[node]; seen {
			h := p.header(tar.TypeLink, name, st)
			h.Linkname = first
			return p.out.WriteHeader(h)
		}
		if err := p.room.hold(len(name)); err != nil {
			return err
		}
		p.links[node] = name
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	return p.content(f, name, st)
}

// content writes an open file.
func (p *packer) content(f *os.File, name string, st *unix.Stat_t) error {
	h := p.header(tar.TypeReg, name, st)
	h.Size = st.Size
	if caps := p.capabilities(int(f.Fd())); caps != "" {
		h.PAXRecords = map[string]string{"SCHILY.xattr." + capabilityAttr: caps}
	}
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.CopyN(p.out, &interrupted{p.ctx, f}, st.Size)
	return err
}

// interrupted is a reader that ends with its context.
type interrupted struct {
	ctx  context.Context
	from io.Reader
}

func (i *interrupted) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.from.Read(b)
}

func (p *packer) header(kind byte, name string, st *unix.Stat_t) *tar.Header {
	h := &tar.Header{
		Typeflag: kind, Name: name, Mode: int64(st.Mode & 0o7777), Uid: p.inside(st.Uid), Gid: p.inside(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0), Format: tar.FormatPAX,
	}
	if p.owner != nil {
		h.Uid, h.Gid = p.owner.UID, p.owner.GID
	}
	if p.mode != 0 {
		h.Mode = int64(p.mode)
	}
	return h
}

// inside is an owner as the computer sees it.
func (p *packer) inside(id uint32) int {
	n := int(id) - p.ids.Host
	if n < 0 || n >= p.ids.Size {
		return nobodyID
	}
	return insideID(n)
}

func (p *packer) hide(name string) error {
	return p.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Format: tar.FormatPAX, ModTime: time.Unix(0, 0)})
}

// Revisions of a file's capabilities, from linux/capability.h: the third names
// the user that is root in the namespace they were given in.
const (
	capRevisionMask  = 0xff000000
	capRevision2     = 0x02000000
	capRevision3     = 0x03000000
	capRevision2Size = 20
)

// capabilities are those of an open file, as an image holds them: for no
// namespace in particular.
func (p *packer) capabilities(fd int) string {
	raw := make([]byte, maxAttrBytes)
	n, err := unix.Fgetxattr(fd, capabilityAttr, raw)
	if err != nil || n < capRevision2Size {
		return "" // none, or a revision that no program writes any more
	}
	magic := binary.LittleEndian.Uint32(raw)
	if magic&capRevisionMask == capRevision3 {
		binary.LittleEndian.PutUint32(raw, magic&^capRevisionMask|capRevision2)
	}
	return string(raw[:capRevision2Size])
}

// unshifted are ids that are the same inside as on this machine.
var unshifted = idmap.Range{Host: 0, Size: maxInsideID + 1}
