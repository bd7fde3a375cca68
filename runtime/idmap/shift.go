package idmap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxDepth bounds how deep directories lie in what Shift walks: as deep as
	// a path can name. Each level is one open file.
	maxDepth = 2048
	// namesAtOnce is how many names of a directory are held in memory: of each
	// level down to maxDepth at once, so few.
	namesAtOnce = 64
	// maxLinks bounds how many files with several names are told apart. Beyond
	// it the size counts each name.
	maxLinks = 1 << 20
	// stubInode is what btrfs shows in a snapshot where a subvolume was nested:
	// an empty directory that keeps nothing.
	stubInode = 2
	// blockBytes is the unit of st_blocks.
	blockBytes = 512
)

// Shift gives what belongs to ids of one range in a directory, and below it, to
// the same ids of another range, and reports how many bytes of the disk it
// takes. Owners outside of the first range stay. Modes, links, times of
// content, extended attributes, ACLs and file capabilities stay as they are,
// with the ids in them shifted. Symbolic links are never followed. Nobody else
// may write there meanwhile. A Shift cut short may be made again.
func Shift(ctx context.Context, dir string, from, to Range) (int64, error) {
	if from.Size != to.Size || from != to && from.overlaps(to) {
		return 0, fmt.Errorf("%w: ids cannot shift from %d+%d to %d+%d", runtime.ErrInvalid, from.Host, from.Size, to.Host, to.Size)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("shift ids: %w", &os.PathError{Op: "open", Path: dir, Err: err})
	}
	s := shift{ctx: ctx, from: from, to: to, links: map[uint64]bool{}}
	if err := s.directory(os.NewFile(uintptr(fd), dir), 0); err != nil {
		return 0, fmt.Errorf("shift ids: %w", err)
	}
	return s.bytes, nil
}

type shift struct {
	ctx      context.Context
	from, to Range
	bytes    int64
	links    map[uint64]bool // inodes with several names that were seen
}

// id shifts one id.
func (s *shift) id(id uint32) uint32 {
	if at := int(id) - s.from.Host; at >= 0 && at < s.from.Size {
		return uint32(s.to.Host + at)
	}
	return id
}

// directory shifts a directory and what is below it, and closes it.
func (s *shift) directory(dir *os.File, depth int) error {
	defer dir.Close()
	if depth > maxDepth {
		return fmt.Errorf("%w: directories are nested deeper than %d", runtime.ErrInvalid, maxDepth)
	}
	if err := s.entry(int(dir.Fd())); err != nil {
		return fmt.Errorf("%.200q: %w", dir.Name(), err)
	}
	for {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		names, err := dir.Readdirnames(namesAtOnce)
		for _, name := range names {
			if err := s.below(dir, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// below shifts one name in a directory.
func (s *shift) below(dir *os.File, name string, depth int) error {
	parent := int(dir.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("%.200q: %w", name, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if st.Ino == stubInode {
			if err := replaceStub(parent, name); err != nil {
				return fmt.Errorf("%.200q: %w", name, err)
			}
		}
		fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%.200q: %w", name, err)
		}
		return s.directory(os.NewFile(uintptr(fd), name), depth+1)
	}
	// O_PATH opens no device, waits at no FIFO, and follows no link.
	fd, err := unix.Openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%.200q: %w", name, err)
	}
	defer unix.Close(fd)
	if err := s.entry(fd); err != nil {
		return fmt.Errorf("%.200q: %w", name, err)
	}
	return nil
}

// replaceStub puts a directory in the place of one that keeps nothing.
func replaceStub(parent int, name string) error {
	if err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != nil {
		return err
	}
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(parent, &st); err != nil {
		return err
	}
	return unix.Fchownat(parent, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
}

// entry shifts what an open file is, and counts it.
func (s *shift) entry(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	s.count(st)
	if s.from == s.to {
		return nil
	}
	// Through this name even what cannot be opened has attributes.
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	kind := st.Mode & unix.S_IFMT
	var held []attribute
	if kind != unix.S_IFLNK {
		var err error
		if held, err = attributes(path, s.id); err != nil {
			return err
		}
	}
	if uid, gid := s.id(st.Uid), s.id(st.Gid); uid != st.Uid || gid != st.Gid {
		if err := unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("change the owner: %w", err)
		}
		// A new owner takes the set-id bits and the capabilities of a file away.
		if kind != unix.S_IFLNK && kind != unix.S_IFDIR && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
			if err := unix.Chmod(path, st.Mode&0o7777); err != nil {
				return fmt.Errorf("restore the mode: %w", err)
			}
		}
	}
	for _, a := range held {
		if err := unix.Setxattr(path, a.name, a.value, 0); err != nil {
			return fmt.Errorf("restore %s: %w", a.name, err)
		}
	}
	return nil
}

func (s *shift) count(st unix.Stat_t) {
	if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if s.links[st.Ino] {
			return
		}
		if len(s.links) < maxLinks {
			s.links[st.Ino] = true
		}
	}
	s.bytes += st.Blocks * blockBytes
}
