package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/bothy-computer/bothy/runtime"
)

// MaxTextBytes bounds a file whose lines are compared.
const MaxTextBytes = 1 << 20

// Text is a file's content for comparing it.
type Text struct {
	Content []byte
	// Opaque says why lines cannot be compared: "binary", "large" or "link".
	// Content is then nil.
	Opaque string
}

// Text reads a file for comparing it. One that is not there is empty.
func (w *FS) Text(name string) (Text, error) {
	clean, err := Clean(name)
	if err != nil {
		return Text{}, err
	}
	info, err := w.root.Lstat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Text{}, nil
	case err != nil:
		return Text{}, plain("read", clean, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return Text{Opaque: "link"}, nil
	case info.Size() > MaxTextBytes:
		return Text{Opaque: "large"}, nil
	}
	content, err := w.ReadFile(clean, MaxTextBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Text{}, nil
	case errors.Is(err, runtime.ErrInvalid): // it grew meanwhile, or is no file any more
		return Text{Opaque: "large"}, nil
	case err != nil:
		return Text{}, err
	case bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content):
		return Text{Opaque: "binary"}, nil
	}
	return Text{Content: content}, nil
}

// Lines is how a text became another.
type Lines struct {
	Unified              string // a unified diff; "" when nothing changed
	Additions, Deletions int    // lines
}

// Compare compares two texts, neither of them Opaque, line by line.
func Compare(c Change, before, after []byte) Lines {
	from, to := "a/"+c.Path, "b/"+c.Path
	switch c.Kind {
	case Created:
		from = "/dev/null"
	case Deleted:
		to = "/dev/null"
	}
	text := diff.Diff(from, before, to, after)
	// The library begins with a line of its own, which no unified diff has.
	_, text, _ = bytes.Cut(text, []byte("\n"))
	l := Lines{Unified: string(text)}
	header := len(fmt.Sprintf("--- %s\n+++ %s\n", from, to))
	if len(text) < header {
		return l
	}
	for line := range bytes.Lines(text[header:]) {
		switch line[0] {
		case '+':
			l.Additions++
		case '-':
			l.Deletions++
		}
	}
	return l
}

// Same reports whether a name is a file of the same content, at most max
// bytes, in both workspaces. It is false where that is not known.
func (w *FS) Same(other *FS, name string, max int64) bool {
	mine, err := w.ReadFile(name, max)
	if err != nil {
		return false
	}
	theirs, err := other.ReadFile(name, max)
	return err == nil && bytes.Equal(mine, theirs)
}
