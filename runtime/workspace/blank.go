package workspace

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// Blank answers an operation that only looks as an empty workspace does: for a
// computer that has no disk yet.
func Blank(op Op) (Result, error) {
	if err := op.Check(); err != nil {
		return Result{}, err
	}
	clean, err := Clean(op.Path)
	if err != nil {
		return Result{}, err
	}
	root := clean == "."
	switch {
	case op.Verb == Exists:
		return Result{Exists: &root}, nil
	case !root:
		return Result{}, plain(string(op.Verb), clean, fs.ErrNotExist)
	case op.Verb == List:
		return Result{Entries: []Item{}}, nil
	case op.Verb == Grep:
		return Result{Matches: []Match{}}, nil
	case op.Verb == Stat:
		return Result{Stat: &Item{Path: clean, Type: Directory, Mode: directoryMode}}, nil
	}
	return Result{}, plain(string(op.Verb), clean, unix.EISDIR)
}
