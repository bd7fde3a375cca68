package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Bounds of a search.
const (
	maxGrepFiles     = 20_000
	maxGrepBytes     = 256 << 20 // read in one search
	maxGrepFileBytes = 4 << 20   // read of one file
	maxGrepMatches   = 500
	maxGrepLineBytes = 400
	maxGrepDepth     = 64
	maxPatternBytes  = 1000
)

// errEnough ends a search at one of its bounds.
var errEnough = errors.New("the search reached a bound")

// search is one run of the grep tool. It looks at files through the computer,
// so that it needs no program in the image and works the same in each.
type search struct {
	computer Computer
	pattern  *regexp.Regexp
	out      strings.Builder
	files    int
	bytes    int64
	matches  int
	stopped  string // the bound that ended it
}

// grep searches below a directory, or in one file.
func (w work) grep(ctx context.Context, args GrepArgs) (Result, error) {
	if len(args.Pattern) > maxPatternBytes {
		return Result{Status: Invalid, Text: fmt.Sprintf("error: the pattern has over %d bytes", maxPatternBytes)}, nil
	}
	pattern, err := regexp.Compile(args.Pattern)
	if err != nil {
		return Result{Status: Invalid, Text: "error: the pattern is not a regular expression (RE2 syntax): " + err.Error()}, nil
	}
	s := &search{computer: w.computer, pattern: pattern}
	if err := s.tree(ctx, args.Path, 0); err != nil && !errors.Is(err, errEnough) {
		return Result{}, err
	}
	if s.matches == 0 {
		s.out.WriteString("no match\n")
	}
	if s.stopped != "" {
		fmt.Fprintf(&s.out, "[stopped: %s; search a smaller part]\n", s.stopped)
	}
	return w.keep(ctx, s.out.String())
}

// tree searches a directory, or a file when it is none.
func (s *search) tree(ctx context.Context, dir string, depth int) error {
	entries, more, err := s.computer.List(ctx, dir, maxGrepFiles)
	if err != nil && depth == 0 {
		return s.file(ctx, dir, true)
	}
	if err != nil || depth > maxGrepDepth {
		return errors.Join(gone(err), ctx.Err()) // a directory that may not be read is passed over, as grep does
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Link || e.Dir && (e.Name == ".git" || e.Name == ".bothy"):
			continue
		case e.Dir:
			err = s.tree(ctx, name, depth+1)
		default:
			err = s.file(ctx, name, false)
		}
		if err != nil {
			return err
		}
	}
	if more {
		return s.enough(fmt.Sprintf("%s holds over %d names", dir, maxGrepFiles))
	}
	return nil
}

// file searches one file. Only one that was named must be readable.
func (s *search) file(ctx context.Context, name string, named bool) error {
	if s.files++; s.files > maxGrepFiles {
		return s.enough(fmt.Sprintf("%d files were searched", maxGrepFiles))
	}
	if s.bytes > maxGrepBytes {
		return s.enough(fmt.Sprintf("%d bytes were searched", maxGrepBytes))
	}
	file, err := s.computer.ReadFile(ctx, name, maxGrepFileBytes)
	if err != nil && named {
		return err
	}
	if err != nil {
		return errors.Join(gone(err), ctx.Err())
	}
	s.bytes += int64(len(file.Content))
	if isBinary(file.Content) {
		return nil
	}
	number := 0
	for line := range bytes.Lines(file.Content) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if !s.pattern.Match(line) {
			continue
		}
		if s.matches++; s.matches > maxGrepMatches {
			return s.enough(fmt.Sprintf("%d lines matched", maxGrepMatches))
		}
		fmt.Fprintf(&s.out, "%s:%d:%s\n", name, number, strings.ToValidUTF8(cutHead(string(line), maxGrepLineBytes), "\uFFFD"))
	}
	return nil
}

func (s *search) enough(why string) error {
	s.stopped = why
	return errEnough
}

// gone keeps an error only when the computer itself is gone.
func gone(err error) error {
	if errors.Is(err, ErrComputerGone) {
		return err
	}
	return nil
}
