package workspace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/runtime"
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
	// MaxMatchBytes bounds how much of a matching line is told.
	MaxMatchBytes = 500
	// sniffBytes is how far Grep looks for a NUL byte, which says that a file
	// is no text.
	sniffBytes = 8000
)

// Match is a line that a pattern matches.
type Match struct {
	Path string // relative to the workspace
	Line int    // from 1
	Text string // without its line end; at most MaxMatchBytes
}

// Found is what Grep has found.
type Found struct {
	Matches   []Match
	Truncated bool // there may be more
	Skipped   int  // files too large, or no text, or not readable
}

// Grep finds lines in a file, or in all files below a directory, by an RE2
// pattern. limit bounds the matches; 0 means MaxMatches. Links are not
// followed.
func (w *FS) Grep(ctx context.Context, pattern, name string, limit int) (Found, error) {
	clean, err := Clean(name)
	if err != nil {
		return Found{}, err
	}
	if len(pattern) > MaxPatternBytes {
		return Found{}, fmt.Errorf("%w: the pattern has %d bytes, more than %d", runtime.ErrInvalid, len(pattern), MaxPatternBytes)
	}
	expr, err := regexp.Compile(pattern)
	if err != nil {
		return Found{}, fmt.Errorf("%w: the pattern is no RE2 expression: %w", runtime.ErrInvalid, err)
	}
	if limit <= 0 || limit > MaxMatches {
		limit = MaxMatches
	}
	start, err := w.Stat(name)
	if err != nil {
		return Found{}, err
	}
	g := grep{fs: w, expr: expr, limit: limit, left: MaxGrepBytes}
	if start.Kind != Directory {
		err = g.file(start)
	} else {
		err = w.walk(ctx, clean, 0, func(e Entry) error {
			if e.Kind != File {
				return nil
			}
			return g.file(e)
		})
	}
	if err != nil && err != errStop {
		return Found{}, err
	}
	return g.found, nil
}

type grep struct {
	fs    *FS
	expr  *regexp.Regexp
	limit int
	left  int64 // bytes that may still be read
	found Found
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
		if len(g.found.Matches) == g.limit {
			g.found.Truncated = true
			return errStop
		}
		g.found.Matches = append(g.found.Matches, Match{Path: path, Line: number, Text: shorten(line)})
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
