package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxFetches bounds the images that come from other nodes at once.
	maxFetches = 2
	// fetchTime bounds one fetch, the wait for its turn included.
	fetchTime = 30 * time.Minute
	// maxCuts is how often in a row a layer's stream may end without a byte
	// before its fetch fails; cutPause is the pause after the first, which then
	// doubles.
	maxCuts  = 5
	cutPause = 200 * time.Millisecond
)

// Fetch brings an image from another store, with the same digest. What is here
// already is not asked for, a stream that is cut goes on where it was, and
// nothing of the image can be seen before all of it is here and was checked.
// Callers who want the same image at once share the work, which goes on while
// one of them waits. runtime.ErrOtherHost: the image stands on the source's own
// host image, and this machine's is another. runtime.ErrInvalid: the source
// sent something else. runtime.ErrNoImage: it has no such image either.
//
// Layers, and images made of them, are named by what they hold, so that is what
// comes. For what an image was imported from, or made by, the source is trusted.
func (s *Store) Fetch(ctx context.Context, digest string, from runtime.ImageSource) error {
	if _, err := parseDigest(digest); err != nil {
		return err
	}
	if s.has(ctx, digest) {
		return nil
	}
	err := s.fetches.do(ctx, digest, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, fetchTime)
		defer cancel()
		select {
		case s.fetching <- struct{}{}:
			defer func() { <-s.fetching }()
		case <-ctx.Done():
			return ctx.Err()
		}
		begun := time.Now()
		err := s.fetch(ctx, digest, from)
		s.log.Info("image fetched", "digest", digest, "took", time.Since(begun), "err", err)
		return err
	})
	if err != nil {
		return fmt.Errorf("fetch image %s: %w", digest, full(err))
	}
	return nil
}

// has reports whether an image is here, whole. A host image is made for that.
func (s *Store) has(ctx context.Context, digest string) bool {
	if current, err := s.host.ensure(); err == nil && current == digest {
		return true
	}
	_, err := s.Layers(ctx, digest)
	return err == nil
}

func (s *Store) fetch(ctx context.Context, digest string, from runtime.ImageSource) error {
	if s.has(ctx, digest) {
		return nil // another one brought it meanwhile
	}
	text, err := from.Manifest(ctx, digest)
	if err != nil {
		return err
	}
	m, err := ParseManifest(text)
	if err != nil {
		return err
	}
	if m.Digest != digest {
		return fmt.Errorf("%w: it is of image %s", runtime.ErrInvalid, m.Digest)
	}
	switch {
	case m.Host && (m.Base == "" || !s.has(ctx, m.Base)):
		return runtime.ErrOtherHost
	case m.Base == "":
		return s.bringLayers(ctx, m, from)
	}
	release, err := s.useOrBring(ctx, m.Base, from)
	if err != nil {
		return err
	}
	defer release()
	return s.bringLayers(ctx, m, from)
}

// useOrBring holds the image that another one stands on, which stands on none.
func (s *Store) useOrBring(ctx context.Context, base string, from runtime.ImageSource) (release func(), err error) {
	if release, err = s.Use(ctx, base); !errors.Is(err, runtime.ErrNoImage) {
		return release, err
	}
	err = s.fetches.do(ctx, "base "+base, func(ctx context.Context) error {
		if s.has(ctx, base) {
			return nil
		}
		text, err := from.Manifest(ctx, base)
		if err != nil {
			return err
		}
		m, err := ParseManifest(text)
		if err == nil && (m.Digest != base || m.Base != "" || m.Host) {
			err = fmt.Errorf("%w: %s is no image to stand on", runtime.ErrInvalid, base)
		}
		if err != nil {
			return err
		}
		return s.bringLayers(ctx, m, from)
	})
	if err != nil {
		return nil, fmt.Errorf("the image below, %s: %w", base, err)
	}
	return s.Use(ctx, base)
}

// bringLayers fetches what is not here of an image, and gives all of it its
// places at once.
func (s *Store) bringLayers(ctx context.Context, m Manifest, from runtime.ImageSource) error {
	work, err := s.temp("fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := s.hasRoomFor(m); err != nil {
		return err
	}
	image := filepath.Join(work, "image")
	if err := os.Mkdir(image, 0o700); err != nil {
		return err
	}
	if m.Root != nil {
		if err := s.receive(ctx, from, *m.Root, image); err != nil {
			return err
		}
	}
	var fresh []freshLayer
	for i, l := range m.Layers {
		if isDir(s.layerDir(l.ID)) {
			continue
		}
		dir := filepath.Join(work, strconv.Itoa(i))
		if err := s.receive(ctx, from, l, dir); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(m.Layers), err)
		}
		fresh = append(fresh, freshLayer{l.ID, dir})
	}
	info := m.info()
	if err := writeInfo(image, info); err != nil {
		return err
	}
	return s.placeImage(image, info, fresh, nil)
}

func (s *Store) hasRoomFor(m Manifest) error {
	var need int64
	for _, l := range m.Layers {
		if !isDir(s.layerDir(l.ID)) {
			need += l.Bytes
		}
	}
	if m.Root != nil {
		need += m.Root.Bytes
	}
	return s.hasRoom(need)
}

// receive unpacks one layer, or the root of an image, while it comes.
func (s *Store) receive(ctx context.Context, from runtime.ImageSource, l Packed, fresh string) error {
	stream := &resumed{ctx: ctx, from: from, id: l.ID, pause: s.cutPause}
	defer stream.close()
	got, _, err := s.unpackAlone(ctx, stream, fresh)
	if stream.err != nil {
		return stream.err
	}
	if err == nil && got.ID != l.ID {
		err = fmt.Errorf("%w: its content is %s and not %s", runtime.ErrInvalid, got.ID, l.ID)
	}
	return err
}

// resumed reads a layer, and asks for the rest of it when its stream is cut.
type resumed struct {
	ctx   context.Context
	from  runtime.ImageSource
	id    string
	pause time.Duration

	body io.ReadCloser // nil between streams
	at   int64
	cuts int   // since the last byte
	err  error // that ended it
}

func (r *resumed) Read(p []byte) (int, error) {
	for r.err == nil {
		n, err := r.some(p)
		if r.at += int64(n); n > 0 {
			r.cuts = 0
			return n, nil // an error comes again
		}
		if err == nil || errors.Is(err, io.EOF) {
			return 0, err
		}
		r.close()
		r.cut(err)
	}
	return 0, r.err
}

func (r *resumed) some(p []byte) (n int, err error) {
	if r.body == nil {
		if r.body, err = r.from.Layer(r.ctx, r.id, r.at); err != nil {
			r.body = nil
			return 0, err
		}
	}
	return r.body.Read(p)
}

// cut waits before the next try, or decides that there is none.
func (r *resumed) cut(err error) {
	if errors.Is(err, runtime.ErrNoImage) || errors.Is(err, runtime.ErrInvalid) {
		r.err = err
		return
	}
	if r.cuts++; r.cuts > maxCuts {
		r.err = fmt.Errorf("%w: the stream of layer %s was cut at byte %d: %w", runtime.ErrUnready, r.id, r.at, err)
		return
	}
	wait := time.NewTimer(r.pause << (r.cuts - 1))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.ctx.Done():
		r.err = r.ctx.Err()
	}
}

func (r *resumed) close() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}
