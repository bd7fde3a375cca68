package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// makeTime bounds the making of an image, the wait for another's included.
	makeTime = 20 * time.Minute
	// failureTime is how long a failure is the answer before it is tried again.
	failureTime = 30 * time.Second
)

// State is what a store has of an image.
type State string

const (
	Active    State = "active"    // it is here
	Available State = "available" // it is made when it is asked for
	Building  State = "building"  // it is being made
	Failed    State = "failed"    // its making failed; Info.Reason says why
)

// makings are the images that a store makes by itself, one at a time. They go
// on when who asked has left.
type makings struct {
	recipes map[string]Recipe
	life    context.Context
	end     context.CancelFunc
	aside   sync.WaitGroup
	turn    chan struct{} // holds one while an image is made
	patient time.Duration // failureTime but in tests

	mu     sync.Mutex
	all    map[string]*making // the last of each name
	closed bool
}

// making is one try to make an image.
type making struct {
	done chan struct{} // closed at the end; what is below is then fixed

	mu     sync.Mutex
	step   string
	digest string
	err    error
	ended  time.Time // zero while it goes on
}

func newMakings(recipes []Recipe) *makings {
	m := &makings{recipes: map[string]Recipe{}, turn: make(chan struct{}, 1), patient: failureTime, all: map[string]*making{}}
	m.life, m.end = context.WithCancel(context.Background())
	for _, r := range recipes {
		m.recipes[r.Name] = r
	}
	return m
}

// close ends what is being made and waits for its end.
func (m *makings) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.aside.Wait()
}

// say notes the step that a making is at.
func (m *making) say(step string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.step = step
}

func (m *making) finish(digest string, err error) {
	m.mu.Lock()
	m.digest, m.err, m.ended = digest, err, time.Now()
	m.mu.Unlock()
	close(m.done)
}

// state reports what a list says of the making: where it is, or why it failed.
func (m *making) state() (State, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended.IsZero():
		return Building, m.step
	case m.err != nil:
		return Failed, m.err.Error()
	}
	return Available, "" // made, and removed since
}

// state reports what a list says of a name that has no image.
func (m *makings) state(name string) (State, string) {
	m.mu.Lock()
	last := m.all[name]
	m.mu.Unlock()
	if last == nil {
		return Available, ""
	}
	return last.state()
}

// current is the making under way for a name, or a failure that still counts;
// else a new one, which begin is to run.
func (m *makings) current(name string, begin func(*making)) (*making, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("%w: the node is stopping", runtime.ErrUnready)
	}
	if last := m.all[name]; last != nil {
		last.mu.Lock()
		counts := last.ended.IsZero() || last.err != nil && time.Since(last.ended) < m.patient
		last.mu.Unlock()
		if counts {
			return last, nil
		}
	}
	fresh := &making{done: make(chan struct{}), step: "waiting for another image"}
	m.all[name] = fresh
	m.aside.Go(func() { begin(fresh) })
	return fresh, nil
}

// await makes an image that a recipe tells of, or waits for whoever does, as
// long as ctx allows.
func (s *Store) await(ctx context.Context, r Recipe) (string, error) {
	m, err := s.makings.current(r.Name, func(m *making) { m.finish(s.make(r, m.say)) })
	if err != nil {
		return "", fmt.Errorf("image %s: %w", r.Name, err)
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		_, step := m.state()
		return "", fmt.Errorf("image %s: %w: it is being made: %s: %w", r.Name, runtime.ErrUnready, step, ctx.Err())
	}
	if m.err != nil {
		return "", fmt.Errorf("image %s could not be made: %w", r.Name, m.err)
	}
	return m.digest, nil
}

// make waits for its turn and makes an image.
func (s *Store) make(r Recipe, say func(string)) (digest string, err error) {
	ctx, cancel := context.WithTimeout(s.makings.life, makeTime)
	defer cancel()
	defer func() {
		if err = full(err); err != nil && !errors.Is(err, runtime.ErrFull) && !errors.Is(err, runtime.ErrUnsupported) {
			err = fmt.Errorf("%w: %w", runtime.ErrUnready, err)
		}
	}()
	select {
	case s.makings.turn <- struct{}{}:
		defer func() { <-s.makings.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if digest, err := s.named(r.Name); err == nil {
		return digest, nil // imported, or made, meanwhile
	}
	begun := time.Now()
	say("beginning")
	s.log.Info("making an image", "image", r.Name)
	if digest, err = s.bootstrapImage(ctx, r, say); err != nil {
		s.log.Warn("an image could not be made", "image", r.Name, "took", time.Since(begun), "err", err)
		return "", err
	}
	s.log.Info("image made", "image", r.Name, "digest", digest, "took", time.Since(begun))
	return digest, nil
}

// bootstrapImage makes the root in a work directory and gives it its place and
// its name when it is whole.
func (s *Store) bootstrapImage(ctx context.Context, r Recipe, say func(string)) (string, error) {
	if err := s.hasRoom(r.RoomBytes); err != nil {
		return "", err
	}
	work, err := s.temp("bootstrap")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fresh, scratch := filepath.Join(work, "x"), filepath.Join(work, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return "", err
	}
	rootfs, err := makeRoot(fresh)
	if err != nil {
		return "", err
	}
	u, err := s.newUnpacker(rootfs, s.limits)
	if err != nil {
		return "", err
	}
	defer u.close()
	packages, err := s.unpackBootstrap(ctx, bootstrap{packages: r.Packages, dir: scratch, say: say}, u)
	if err != nil {
		return "", err
	}
	say("finishing")
	files, err := s.layFiles(ctx, r, u)
	if err != nil {
		return "", err
	}
	hexDigest := chained(packages, files)
	info := Info{Digest: digestPrefix + hexDigest, Description: r.Description, Bytes: s.limits.bytes - u.bytes, Created: time.Now().UTC(), Config: r.Config}
	if err := writeInfo(fresh, info); err != nil {
		return "", err
	}
	return info.Digest, s.placeNamed(fresh, filepath.Join(s.dir, "images", hexDigest), r.Name, info.Digest)
}

// unpackBootstrap unpacks the root while it is written.
func (s *Store) unpackBootstrap(ctx context.Context, b bootstrap, u *unpacker) (packed Packed, err error) {
	err = piped(
		func(to io.Writer) error { return s.bootstrap(ctx, b, to) },
		func(from io.Reader) (err error) {
			packed, err = unpackTar(ctx, u, from)
			return err
		})
	return packed, err
}

// layFiles puts a recipe's own files over the packages'.
func (s *Store) layFiles(ctx context.Context, r Recipe, u *unpacker) (Packed, error) {
	keys, err := s.keys()
	if err != nil {
		return Packed{}, err
	}
	packed, err := packFiles(r.Files, keys)
	if err != nil {
		return Packed{}, err
	}
	return unpackTar(ctx, u, bytes.NewReader(packed))
}

// chained is the digest of layers over each other, as OCI images name it.
func chained(lower, upper Packed) string {
	sum := sha256.Sum256([]byte(lower.ID + " " + upper.ID))
	return hex.EncodeToString(sum[:])
}
