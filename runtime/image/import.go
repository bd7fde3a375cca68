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

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bothy-computer/bothy/runtime"
)

// maxApart bounds the layers that an imported image keeps apart, so that builds
// have room for their own: of one with more, all lie in one root.
const maxApart = 64

// Import unpacks an image: an OCI archive (a tar of a layout, also compressed), or
// what `docker save` writes for one image. It must hold one image for this
// machine's architecture. The archive is laid out in the store's directory
// first. Every layer is read, also one that is here already: by its digest alone
// nobody comes to what others have. Errors are runtime.ErrInvalid for what is no
// such image or is damaged, runtime.ErrFull when the disk is.
func (s *Store) Import(ctx context.Context, from io.Reader) (runtime.Brought, error) {
	brought, err := s.bring(ctx, from)
	if err != nil {
		return brought, fmt.Errorf("import an image: %w", full(err))
	}
	return brought, nil
}

func (s *Store) bring(ctx context.Context, from io.Reader) (runtime.Brought, error) {
	work, err := s.temp("import")
	if err != nil {
		return runtime.Brought{}, err
	}
	defer os.RemoveAll(work)
	layout, err := s.layOut(ctx, from, filepath.Join(work, "archive"))
	if err != nil {
		return runtime.Brought{}, err
	}
	defer layout.Close()
	found, err := readSource(layout)
	if err != nil {
		return runtime.Brought{}, err
	}
	return s.keep(ctx, work, found)
}

// keep unpacks an image, of which only the layers' digests are checked if it is
// here, and holds it.
func (s *Store) keep(ctx context.Context, work string, found source) (runtime.Brought, error) {
	digest := found.digest.String()
	release, err := s.Use(ctx, digest)
	if err == nil {
		err = s.checkLayers(ctx, found)
	} else if errors.Is(err, runtime.ErrNoImage) {
		release, err = s.unpackSource(ctx, work, found)
	}
	if err != nil {
		if release != nil {
			release()
		}
		return runtime.Brought{}, err
	}
	return s.heldAs(ctx, digest, release)
}

// heldAs describes an image that is held.
func (s *Store) heldAs(ctx context.Context, digest string, release func()) (runtime.Brought, error) {
	info, err := s.Info(ctx, digest)
	if err != nil {
		release()
		return runtime.Brought{}, err
	}
	return runtime.Brought{Digest: digest, Bytes: info.Bytes, Desktop: info.Config.Desktop != "", Release: release}, nil
}

// unpackSource gives an image its place and holds it.
func (s *Store) unpackSource(ctx context.Context, work string, found source) (release func(), err error) {
	image, digest := filepath.Join(work, "image"), found.digest.String()
	info, fresh := Info{Digest: digest}, []freshLayer(nil)
	if n := len(found.layers); n == 0 || n > maxApart {
		err = s.unpackAll(ctx, found, image)
	} else if info, fresh, err = s.unpackApart(ctx, work, found); err == nil {
		if err = os.Mkdir(image, 0o700); err == nil {
			err = writeInfo(image, info)
		}
	}
	if err != nil {
		return nil, err
	}
	err = s.placeImage(image, info, fresh, func() error { release = s.hold(digest); return nil })
	return release, err
}

// unpackApart unpacks each layer by itself, but for those that are here.
func (s *Store) unpackApart(ctx context.Context, work string, found source) (info Info, fresh []freshLayer, err error) {
	known, err := s.diffs(ctx)
	if err != nil {
		return info, nil, err
	}
	info = Info{Digest: found.digest.String(), Created: time.Now().UTC(), Config: found.config, Diffs: map[string]string{}}
	left, skipped := s.limits, 0
	for i, l := range found.layers {
		diff := l.diffID.String()
		id, here := known[diff]
		if here {
			if err := s.checkLayer(ctx, l); err != nil {
				return info, nil, fmt.Errorf("layer %d of %d: %w", i+1, len(found.layers), err)
			}
		} else {
			f := freshLayer{dir: filepath.Join(work, strconv.Itoa(i))}
			packed, n, err := s.unpackDiff(ctx, l, f.dir, &left)
			if err != nil {
				return info, nil, fmt.Errorf("layer %d of %d: %w", i+1, len(found.layers), err)
			}
			id, f.id, skipped, known[diff] = packed.ID, packed.ID, skipped+n, packed.ID
			fresh = append(fresh, f)
		}
		info.Layers, info.Diffs[diff] = onTop(info.Layers, id), id
	}
	s.tellSkipped(found, skipped)
	for _, id := range info.Layers {
		info.Bytes += s.layerBytes(id)
	}
	info.Bytes += s.limits.bytes - left.bytes
	return info, fresh, nil
}

