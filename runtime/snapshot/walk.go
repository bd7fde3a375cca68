package snapshot

import (
	"container/heap"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// nameRoom bounds the names that a walk holds, of all levels together.
type nameRoom struct{ held int }

// eachName visits the names in a directory in their order. It holds a part of
// them at a time, and reads the directory again for the next: nobody may change
// it meanwhile.
func (r *nameRoom) eachName(dir *os.File, visit func(name string) error) error {
	most := max(minNames, (namesHeld-r.held)/2)
	for after := ""; ; {
		names, all, err := nextNames(dir, after, most)
		if err != nil {
			return err
		}
		r.held += len(names)
		for _, name := range names {
			if err := visit(name); err != nil {
				return err
			}
		}
		r.held -= len(names)
		if all {
			return nil
		}
		after = names[len(names)-1]
	}
}

// nextNames reads the least names of a directory that come after one, at most so
// many, and reports whether these are all.
func nextNames(dir *os.File, after string, most int) (names []string, all bool, err error) {
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	h := greatest{}
	all = true
	for {
		batch, err := dir.Readdirnames(minNames)
		for _, name := range batch {
			switch {
			case name <= after:
			case len(h) < most:
				heap.Push(&h, name)
			default:
				all = false
				if name < h[0] {
					h[0] = name
					heap.Fix(&h, 0)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	slices.Sort(h)
	return h, all, nil
}

// greatest is a heap with its greatest name first.
type greatest []string

func (g greatest) Len() int           { return len(g) }
func (g greatest) Less(i, j int) bool { return g[i] > g[j] }
func (g greatest) Swap(i, j int)      { g[i], g[j] = g[j], g[i] }
func (g *greatest) Push(x any)        { *g = append(*g, x.(string)) }

func (g *greatest) Pop() any {
	last := (*g)[len(*g)-1]
	*g = (*g)[:len(*g)-1]
	return last
}

func openDirectory(parent int, name string) (*os.File, error) {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func kindOf(st *unix.Stat_t) (kind, bool) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return directory, true
	case unix.S_IFREG:
		return regular, true
	case unix.S_IFLNK:
		return symlink, true
	case unix.S_IFIFO:
		return fifo, true
	case unix.S_IFSOCK:
		return socket, true
	case unix.S_IFCHR:
		return whiteout, st.Rdev == 0 // a computer can make no other device
	}
	return 0, false
}
