package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	whiteout       = ".wh."         // before a name: lower layers' entry of it is gone
	opaqueWhiteout = ".wh..wh..opq" // all that lower layers have in the directory is gone
	// maxInsideID is the largest user or group that a computer has.
	maxInsideID = 65_535
	// maxTarNameBytes bounds names and link targets.
	maxTarNameBytes = 4095
	capabilityAttr  = "security.capability"
)

// unpacker lays the layers of an image over each other in one directory. The
// layers may be hostile. Every name is resolved by the kernel as if the
// directory were the root of all (RESOLVE_IN_ROOT), so that links lead where
// they would lead inside, and nowhere else.
type unpacker struct {
	root    int // handle of the directory
	limits      // what there may still be
	skipped int
	// shift is added to owners, for a root of shifted ids.
	shift int
	// above owns the directories that are made because they are missing above
	// something; the zero value is root.
	above Owner
	// room is asked before each entry and now and then in a file; nil in a root
	// that has a quota.
	room func() error
	// alone is set for a layer that is unpacked by itself, for an overlay to lay
	// over others: what it hides is then marked as overlays do, not removed.
	alone bool
	// mine holds what the current layer has put down, and what is above that:
	// a layer's whiteouts are about the layers below it.
	mine map[string]bool
	// dirs are the directories that the current layer tells of, and their times:
	// what is put into one changes it.
	dirs map[string]time.Time
}

func newUnpacker(dir string, l limits) (*unpacker, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the image's directory: %w", err)
	}
	return &unpacker{root: fd, limits: l}, nil
}

// newUnpacker is one for the store's own disk.
func (s *Store) newUnpacker(dir string, l limits) (*unpacker, error) {
	u, err := newUnpacker(dir, l)
	if err == nil {
		u.room = s.stillRoom
	}
	return u, err
}

func (u *unpacker) close() { unix.Close(u.root) }

// layer unpacks one tar over what is there.
func (u *unpacker) layer(from io.Reader) error {
	u.mine, u.dirs = map[string]bool{}, map[string]time.Time{}
	entries := tar.NewReader(from)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return u.setTimes()
		}
		if err != nil {
			return badTar(err)
		}
		if u.entries--; u.entries < 0 {
			return fmt.Errorf("%w: it has more entries than an image may", runtime.ErrInvalid)
		}
		if err := u.entry(header, entries); err != nil {
			return badTar(fmt.Errorf("%.200q: %w", header.Name, err))
		}
	}
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := insideName(h.Name)
	if err != nil {
		return err
	}
	if u.room != nil {
		if err := u.room(); err != nil {
			return err
		}
	}
	if name == "." {
		u.dirs[name] = h.ModTime
		return u.describe(u.root, ".", h)
	}
	parent, err := u.directory(path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	base := path.Base(name)
	switch {
	case base == opaqueWhiteout && u.alone:
		return setOpaque(parent, ".")
	case base == opaqueWhiteout:
		return u.clear(parent, path.Dir(name))
	case strings.HasPrefix(base, whiteout):
		return u.hide(parent, path.Dir(name), strings.TrimPrefix(base, whiteout))
	}
	if err := u.claim(name, h); err != nil {
		return err
	}
	return u.put(parent, base, h, content)
}

// hide removes what lower layers have under a name, or marks it as hidden.
func (u *unpacker) hide(parent int, dir, base string) error {
	if base == "" || base == "." || base == ".." || u.mine[path.Join(dir, base)] {
		return nil
	}
	if !u.alone {
		return removeAt(parent, base)
	}
	if err := removeAt(parent, base); err != nil {
		return err
	}
	return unix.Mknodat(parent, base, unix.S_IFCHR, 0)
}

// setOpaque marks a directory so that an overlay shows nothing of the layers
// below in it.
func setOpaque(parent int, base string) error {
	return unix.Setxattr(fdPath(parent, base), opaqueAttr, []byte("y"), 0)
}