// unpackDiff unpacks one layer of an image. Its id is that of the tar it packs
// to, as of every layer here; the tar that it came as may be written otherwise.
func (s *Store) unpackDiff(ctx context.Context, l layer, fresh string, left *limits) (packed Packed, skipped int, err error) {
	rootfs, err := makeRoot(fresh)
	if err != nil {
		return packed, 0, err
	}
	u, err := s.newUnpacker(rootfs, *left)
	if err != nil {
		return packed, 0, err
	}
	defer u.close()
	u.alone = true
	if err := unpackLayer(ctx, l, u); err != nil {
		return packed, 0, err
	}
	*left = u.limits
	if packed, err = s.measure(ctx, rootfs); err != nil {
		return packed, 0, err
	}
	return packed, u.skipped, writeLayerBytes(fresh, packed.Bytes)
}

// diffs maps what layers were imported from to those that are here.
func (s *Store) diffs(ctx context.Context) (map[string]string, error) {
	all, err := s.active(ctx)
	known := map[string]string{}
	for _, info := range all {
		for diff, id := range info.Diffs {
			if isDir(s.layerDir(id)) {
				known[diff] = id
			}
		}
	}
	return known, err
}

func (s *Store) tellSkipped(found source, n int) {
	if n > 0 {
		s.log.Info("image import left devices and pipes out", "digest", found.digest.String(), "count", n)
	}
}

// placeNamed does both while no sweep runs: an image without a name is one
// that a sweep takes.
func (s *Store) placeNamed(fresh, dir, name, digest string) error {
	if err := s.settle(fresh); err != nil {
		return err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	if err := place(fresh, dir); err != nil {
		return err
	}
	return s.setName(name, digest)
}

// layOut unpacks the archive of a layout.
func (s *Store) layOut(ctx context.Context, from io.Reader, dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := s.unpackArchive(ctx, from, root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// checkLayers reads the layers of an image that is here.
func (s *Store) checkLayers(ctx context.Context, found source) error {
	for i, l := range found.layers {
		if err := s.checkLayer(ctx, l); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(found.layers), err)
		}
	}
	return nil
}

// checkLayer reads a layer and keeps nothing of it.
func (s *Store) checkLayer(ctx context.Context, l layer) error {
	return readLayer(l, func(plain io.Reader) (Packed, error) {
		stream := newHasher(&capped{ctx: ctx, from: plain, left: s.limits.bytes + int64(s.limits.entries)*tarOverheadBytes})
		if _, err := io.Copy(io.Discard, stream); err != nil {
			return Packed{}, badTar(err)
		}
		return Packed{ID: stream.digest().String(), Bytes: stream.bytes}, nil
	})
}

// unpackAll lays all layers over each other in one root.
func (s *Store) unpackAll(ctx context.Context, found source, fresh string) error {
	rootfs, err := makeRoot(fresh)
	if err != nil {
		return err
	}
	u, err := s.newUnpacker(rootfs, s.limits)
	if err != nil {
		return err
	}
	defer u.close()
	for i, l := range found.layers {
		if err := unpackLayer(ctx, l, u); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(found.layers), err)
		}
	}
	s.tellSkipped(found, u.skipped)
	return writeInfo(fresh, Info{
		Digest: found.digest.String(), Bytes: s.limits.bytes - u.bytes, Created: time.Now().UTC(), Config: found.config,
	})
}

// makeRoot makes the directory of a new image and in it that of its root.
func makeRoot(fresh string) (string, error) {
	rootfs := filepath.Join(fresh, "root")
	if err := os.MkdirAll(rootfs, 0o700); err != nil {
		return "", err
	}
	return rootfs, os.Chmod(rootfs, 0o755)
}

// unpackLayer checks a layer's digests while it unpacks it. What it has
// unpacked is thrown away with the rest if they are not as promised.
func unpackLayer(ctx context.Context, l layer, u *unpacker) error {
	return readLayer(l, func(plain io.Reader) (Packed, error) { return unpackTar(ctx, u, plain) })
}

// readLayer has a layer's tar taken and checks that it was what was promised.
func readLayer(l layer, take func(plain io.Reader) (Packed, error)) error {
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	packed := newHasher(f)
	plain, err := decompress(packed)
	if err != nil {
		return err
	}
	defer plain.Close()
	got, err := take(plain)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return err
	}
	if got.ID != l.diffID.String() {
		return fmt.Errorf("%w: its content is %s and not %s", runtime.ErrInvalid, got.ID, l.diffID)
	}
	if got := packed.digest(); l.digest != (v1.Hash{}) && got != l.digest {
		return fmt.Errorf("%w: its file is %s and not %s", runtime.ErrInvalid, got, l.digest)
	}
	return nil
}

// unpackTar unpacks one tar over what is there, reads it to its end, and
// reports its digest and length.
func unpackTar(ctx context.Context, u *unpacker, from io.Reader) (Packed, error) {
	// Headers and padding come on top of what files hold.
	stream := newHasher(&capped{ctx: ctx, from: from, left: u.bytes + int64(u.entries)*tarOverheadBytes})
	if err := u.layer(stream); err != nil {
		return Packed{}, err
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return Packed{}, err
	}
	return Packed{ID: stream.digest().String(), Bytes: stream.bytes}, nil
}
