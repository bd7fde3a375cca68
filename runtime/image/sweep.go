package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sweeping says what Sweep leaves.
type Sweeping struct {
	// Used lists the digests that computers and snapshots stand on; nil for none.
	// It is called while Use waits. So whoever holds an image until a record names
	// it never loses that, as long as Used reads the records anew.
	Used func() ([]string, error)
	// Spare leaves images that came within this time: somebody is about to need them.
	Spare time.Duration
	// FreeBytes is how much of the disk is to be free. While less is, the build
	// cache is forgotten, the oldest first.
	FreeBytes int64
}

// Sweep deletes the images that have no name, that no build step or other image
// needs, that nobody holds by Use, and that are not as keep says. It reports how
// many it deleted.
func (s *Store) Sweep(ctx context.Context, keep Sweeping) (int, error) {
	if _, err := s.host.ensure(); err != nil {
		s.log.Warn("no host image", "err", err)
	}
	deleted, err := s.pass(ctx, keep)
	for err == nil && ctx.Err() == nil {
		free, freeErr := s.free()
		if freeErr != nil || free >= keep.FreeBytes {
			return deleted, freeErr
		}
		forgotten, forgetErr := s.forgetOldest()
		if forgetErr != nil || forgotten == 0 {
			return deleted, forgetErr
		}
		s.log.Info("the disk is nearly full: build steps forgotten", "count", forgotten, "free", free, "wanted", keep.FreeBytes)
		var more int
		more, err = s.pass(ctx, keep)
		deleted += more
	}
	return deleted, errors.Join(err, ctx.Err())
}

// pass sweeps once. Nobody who wants an image waits while files are removed,
// which takes seconds for a large one.
func (s *Store) pass(ctx context.Context, keep Sweeping) (deleted int, err error) {
	gone, err := s.temp("gone") // Open clears it away if we do not
	if err != nil {
		return 0, err
	}
	defer func() {
		if removeErr := s.removeAll(gone); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove swept images: %w", removeErr))
		}
	}()
	s.placing.Lock()
	defer s.placing.Unlock()
	var used []string
	if keep.Used != nil {
		if used, err = keep.Used(); err != nil {
			return 0, fmt.Errorf("sweep images: %w", err)
		}
	}
	all, err := s.active(ctx)
	if err != nil {
		return 0, err
	}
	needed, layers, err := s.needed(all, used, keep.Spare)
	if err != nil {
		return 0, err
	}
	for _, info := range all {
		if needed[info.Digest] {
			continue
		}
		hexDigest := strings.TrimPrefix(info.Digest, digestPrefix)
		for _, kind := range []string{"host", "images"} {
			if err := setAside(filepath.Join(s.dir, kind, hexDigest), gone); err != nil {
				return deleted, fmt.Errorf("delete image %s: %w", info.Digest, err)
			}
		}
		deleted++
	}
	return deleted, s.sweepLayers(layers, gone)
}

// setAside moves a directory, should there be one, to where it is removed. So it
// is never half there.
func setAside(dir, gone string) error {
	err := os.Rename(dir, filepath.Join(gone, filepath.Base(filepath.Dir(dir))+"-"+filepath.Base(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// needed reports which images stay, and which layers they have: those with a
// name, those in use, those that the cache keeps, those that came just now, and
// what they stand on.
func (s *Store) needed(all []Info, used []string, spare time.Duration) (images, layers map[string]bool, err error) {
	names, err := s.names()
	if err != nil {
		return nil, nil, err
	}
	kept, err := s.cached()
	if err != nil {
		return nil, nil, err
	}
	for digest := range names {
		kept[digest] = true
	}
	for digest := range s.uses {
		kept[digest] = true
	}
	images, layers = map[string]bool{}, map[string]bool{}
	for _, info := range all {
		if !kept[info.Digest] && !slices.Contains(used, info.Digest) && !s.isNew(info.Digest, spare) {
			continue
		}
		images[info.Digest] = true
		if info.Base != "" {
			images[info.Base] = true
		}
	}
	for _, info := range all {
		if images[info.Digest] { // also one that another stands on
			for _, id := range info.Layers {
				layers[id] = true
			}
		}
	}
	return images, layers, nil
}

// isNew reports whether an image came within a time.
func (s *Store) isNew(digest string, within time.Duration) bool {
	for _, dir := range []string{s.imageDir(digest), s.host.place(digest)} {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) < within {
			return true
		}
	}
	return false
}

// gate is a lock among the goroutines of this process and the processes that
// have the store open, such as a node and a command beside it.
type gate struct {
	mu   sync.Mutex
	file *os.File
}

func (g *gate) open(path string) (err error) {
	g.file, err = os.Open(path)
	return err
}

func (g *gate) close() error { return g.file.Close() }

// Lock takes the gate. The file's lock cannot be refused while the store is open.
func (g *gate) Lock() {
	g.mu.Lock()
	for errors.Is(unix.Flock(int(g.file.Fd()), unix.LOCK_EX), unix.EINTR) {
	}
}

// Unlock gives it back.
func (g *gate) Unlock() {
	_ = unix.Flock(int(g.file.Fd()), unix.LOCK_UN) // closing the file would too
	g.mu.Unlock()
}
