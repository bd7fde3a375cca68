package scp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// source sends files.
type source struct {
	*peer
	recursive, times bool
}

func (s *source) send(paths []string) error {
	if _, err := s.answered(); err != nil {
		return err
	}
	for _, path := range paths {
		if err := s.one(path, 0); err != nil {
			return err
		}
	}
	return nil
}

// one sends a file or a directory. What cannot be read is told to the other
// side and is no error here.
func (s *source) one(path string, depth int) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return s.complain(err)
	case strings.ContainsRune(info.Name(), '\n'):
		return s.complain(fmt.Errorf("%q: a name with a line's end cannot be sent", path))
	case info.IsDir():
		return s.directory(path, info, depth)
	case !info.Mode().IsRegular():
		return s.complain(fmt.Errorf("%s: not a regular file", path))
	}
	f, err := os.Open(path)
	if err != nil {
		return s.complain(err)
	}
	defer f.Close()
	if taken, err := s.announce(info, fmt.Sprintf("C%04o %d %s\n", info.Mode().Perm(), info.Size(), base(path))); !taken || err != nil {
		return err
	}
	short, err := copyAll(s.out, f, info.Size())
	if err != nil {
		return err
	}
	if short != nil {
		if err := s.complain(fmt.Errorf("%s: %w", path, short)); err != nil {
			return err
		}
	} else if err := s.answer(); err != nil {
		return err
	}
	_, err = s.answered()
	return err
}

// base is the name that the other side gives it; of "." and "..", the real one.
func base(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Base(path)
}

// announce sends the times, if they are wanted, and a line.
func (s *source) announce(info os.FileInfo, line string) (taken bool, err error) {
	if s.times {
		at := info.ModTime().Unix()
		if err := s.say(fmt.Sprintf("T%d 0 %d 0\n", at, at)); err != nil {
			return false, err
		}
		if taken, err := s.answered(); !taken || err != nil {
			return false, err
		}
	}
	if err := s.say(line); err != nil {
		return false, err
	}
	return s.answered()
}

func (s *source) directory(path string, info os.FileInfo, depth int) error {
	if !s.recursive {
		return s.complain(fmt.Errorf("%s: not a regular file", path))
	}
	if depth >= maxDepth {
		return s.complain(fmt.Errorf("%s: more than %d directories deep", path, maxDepth))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return s.complain(err)
	}
	if taken, err := s.announce(info, fmt.Sprintf("D%04o 0 %s\n", info.Mode().Perm(), base(path))); !taken || err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.one(filepath.Join(path, e.Name()), depth+1); err != nil {
			return err
		}
	}
	if err := s.say("E\n"); err != nil {
		return err
	}
	_, err = s.answered()
	return err
}
