package workspace

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Unsurveyed are the directories that surveys pass over, wherever they lie:
// what tools keep for themselves and people do not read file by file.
var Unsurveyed = []string{".git", ".bothy", ".skills", "node_modules", "__pycache__", ".venv", ".cache"}

// ChangeKind is what became of a file.
type ChangeKind string

const (
	Created  ChangeKind = "created"
	Modified ChangeKind = "modified"
	Deleted  ChangeKind = "deleted"
)

// Change is a file or link that is not as it was. One that was moved is
// deleted in one place and created in another.
type Change struct {
	Path string
	Kind ChangeKind
}

// Survey is what tells one state of every file of a workspace from another,
// without their content.
type Survey struct {
	marks map[string]mark
	max   int
	// Truncated is set when there were too many files: such a survey tells
	// nothing.
	Truncated bool
}

// mark is what changes with any change of a file. The kernel sets the time of
// change; no program can.
type mark struct {
	kind              Kind
	inode             uint64
	size              int64
	modified, changed int64 // ns
}

// Survey looks at every file and link, at most max, but for those in Unsurveyed
// directories and those whose names no path of ours can have.
func (w *FS) Survey(ctx context.Context, max int) (*Survey, error) {
	s := &Survey{marks: map[string]mark{}, max: max}
	err := w.surveyDir(ctx, s, ".", MaxDepth)
	if errors.Is(err, errStop) {
		return &Survey{Truncated: true}, nil
	}
	return s, err
}

func (w *FS) surveyDir(ctx context.Context, s *Survey, dir string, depth int) error {
	f, err := w.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return plain("survey", dir, err)
	}
	var below []string
	for err == nil {
		var names []string
		if err = ctx.Err(); err == nil {
			names, err = f.Readdirnames(namesAtOnce)
		}
		for _, name := range names {
			at := path.Join(dir, name)
			if stop := s.note(f, at, name, &below); stop != nil {
				f.Close()
				return stop
			}
		}
	}
	// Closed before going deeper: a deep tree must not use up our files.
	f.Close()
	if !errors.Is(err, io.EOF) {
		return plain("survey", dir, err)
	}
	if depth == 1 {
		return nil
	}
	for _, name := range below {
		err := w.surveyDir(ctx, s, name, depth-1)
		if errors.Is(err, errStop) || ctx.Err() != nil {
			return err
		}
		// It is gone, or no directory any more: the survey goes on without it.
	}
	return nil
}

// note takes down one name of an open directory.
func (s *Survey) note(dir *os.File, at, name string, below *[]string) error {
	var st unix.Stat_t
	if clean, err := Clean(at); err != nil || clean != at || strings.HasPrefix(name, partPrefix) {
		return nil
	}
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil // gone meanwhile
	}
	m := mark{inode: st.Ino, size: st.Size, modified: st.Mtim.Nano(), changed: st.Ctim.Nano()}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if !slices.Contains(Unsurveyed, name) {
			*below = append(*below, at)
		}
		return nil
	case unix.S_IFREG:
		m.kind = File
	case unix.S_IFLNK:
		m.kind = Symlink
	default:
		return nil
	}
	if len(s.marks) == s.max {
		return errStop
	}
	s.marks[at] = m
	return nil
}

// Since tells what may have changed since an earlier survey, by path. A file
// that was written again as it was counts as modified. Neither may be Truncated.
func (s *Survey) Since(before *Survey) []Change {
	var all []Change
	for at, m := range s.marks {
		switch was, known := before.marks[at]; {
		case !known:
			all = append(all, Change{at, Created})
		case was != m:
			all = append(all, Change{at, Modified})
		}
	}
	for at := range before.marks {
		if _, still := s.marks[at]; !still {
			all = append(all, Change{at, Deleted})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all
}
