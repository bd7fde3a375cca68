package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

func (s *Store) named(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	text, err := os.ReadFile(s.nameFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("image %s: %w", name, runtime.ErrNoImage)
	}
	if err != nil {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	return string(text), nil
}

// Makes reports whether a name is one that this store makes an image for.
func (s *Store) Makes(name string) bool {
	_, ok := s.makings.recipes[name]
	return ok || name == Host
}

// names maps digests to their names.
func (s *Store) names() (map[string][]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "names"))
	if err != nil {
		return nil, fmt.Errorf("list image names: %w", err)
	}
	all := map[string][]string{}
	for _, e := range entries {
		name, err := url.PathUnescape(e.Name())
		if err != nil {
			return nil, fmt.Errorf("list image names: %w", err)
		}
		digest, err := s.named(name)
		if errors.Is(err, runtime.ErrNoImage) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all[digest] = append(all[digest], name)
	}
	if digest := s.host.current(); digest != "" {
		all[digest] = append(all[digest], Host)
	}
	for _, names := range all {
		slices.Sort(names)
	}
	return all, nil
}

// Name gives an image that is here a name, which it takes from another image if
// that has it.
func (s *Store) Name(ctx context.Context, name, digest string) error {
	if err := checkName(name); err != nil {
		return err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	if _, err := s.Layers(ctx, digest); err != nil {
		return err
	}
	return s.setName(name, digest)
}

// setName makes a name stand for a digest, whole or not at all.
func (s *Store) setName(name, digest string) error {
	dir, err := s.temp("name")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fresh := filepath.Join(dir, "name")
	if err := writeSynced(fresh, digest); err != nil {
		return fmt.Errorf("name an image: %w", err)
	}
	if err := os.Rename(fresh, s.nameFile(name)); err != nil {
		return fmt.Errorf("name an image: %w", err)
	}
	return nil
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func (s *Store) nameFile(name string) string {
	return filepath.Join(s.dir, "names", url.PathEscape(name))
}

func checkName(name string) error {
	illegal := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@", c))
	}
	switch {
	case name == Host:
		return fmt.Errorf("%w: the name %q is this machine's own image", runtime.ErrInvalid, Host)
	case name == "" || name == "." || name == ".." || len(name) > maxNameBytes || strings.ContainsFunc(name, illegal) || strings.HasPrefix(name, digestPrefix):
		return fmt.Errorf("%w: %.40q names no image: letters, digits, - _ . / : @ and at most %d bytes", runtime.ErrInvalid, name, maxNameBytes)
	}
	return nil
}
