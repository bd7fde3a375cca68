package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// maxMatches bounds what the patterns of one copy name together.
const maxMatches = 10_000

// Files says what Copy copies.
type Files struct {
	// Sources are absolute, may hold patterns as path.Match has them, and may go
	// through links, which stay inside. Of a directory its content is copied.
	Sources []string
	// Dest is absolute. With more than one source, when it ends in / or when it
	// is a directory, files keep their names in it; else it is what the one
	// source becomes. What is missing of it is made, for all to enter.
	Dest  string
	Owner *Owner // of what is copied or made; nil leaves each its own, and is root
	Mode  uint32 // permission bits; 0 leaves each its own
}

// Owner is a user and a group, inside.
type Owner struct{ UID, GID int }

// Copy copies files from one root into another of the same shifted ids. Both
// may be hostile; nothing may run in either. What is there already is replaced,
// but for directories, which are added to. A source that is not there is
// runtime.ErrInvalid.
func Copy(ctx context.Context, from, to string, ids idmap.Range, f Files) error {
	u, err := newUnpacker(to, defaultLimits)
	if err != nil {
		return err
	}
	defer u.close()
	u.shift = ids.Host
	source, err := newUnpacker(from, defaultLimits) // opens names, and unpacks nothing
	if err != nil {
		return err
	}
	defer source.close()
	found, err := source.find(ctx, f.Sources)
	if err != nil {
		return err
	}
	into := u.isDir(f.Dest) || len(found) > 1 || strings.HasSuffix(f.Dest, "/")
	if f.Owner != nil {
		u.above = *f.Owner
	}
	if err := layable(f.Dest); err != nil {
		return fmt.Errorf("%.200q: %w", f.Dest, err)
	}
	if slices.ContainsFunc(found, source.isDir) { // there may be nothing in it that brings the destination about
		dest, err := u.directory(path.Clean("./" + f.Dest))
		if err != nil {
			return full(badTar(fmt.Errorf("%.200q: %w", f.Dest, err)))
		}
		unix.Close(dest)
	}
	return full(piped(func(to io.Writer) error { return source.send(ctx, to, ids, f, found, into) }, u.layer))
}

// isDir reports whether a path leads to a directory.
func (u *unpacker) isDir(name string) bool {
	fd, err := u.open(path.Clean("./" + name))
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

// find lists what the sources name, in their order.
func (u *unpacker) find(ctx context.Context, sources []string) (found []string, err error) {
	for _, s := range sources {
		matches, err := u.match(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%.200q: %w", s, err)
		}
		found = append(found, matches...)
	}
	return found, nil
}

// send writes what was found as a tar, by the names it is to have.
func (u *unpacker) send(ctx context.Context, to io.Writer, ids idmap.Range, f Files, found []string, into bool) error {
	p := packer{ctx: ctx, out: tar.NewWriter(to), ids: ids, links: map[inode]string{}, room: u.names, owner: f.Owner, mode: f.Mode}
	for _, name := range found {
		if err := u.sendOne(&p, name, path.Clean("./"+f.Dest), into); err != nil {
			return fmt.Errorf("%.200q: %w", name, err)
		}
	}
	return p.out.Close()
}

func (u *unpacker) sendOne(p *packer, name, dest string, into bool) error {
	fd, err := unix.Openat2(u.root, path.Clean("./"+name), &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return notThere(err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p.children(file, dest, 0)
	case unix.S_IFREG:
		if into {
			dest = path.Join(dest, path.Base(name))
		}
		if err := layable(dest); err != nil {
			return err
		}
		return p.content(file, dest, &st)
	}
	return fmt.Errorf("%w: it is no file and no directory", runtime.ErrInvalid)
}

// match lists the paths that a pattern names, in their order.
func (u *unpacker) match(ctx context.Context, pattern string) ([]string, error) {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+pattern), "/"), "/") {
		if part == "" {
			continue
		}
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, `*?[\`) {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, err := u.namesIn(ctx, dir)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				if ok, err := path.Match(part, n); err != nil {
					return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
				} else if ok {
					next = append(next, path.Join(dir, n))
				}
			}
			if len(next) > maxMatches {
				break // said below; links in a tree can multiply what is listed
			}
		}
		if found = next; len(found) == 0 {
			return nil, fmt.Errorf("%w: nothing has such a name", runtime.ErrInvalid)
		}
		if len(found) > maxMatches {
			return nil, fmt.Errorf("%w: the pattern names more than %d files", runtime.ErrInvalid, maxMatches)
		}
	}
	return found, nil
}

// namesIn lists a directory; none where there is no directory.
func (u *unpacker) namesIn(ctx context.Context, dir string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := unix.Openat2(u.root, path.Clean("./"+dir), &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	room := u.names // let go with the list
	return room.list(ctx, f)
}

// notThere is an error of a path that leads nowhere, for who named it.
func notThere(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	return err
}
