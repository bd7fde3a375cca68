package image

import (
	"context"
	"encoding/hex"
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
	// Dir is the store's own directory. Of the processes that have it open at
	// once, such as a node and a command beside it, one may make images.
	Dir string
	Log *slog.Logger
	// Recipes are the images that are made when asked for; nil means none.
	Recipes []Recipe
	// Sources is a file that tells where Debian's packages come from, in a
	// format of apt's; "" means as this machine has it set up.
	Sources string
	// Insecure are the registries, each a host or host:port, that may lack TLS.
	Insecure []string

	// machine is the root that the host image is made of; "/" but in tests.
	machine string
	// limits bound imported images; the defaults but in tests.
	limits limits
	// bootstrap makes a Debian root; with mmdebstrap but in tests.
	bootstrap bootstrapper
}

// Store keeps the images of a node. Its methods may be called from any
// goroutine.
type Store struct {
	dir    string
	log    *slog.Logger
	limits limits
	// insecure are as in Options.
	insecure []string
	host     *host
	// makings are the images made here, with bootstrap and keys.
	makings   *makings
	bootstrap bootstrapper
	keys      func() (map[string][]byte, error)
	// open is held, shared, while the store is open; see clearUnfinished.
	open *os.File
	// placing is held while names and image directories change.
	placing gate
	// uses counts, by digest, those who hold an image; guarded by placing.
	uses map[string]int
	// fetches are the images that come from other nodes, fetching one token for
	// each that is under way, and cutPause is as the constant but in tests.
	fetches  *sharing
	fetching chan struct{}
	cutPause time.Duration
	// disk is how much of the disk is free in tests; nil elsewhere.
	disk func() int64
	// removeAll is that of package os but in tests.
	removeAll func(string) error
	// sync is syncDirOf but in tests.
	sync func(string) error
}

// Layer is a read-only directory of an image and where it belongs in the
// computer's root. Layers with the same Target make one overlay together, the
// first of them on top. The layers of "/" come first, and they hold an empty
// directory for each further target.
type Layer struct{ Path, Target string }

// Open opens the store in opts.Dir and clears away what an ended process has
// left unfinished. It builds nothing yet.
func Open(opts Options) (*Store, error) {
	if opts.machine == "" {
		opts.machine = "/"
	}
	if opts.limits == (limits{}) {
		opts.limits = defaultLimits
	}
	system := debian{machine: opts.machine, sources: opts.Sources}
	s := &Store{
		dir: opts.Dir, log: opts.Log, limits: opts.limits, insecure: opts.Insecure, makings: newMakings(opts.Recipes), bootstrap: system.bootstrap, keys: system.keys,
		uses: map[string]int{}, fetches: newSharing(), fetching: make(chan struct{}, maxFetches), cutPause: cutPause,
		removeAll: os.RemoveAll, sync: syncDirOf,
	}
	if opts.bootstrap != nil {
		s.bootstrap, s.keys = opts.bootstrap, func() (map[string][]byte, error) { return nil, nil }
	}
	s.host = &host{machine: opts.machine, dir: filepath.Join(opts.Dir, "host"), temp: s.temp, settle: s.settle, log: opts.Log}
	for _, sub := range []string{"", "tmp", "names", "images", "layers", "cache", "host"} {
		// Images hold programs that run as their owner, such as sudo. Nobody
		// on this machine may reach them here.
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open the image store: %w", err)
		}
	}
	if err := errors.Join(s.placing.open(filepath.Join(s.dir, "names")), s.clearUnfinished()); err != nil {
		return nil, fmt.Errorf("open the image store: %w", err)
	}
	return s, nil
}

// Close ends what is being made or fetched and waits for its end.
func (s *Store) Close() error {
	s.makings.close()
	s.fetches.close()
	return errors.Join(s.placing.close(), s.open.Close())
}

// clearUnfinished empties tmp, unless another process has the store open: what
// is there may be its work.
func (s *Store) clearUnfinished() (err error) {
	dir := filepath.Join(s.dir, "tmp")
	if s.open, err = os.Open(dir); err != nil {
		return err
	}
	fd := int(s.open.Fd())
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return errors.Join(err, s.open.Close())
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return errors.Join(err, s.open.Close())
			}
		}
	}
	if err := unix.Flock(fd, unix.LOCK_SH); err != nil {
		return errors.Join(err, s.open.Close())
	}
	return nil
}

// Resolve reports the digest that a name stands for: "host", the name of an
// imported image, or a digest that is here. Resolving "host" makes that image
// if this machine's packages have changed. Resolving the name of a recipe makes
// that image of packages, which it waits for, unless it is here; when ctx ends
// first, that is runtime.ErrUnready and the making goes on, so that a later call
// finds it.
// A making that fails is runtime.ErrUnready too, runtime.ErrFull without disk
// for it, runtime.ErrUnsupported where this machine cannot. runtime.ErrNoImage:
// no such image.
func (s *Store) Resolve(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if name == Host {
		return s.host.ensure()
	}
	if !strings.HasPrefix(name, digestPrefix) {
		digest, err := s.named(name)
		if r, ok := s.makings.recipes[name]; ok && errors.Is(err, runtime.ErrNoImage) {
			return s.await(ctx, r)
		}
		return digest, err
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
	info, err := readInfo(filepath.Dir(root))
	if err == nil && info.Base != "" {
		base, err := s.Layers(ctx, info.Base)
		return s.over(info.Layers, base), err
	}
	if err == nil && len(info.Layers) > 0 {
		var all []Layer
		for _, id := range slices.Backward(info.Layers) {
			all = append(all, Layer{Path: filepath.Join(s.layerDir(id), "root"), Target: "/"})
		}
		return all, nil
	}
	if layers, ok := s.host.layers(hexDigest); ok {
		return layers, nil
	}
	return nil, fmt.Errorf("image %s: %w", digest, runtime.ErrNoImage)
}

// Use keeps an image that is here from being swept until release is called,
// which may be again. runtime.ErrNoImage: it is not here.
func (s *Store) Use(ctx context.Context, digest string) (release func(), err error) {
	s.placing.Lock()
	defer s.placing.Unlock()
	if _, err := s.Layers(ctx, digest); err != nil {
		return nil, err
	}
	return s.hold(digest), nil
}

// hold counts one more who holds an image. placing is held.
func (s *Store) hold(digest string) (release func()) {
	s.uses[digest]++
	return sync.OnceFunc(func() {
		s.placing.Lock()
		defer s.placing.Unlock()
		if s.uses[digest]--; s.uses[digest] == 0 {
			delete(s.uses, digest)
		}
	})
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

// temp makes a directory of its own for something unfinished.
func (s *Store) temp(kind string) (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), kind+"-")
	if err != nil {
		return "", fmt.Errorf("make a work directory for images: %w", err)
	}
	return dir, nil
}

// settle has what was written be on the disk before it gets its place: a power cut
// must not leave a whole directory of empty files. Nobody waits for it with placing
// held, as it takes as long as others have written.
func (s *Store) settle(fresh string) error {
	if err := s.sync(fresh); err != nil {
		return fmt.Errorf("write an image: %w", err)
	}
	return nil
}

// place puts a finished directory, which is settled, where it belongs. Another that
// is there already holds the same, because its name is its digest.
func place(fresh, dir string) error {
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
