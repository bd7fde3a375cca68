package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// cacheTime is how long the image of a build step is kept after it was
	// last of use.
	cacheTime = 7 * 24 * time.Hour
	// maxCached bounds how many there are; the ones least of use go first.
	maxCached = 512
	// freshStep is how long a step is not forgotten for want of disk.
	freshStep = 10 * time.Minute
)

// Cached reports the image that was remembered under a key, if it is here
// still, and keeps it for longer.
func (s *Store) Cached(key string) (digest string, ok bool) {
	file, err := s.cacheFile(key)
	if err != nil {
		return "", false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	hexDigest, err := parseDigest(string(text))
	if err != nil || !isDir(filepath.Join(s.dir, "images", hexDigest)) {
		return "", false
	}
	now := time.Now()
	if err := os.Chtimes(file, now, now); err != nil {
		return "", false // swept at this moment
	}
	return string(text), true
}

// Remember keeps an image under a key, the digest of what it was made by, for
// Cached to find.
func (s *Store) Remember(key, digest string) error {
	file, err := s.cacheFile(key)
	if err != nil {
		return err
	}
	work, err := s.temp("cache")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "entry")
	if err := os.WriteFile(fresh, []byte(digest), 0o600); err != nil {
		return fmt.Errorf("remember an image: %w", err)
	}
	if err := os.Rename(fresh, file); err != nil {
		return fmt.Errorf("remember an image: %w", err)
	}
	return nil
}

func (s *Store) cacheFile(key string) (string, error) {
	hexKey, err := parseDigest(key)
	return filepath.Join(s.dir, "cache", hexKey), err
}

// step is a build step that the cache knows.
type step struct {
	file   string
	digest string
	used   time.Time
}

// steps lists the cache, the one of use last first.
func (s *Store) steps() ([]step, error) {
	dir := filepath.Join(s.dir, "cache")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the build cache: %w", err)
	}
	var all []step
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			continue // replaced at this moment
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten at this moment
		}
		if err != nil {
			return nil, fmt.Errorf("list the build cache: %w", err)
		}
		all = append(all, step{file, string(text), info.ModTime()})
	}
	slices.SortFunc(all, func(a, b step) int { return b.used.Compare(a.used) })
	return all, nil
}

func (t step) forget() error {
	if err := os.Remove(t.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget a build step: %w", err)
	}
	return nil
}

// cached lists the images that the cache keeps, and forgets what is past its
// time or too much.
func (s *Store) cached() (map[string]bool, error) {
	all, err := s.steps()
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for i, t := range all {
		if i < maxCached && time.Since(t.used) < cacheTime && strings.HasPrefix(t.digest, digestPrefix) {
			kept[t.digest] = true
		} else if err := t.forget(); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// forgetOldest forgets a quarter of the cache, and reports how many steps. What
// a build may just have made stays.
func (s *Store) forgetOldest() (int, error) {
	s.placing.Lock() // nobody remembers a step meanwhile
	defer s.placing.Unlock()
	all, err := s.steps()
	if err != nil {
		return 0, err
	}
	forgotten := 0
	for _, t := range all[len(all)-(len(all)+3)/4:] {
		if time.Since(t.used) < freshStep {
			continue
		}
		if err := t.forget(); err != nil {
			return forgotten, err
		}
		forgotten++
	}
	return forgotten, nil
}
