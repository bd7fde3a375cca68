package image

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// Host is the name of the image made of this machine's own files.
	Host = "host"
	// digestPrefix begins every digest.
	digestPrefix = "sha256:"
	// maxNameBytes bounds the name of an image.
	maxNameBytes = 128
)

// Options say where a store is.
type Options struct {
	// Dir is the store's own directory; two open stores never share one.
	Dir string
	Log *slog.Logger

	// machine is the root that the host image is made of; "/" but in tests.
	machine string
	// limits bound imported images; the defaults but in tests.
	limits limits
}

// Store keeps the images of a node. Its methods may be called from any
// goroutine.
type Store struct {
	dir    string
	log    *slog.Logger
	limits limits
	host   *host
	// placing is held while names and image directories change.
	placing sync.Mutex
}

// Layer is a read-only directory of an image and where it belongs in the
// computer's root. Layers with the same Target make one overlay together, the
// first of them on top. The layers of "/" come first, and they hold an empty
// directory for each further target.
type Layer struct{ Path, Target string }

// Config is what an image says about processes started from it.
type Config struct {
	Env        []string `json:"env,omitempty"` // KEY=value
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	User       string   `json:"user,omitempty"`    // name or uid, maybe with :group
	WorkDir    string   `json:"workDir,omitempty"` // absolute, or "" for none
}

// Info describes an image.
type Info struct {
	Names   []string  `json:"-"` // sorted; empty when only its digest names it
	Digest  string    `json:"digest"`
	Bytes   int64     `json:"bytes"` // that its own files hold; the host's /usr not counted
	Created time.Time `json:"created"`
	Config  Config    `json:"config"`
}

// Open opens the store in opts.Dir and clears away what an ended process has
// left unfinished. It builds nothing yet.
func Open(opts Options) (*Store, error) {
	if opts.machine == "" {
		opts.machine = "/"
	}
	if opts.limits == (limits{}) {
		opts.limits = defaultLimits
	}
	s := &Store{dir: opts.Dir, log: opts.Log, limits: opts.limits}
	s.host = &host{machine: opts.machine, dir: filepath.Join(opts.Dir, "host"), temp: s.temp, log: opts.Log}
	if err := os.RemoveAll(filepath.Join(s.dir, "tmp")); err != nil {
		return nil, fmt.Errorf("open the image store: %w", err)
	}
	for _, sub := range []string{"", "tmp", "names", "images", "host"} {
		// Images hold programs that run as their owner, such as sudo. Nobody
		// on this machine may reach them here.
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open the image store: %w", err)
		}
	}
	return s, nil
}

// Resolve reports the digest that a name stands for: "host", the name of an
// imported image, or a digest that is here. Resolving "host" makes that image
// if this machine's packages have changed. runtime.ErrNoImage: no such image.
func (s *Store) Resolve(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if name == Host {
		return s.host.ensure()
	}
	if !strings.HasPrefix(name, digestPrefix) {
		return s.named(name)
	}
	if _, err := s.Layers(ctx, name); err != nil {
		return "", err
	}
	return name, nil
}

// Layers lists the directories of an image by its digest. A host image that
// was made before packages changed keeps its skeleton, but has the /usr of
// today.
func (s *Store) Layers(ctx context.Context, digest string) ([]Layer, error) {
	hexDigest, err := parseDigest(digest)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	root := filepath.Join(s.dir, "images", hexDigest, "root")
	if isDir(root) {
		return []Layer{{Path: root, Target: "/"}}, nil
	}
	if layers, ok := s.host.layers(hexDigest); ok {
		return layers, nil
	}
	return nil, fmt.Errorf("image %s: %w", digest, runtime.ErrNoImage)
}

// Info describes the image of a digest.
func (s *Store) Info(ctx context.Context, digest string) (Info, error) {
	if _, err := s.Layers(ctx, digest); err != nil {
		return Info{}, err
	}
	all, err := s.List(ctx)
	if err != nil {
		return Info{}, err
	}
	for _, info := range all {
		if info.Digest == digest {
			return info, nil
		}
	}
	return Info{}, fmt.Errorf("image %s: %w", digest, runtime.ErrNoImage)
}

// List describes all images here, by digest. The host image is in it, and is
// made for that if it has to be.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	if _, err := s.host.ensure(); err != nil {
		s.log.Warn("no host image", "err", err)
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, kind := range []string{"host", "images"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, kind))
		if err != nil {
			return nil, fmt.Errorf("list images: %w", err)
		}
		for _, e := range entries {
			info, err := readInfo(filepath.Join(s.dir, kind, e.Name()))
			if errors.Is(err, fs.ErrNotExist) {
				continue // swept meanwhile
			}
			if err = errors.Join(err, ctx.Err()); err != nil {
				return nil, fmt.Errorf("list images: %w", err)
			}
			info.Names = names[info.Digest]
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Digest, b.Digest) })
	return all, nil
}

// Remove takes a name away. The image itself goes with the next Sweep, if no
// other name and no computer needs it. An unknown name is success; "host"
// cannot be removed.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	if err := os.Remove(s.nameFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}

// Sweep deletes the images that have no name and are not in used, which lists
// the digests that computers stand on, and reports how many it deleted. The
// caller sees to it that no computer is created meanwhile.
func (s *Store) Sweep(ctx context.Context, used []string) (int, error) {
	all, err := s.List(ctx)
	if err != nil {
		return 0, err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	names, err := s.names()
	if err != nil {
		return 0, err
	}
	deleted := 0
	for _, info := range all {
		if len(names[info.Digest]) > 0 || slices.Contains(used, info.Digest) {
			continue
		}
		hexDigest := strings.TrimPrefix(info.Digest, digestPrefix)
		for _, kind := range []string{"host", "images"} {
			if err := s.discard(filepath.Join(s.dir, kind, hexDigest)); err != nil {
				return deleted, fmt.Errorf("delete image %s: %w", info.Digest, err)
			}
		}
		deleted++
	}
	return deleted, ctx.Err()
}

// discard moves a directory away first, so that it is never half there.
func (s *Store) discard(dir string) error {
	away, err := s.temp("gone")
	if err != nil {
		return err
	}
	err = os.Rename(dir, filepath.Join(away, "x"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(away))
}

// temp makes a directory of its own for something unfinished.
func (s *Store) temp(kind string) (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), kind+"-")
	if err != nil {
		return "", fmt.Errorf("make a work directory for images: %w", err)
	}
	return dir, nil
}

// place puts a finished directory where it belongs. Another that is there
// already holds the same, because its name is its digest.
func place(fresh, dir string) error {
	// A power cut must not leave a whole directory of empty files.
	if err := syncDirOf(fresh); err != nil {
		return fmt.Errorf("write an image: %w", err)
	}
	err := os.Rename(fresh, dir)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("place an image: %w", err)
	}
	return nil
}

// syncDirOf writes the whole file system that path is on to disk.
func syncDirOf(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func writeInfo(dir string, info Info) error {
	text, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("describe an image: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "info.json"), text, 0o600)
}

func readInfo(dir string) (Info, error) {
	var info Info
	text, err := os.ReadFile(filepath.Join(dir, "info.json"))
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(text, &info)
}

func parseDigest(digest string) (string, error) {
	text, ok := strings.CutPrefix(digest, digestPrefix)
	raw, err := hex.DecodeString(text)
	if !ok || err != nil || len(raw) != 32 || strings.ToLower(text) != text {
		return "", fmt.Errorf("%w: %.80q is no digest", runtime.ErrInvalid, digest)
	}
	return text, nil
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
