package workspace

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxPatternBytes bounds a pattern.
	MaxPatternBytes = 1024
	// MaxMatches bounds what Grep finds unless the caller says less.
	MaxMatches = 10_000
	// MaxGrepFileBytes is the largest file that Grep looks into.
	MaxGrepFileBytes = 8 << 20
	// MaxGrepBytes bounds what Grep reads in all.
	MaxGrepBytes = 1 << 30
	// MaxFoundBytes bounds what Grep tells in all, paths and lines together.
	MaxFoundBytes = 16 << 20
	// MaxGrepEntries bounds the names that Grep looks at.
	MaxGrepEntries = 1_000_000
	// MaxMatchBytes bounds how much of a matching line is told.
	MaxMatchBytes = 500
	// sniffBytes is how far Grep looks for a NUL byte, which says that a file
	// is no text.
	sniffBytes = 8000
)

// GrepOptions say what Grep looks for.
type GrepOptions struct {
	Pattern string
	// Regex makes the pattern an RE2 expression; else it is looked for as it is.
	Regex      bool
	IgnoreCase bool
	// Limit bounds the matches, in all files together; 0 means MaxMatches.
	Limit int
}

// Match is a line that a pattern matches.
type Match struct {
	Path string `json:"path"`  // relative to the workspace
	Line int    `json:"line"`  // from 1
	Text string `json:"match"` // without its line end; at most MaxMatchBytes
}

// Found is what Grep has found.
type Found struct {
	Matches   []Match
	Truncated bool // there may be more
	Skipped   int  // files too large, or no text, or not readable
}

// Grep finds lines in a file, or in all files below a directory. Links are not
// followed. Matches are sorted by path and line; which of too many are told is
// not said.
func (w *FS) Grep(ctx context.Context, name string, opts GrepOptions) (Found, error) {
	clean, err := Clean(name)
	if err != nil {
		return Found{}, err
	}
	expr, err := opts.compile()
	if err != nil {
		return Found{}, err
	}
	if opts.Limit <= 0 || opts.Limit > MaxMatches {
		opts.Limit = MaxMatches
	}
	start, err := w.Stat(name)
	if err != nil {
		return Found{}, err
	}
	g := grep{fs: w, expr: expr, limit: opts.Limit, left: MaxGrepBytes, room: MaxFoundBytes, names: MaxGrepEntries}
	if start.Kind != Directory {
		err = g.file(start)
	} else {
		err = w.walk(ctx, clean, 0, g.visit)
	}
	if err != nil && err != errStop {
		return Found{}, err
	}
	slices.SortFunc(g.found.Matches, func(a, b Match) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return g.found, nil
}

func (opts GrepOptions) compile() (*regexp.Regexp, error) {
	pattern := opts.Pattern
	if len(pattern) > MaxPatternBytes {
		return nil, wrong("pattern", "it has %d bytes, more than %d", len(pattern), MaxPatternBytes)
	}
	if !opts.Regex {
		pattern = regexp.QuoteMeta(pattern)
	}
	if opts.IgnoreCase {
		pattern = "(?i)" + pattern
	}
	expr, err := regexp.Compile(pattern)
	if err != nil {
		return nil, wrong("pattern", "it is no RE2 expression: %v", err)
	}
	return expr, nil
}

type grep struct {
	fs    *FS
	expr  *regexp.Regexp
	limit int
	left  int64 // bytes that may still be read
	room  int   // bytes that may still be told
	names int   // names that may still be looked at
	found Found
}

func (g *grep) visit(e Entry) error {
	if g.names--; g.names < 0 {
		g.found.Truncated = true
		return errStop
	}
	if e.Kind != File {
		return nil
	}
	return g.file(e)
}

func (g *grep) file(e Entry) error {
	f, now, err := g.fs.openFile(e.Path)
	if err != nil || now.SizeBytes > MaxGrepFileBytes {
		if f != nil {
			f.Close()
		}
		g.found.Skipped++
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, min(MaxGrepFileBytes, g.left)))
	f.Close()
	if err != nil || bytes.IndexByte(text[:min(len(text), sniffBytes)], 0) >= 0 {
		g.found.Skipped++
		return nil
	}
	if g.left -= int64(len(text)); g.left <= 0 {
		g.found.Truncated = true
		return errStop
	}
	return g.lines(e.Path, text)
}

func (g *grep) lines(path string, text []byte) error {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if !g.expr.Match(line) {
			continue
		}
		match := Match{Path: path, Line: number, Text: shorten(line)}
		g.room -= len(match.Path) + len(match.Text)
		if len(g.found.Matches) == g.limit || g.room < 0 {
			g.found.Truncated = true
			return errStop
		}
		g.found.Matches = append(g.found.Matches, match)
	}
	return nil
}

// shorten cuts a line between characters, and keeps it UTF-8.
func shorten(line []byte) string {
	if len(line) > MaxMatchBytes {
		line = line[:MaxMatchBytes]
		for len(line) > 0 && !utf8.RuneStart(line[len(line)-1]) {
			line = line[:len(line)-1]
		}
		if r, _ := utf8.DecodeLastRune(line); r == utf8.RuneError {
			line = line[:len(line)-1]
		}
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}
