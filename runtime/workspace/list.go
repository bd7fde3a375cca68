package workspace

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// MaxEntries bounds a listing unless the caller says less.
	MaxEntries = 100_000
	// namesAtOnce is how many names of a directory are read at a time, so that
	// one with millions costs no memory.
	namesAtOnce = 1024
)

// ListOptions bound a listing.
type ListOptions struct {
	// Depth is how many levels are listed: 1 is the directory's own entries,
	// 0 or more than MaxDepth all levels.
	Depth int
	// Limit is how many entries are listed; 0 means MaxEntries.
	Limit int
}

// Listing is what is in a directory.
type Listing struct {
	Entries   []Entry // sorted by path
	Truncated bool    // there is more than the limit
}

// List lists a directory. Links are listed, never followed. Of what comes and
// goes meanwhile either is told.
func (w *FS) List(ctx context.Context, name string, opts ListOptions) (Listing, error) {
	clean, err := Clean(name)
	if err != nil {
		return Listing{}, err
	}
	if opts.Limit <= 0 || opts.Limit > MaxEntries {
		opts.Limit = MaxEntries
	}
	var all Listing
	err = w.walk(ctx, clean, opts.Depth, func(e Entry) error {
		if len(all.Entries) == opts.Limit {
			all.Truncated = true
			return errStop
		}
		all.Entries = append(all.Entries, e)
		return nil
	})
	if err != nil {
		return Listing{}, err
	}
	slices.SortFunc(all.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// errStop ends a walk before its time.
var errStop = errors.New("enough")

// walk visits what is below a directory, each directory before what is in it,
// in no order else. Only the first directory's absence is an error.
func (w *FS) walk(ctx context.Context, start string, depth int, visit func(Entry) error) error {
	if depth <= 0 || depth > MaxDepth {
		depth = MaxDepth
	}
	err := w.walkDir(ctx, start, depth, visit)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (w *FS) walkDir(ctx context.Context, dir string, depth int, visit func(Entry) error) error {
	f, err := w.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return plain("list", dir, err)
	}
	var below []string
	for err == nil {
		err = ctx.Err()
		var names []string
		if err == nil {
			names, err = f.Readdirnames(namesAtOnce)
		}
		for _, name := range names {
			entry, ok := w.look(path.Join(dir, name))
			if !ok {
				continue
			}
			if stop := visit(entry); stop != nil {
				f.Close()
				return stop
			}
			if entry.Kind == Directory && depth > 1 {
				below = append(below, entry.Path)
			}
		}
	}
	// Closed before going deeper: a deep tree must not use up our files.
	f.Close()
	if !errors.Is(err, io.EOF) {
		return plain("list", dir, err)
	}
	for _, name := range below {
		err := w.walkDir(ctx, name, depth-1, visit)
		if errors.Is(err, errStop) || ctx.Err() != nil {
			return err
		}
		// It is gone, or no directory any more: the walk goes on without it.
	}
	return nil
}

// look describes a name without following it, unless it is gone by now or is
// a file still being written.
func (w *FS) look(clean string) (Entry, bool) {
	if strings.HasPrefix(path.Base(clean), partPrefix) {
		return Entry{}, false
	}
	info, err := w.root.Lstat(clean)
	if err != nil {
		return Entry{}, false
	}
	entry := entryOf(clean, info)
	if info.Mode()&fs.ModeSymlink != 0 {
		if entry.Target, err = w.root.Readlink(clean); err != nil {
			return Entry{}, false
		}
	}
	return entry, true
}