// isHiddenAt reports whether a name is marked as hidden.
func isHiddenAt(parent int, base string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// claim notes that this layer has put a name down. What is above it costs little,
// but links make ever new names of the same directories.
func (u *unpacker) claim(name string, h *tar.Header) error {
	bytes := len(name) // those above are the beginning of the same text
	for above := name; above != "." && !u.mine[above]; above = path.Dir(above) {
		if err := u.names.hold(bytes); err != nil {
			return err
		}
		u.mine[above], bytes = true, 0
	}
	if h.Typeflag != tar.TypeDir {
		return nil
	}
	if _, known := u.dirs[name]; !known {
		if err := u.names.hold(0); err != nil {
			return err
		}
	}
	u.dirs[name] = h.ModTime
	return nil
}

func (u *unpacker) put(parent int, base string, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return u.dir(parent, base, h)
	}
	if h.Typeflag == tar.TypeLink {
		return u.link(parent, base, h)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse && h.Typeflag != tar.TypeSymlink {
		u.skipped++ // a computer has the devices it is given
		return nil
	}
	if err := removeAt(parent, base); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeSymlink {
		if len(h.Linkname) > maxTarNameBytes {
			return fmt.Errorf("%w: the link's target is longer than %d bytes", runtime.ErrInvalid, maxTarNameBytes)
		}
		if err := unix.Symlinkat(h.Linkname, parent, base); err != nil {
			return err
		}
		if err := unix.Fchownat(parent, base, u.owner(h.Uid), u.owner(h.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		return setTime(parent, base, h.ModTime)
	}
	if err := u.file(parent, base, h, content); err != nil {
		return err
	}
	return u.describe(parent, base, h)
}

func (u *unpacker) dir(parent int, base string, h *tar.Header) error {
	if !isDirAt(parent, base) {
		hidden := u.alone && isHiddenAt(parent, base)
		if err := removeAt(parent, base); err != nil {
			return err
		}
		if err := unix.Mkdirat(parent, base, 0o755); err != nil {
			return err
		}
		if hidden {
			if err := setOpaque(parent, base); err != nil {
				return err
			}
		}
	}
	return u.describe(parent, base, h)
}

func (u *unpacker) file(parent int, base string, h *tar.Header, content io.Reader) error {
	// By what it says it holds: a sparse file has that size with few bytes.
	if u.bytes -= h.Size; h.Size < 0 || u.bytes < 0 {
		return fmt.Errorf("%w: with it the files hold more bytes than an image may", runtime.ErrInvalid)
	}
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	_, err = io.Copy(&roomy{to: f, room: u.room}, content)
	return errors.Join(err, f.Close())
}

// describe gives a file or directory that we have just made, or found to be a
// directory, its owner, mode, time and capabilities. Of its other attributes
// none is taken over: overlays act on some.
func (u *unpacker) describe(parent int, base string, h *tar.Header) error {
	if err := unix.Fchownat(parent, base, u.owner(h.Uid), u.owner(h.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := unix.Fchmodat(parent, base, uint32(h.Mode)&0o7777, 0); err != nil {
		return err
	}
	if caps := h.PAXRecords["SCHILY.xattr."+capabilityAttr]; caps != "" && h.Typeflag == tar.TypeReg {
		if err := unix.Lsetxattr(fdPath(parent, base), capabilityAttr, []byte(caps), 0); err != nil {
			return err
		}
	}
	return setTime(parent, base, h.ModTime)
}

// setTimes gives directories the times they were told of.
func (u *unpacker) setTimes() error {
	for name, at := range u.dirs {
		fd, err := u.open(name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue // the layer has replaced it since
		}
		if err != nil {
			return err
		}
		err = setTime(fd, ".", at)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

func setTime(parent int, base string, at time.Time) error {
	seconds := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(parent, base, []unix.Timespec{seconds, seconds}, unix.AT_SYMLINK_NOFOLLOW)
}

// link gives a file that is there another name.
func (u *unpacker) link(parent int, base string, h *tar.Header) error {
	target, err := insideName(h.Linkname)
	if err != nil {
		return err
	}
	from, err := u.open(path.Dir(target))
	if err != nil {
		return fmt.Errorf("%w: a link to %.200q: %w", runtime.ErrInvalid, h.Linkname, err)
	}
	defer unix.Close(from)
	var a, b unix.Stat_t
	if err := unix.Fstatat(from, path.Base(target), &a, unix.AT_SYMLINK_NOFOLLOW); err != nil || a.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("%w: a link to %.200q, which is no file of the image", runtime.ErrInvalid, h.Linkname)
	}
	if unix.Fstatat(parent, base, &b, unix.AT_SYMLINK_NOFOLLOW) == nil && a.Ino == b.Ino {
		return nil // it has that name already, and must not lose it
	}
	if err := removeAt(parent, base); err != nil {
		return err
	}
	return unix.Linkat(from, path.Base(target), parent, base, 0)
}

// clear removes from a directory what this layer has not put there.
func (u *unpacker) clear(dir int, name string) error {
	entries, err := os.ReadDir(fdPath(dir, "."))
	if err != nil {
		return err
	}
	for _, e := range entries {
		inside := path.Join(name, e.Name())
		if !u.mine[inside] {
			if err := removeAt(dir, e.Name()); err != nil {
				return err
			}
			continue
		}
		if !e.IsDir() {
			continue
		}
		below, err := unix.Openat(dir, e.Name(), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = u.clear(below, inside)
		unix.Close(below)
		if err != nil {
			return err
		}
	}
	return nil
}

// directory opens a directory of the image and makes what of it is missing,
// as some layers name a file before its directory.
func (u *unpacker) directory(name string) (int, error) {
	fd, err := u.open(name)
	if !errors.Is(err, unix.ENOENT) || name == "." {
		return fd, err
	}
	parent, err := u.directory(path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if u.entries--; u.entries < 0 {
		return -1, fmt.Errorf("%w: it has more entries than an image may", runtime.ErrInvalid)
	}
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); err != nil {
		return -1, err
	}
	if err := unix.Fchmodat(parent, path.Base(name), 0o755, 0); err != nil {
		return -1, err
	}
	if err := unix.Fchownat(parent, path.Base(name), u.owner(u.above.UID), u.owner(u.above.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, err
	}
	return u.open(name)
}

func (u *unpacker) open(name string) (int, error) {
	return unix.Openat2(u.root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// insideName turns a name in a tar into one below the image's root.
func insideName(name string) (string, error) {
	if len(name) > maxTarNameBytes || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: the name is longer than %d bytes or holds a NUL", runtime.ErrInvalid, maxTarNameBytes)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%w: the name %.200q holds \"..\"", runtime.ErrInvalid, name)
		}
	}
	return path.Clean("./" + name), nil
}

func (u *unpacker) owner(id int) int { return insideID(id) + u.shift }

// insideID keeps ids that a computer has. Others would belong to nobody.
func insideID(id int) int {
	if id < 0 || id > maxInsideID {
		return nobodyID
	}
	return id
}

func isDirAt(parent int, base string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// removeAt removes a name with all that is below it, following nothing.
func removeAt(parent int, base string) error {
	err := unix.Unlinkat(parent, base, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return os.RemoveAll(fdPath(parent, base))
}

// fdPath names an entry of an open directory for calls that take only paths.
// base is a single name.
func fdPath(dir int, base string) string {
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir), base)
}
