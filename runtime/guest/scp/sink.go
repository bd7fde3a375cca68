package scp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sink takes files.
type sink struct {
	*peer
	recursive, times bool
}

// entry is a line that announces a file or directory.
type entry struct {
	directory bool
	mode      os.FileMode
	size      int64
	name      string
}

// stamp is a line that says when what follows was changed and read.
type stamp struct{ modified, accessed time.Time }

// take takes everything to a path: into it when it is a directory.
func (s *sink) take(path string, mustBeDirectory bool) error {
	if mustBeDirectory && !isDirectory(path) {
		err := fmt.Errorf("%s: not a directory", path)
		return errors.Join(err, s.say(fmt.Sprintf("%cscp: %s\n", answerFatal, err)))
	}
	if err := s.answer(); err != nil {
		return err
	}
	return s.entries(path, 0)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// entries takes what comes until the end of the input, or of a directory.
func (s *sink) entries(path string, depth int) error {
	var when *stamp
	for {
		line, err := s.line()
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case line == "E" && depth > 0:
			return nil // answered by finish
		case line != "" && line[0] == answerError:
			s.failed = true // the other side has said so to its user
			continue
		case line != "" && line[0] == answerFatal:
			return fmt.Errorf("the other side gave up: %s", line[1:])
		case strings.HasPrefix(line, "T"):
			if when, err = parseStamp(line); err == nil {
				err = s.answer()
			}
		default:
			err = s.announced(line, path, when, depth)
			when = nil
		}
		if err != nil {
			return errors.Join(err, s.say(fmt.Sprintf("%cscp: %s\n", answerFatal, err)))
		}
	}
}

func (s *sink) announced(line, path string, when *stamp, depth int) error {
	e, err := parseEntry(line)
	if err != nil {
		return err
	}
	if isDirectory(path) {
		path = filepath.Join(path, e.name)
	}
	if !e.directory {
		return s.file(e, path, when)
	}
	if !s.recursive || depth >= maxDepth {
		return fmt.Errorf("%s: a directory was not asked for, or is more than %d deep", e.name, maxDepth)
	}
	if err := os.Mkdir(path, e.mode|0o700); err != nil && !isDirectory(path) {
		return err
	}
	if err := s.answer(); err != nil {
		return err
	}
	if err := s.entries(path, depth+1); err != nil {
		return err
	}
	return s.finish(path, e.mode, when)
}

// finish gives what was written its mode and times, where they are kept, and
// answers: once, for a second answer would be taken for that of what comes next.
func (s *sink) finish(path string, mode os.FileMode, when *stamp) error {
	var err error
	if s.times {
		err = os.Chmod(path, mode)
	}
	if s.times && when != nil {
		err = errors.Join(err, os.Chtimes(path, when.accessed, when.modified))
	}
	if err != nil {
		return s.complain(err)
	}
	return s.answer()
}

// file takes one file. When it cannot be written its bytes are read all the
// same, because the other side sends them.
func (s *sink) file(e entry, path string, when *stamp) error {
	f, failed := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, e.mode)
	if failed != nil {
		return s.complain(failed)
	}
	if err := s.answer(); err != nil {
		return errors.Join(err, f.Close())
	}
	to := &stubborn{to: f}
	_, err := io.CopyN(to, s.in, e.size)
	failed = errors.Join(to.failed, f.Close())
	if err != nil {
		return err
	}
	// One that could not read all of it has said so, and waits as well.
	if _, err := s.answered(); err != nil {
		return err
	}
	if failed != nil {
		return s.complain(failed)
	}
	return s.finish(path, e.mode, when)
}

// stubborn takes everything, and remembers the first failure.
type stubborn struct {
	to     io.Writer
	failed error
}

func (w *stubborn) Write(b []byte) (int, error) {
	if w.failed == nil {
		_, w.failed = w.to.Write(b)
	}
	return len(b), nil
}

// parseEntry reads "C0644 1234 name" or "D0755 0 name".
func parseEntry(line string) (e entry, err error) {
	bad := fmt.Errorf("not a line of the protocol: %.100q", line)
	if line == "" || line[0] != 'C' && line[0] != 'D' {
		return e, bad
	}
	parts := strings.SplitN(line[1:], " ", 3)
	if len(parts) != 3 {
		return e, bad
	}
	mode, err := strconv.ParseUint(parts[0], 8, 32)
	if err != nil || mode > 0o7777 {
		return e, bad
	}
	size, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || size < 0 {
		return e, bad
	}
	name := parts[2]
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return e, fmt.Errorf("not a file's name: %.100q", name)
	}
	return entry{directory: line[0] == 'D', mode: os.FileMode(mode & 0o777), size: size, name: name}, nil
}

// parseStamp reads "T1700000000 0 1700000000 0".
func parseStamp(line string) (*stamp, error) {
	var at [4]int64
	parts := strings.Split(line[1:], " ")
	if len(parts) != len(at) {
		return nil, fmt.Errorf("not a line of times: %.100q", line)
	}
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("not a line of times: %.100q", line)
		}
		at[i] = n
	}
	return &stamp{modified: time.Unix(at[0], 0), accessed: time.Unix(at[2], 0)}, nil
}
