package image

import (
	"context"
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

// Import unpacks an image and gives it a name, which it takes from another
// image if that has it. path is an OCI archive (tar, also compressed), an OCI
// layout directory, or what `docker save` writes for one image. It must hold
// one image for this machine's architecture. An image that is here already
// only gets the name. Errors are runtime.ErrInvalid for what is no such image
// or is damaged, runtime.ErrFull when the disk is.
func (s *Store) Import(ctx context.Context, name, path string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	digest, err := s.bring(ctx, name, path)
	if err != nil {
		return "", fmt.Errorf("import image %s: %w", name, full(err))
	}
	return digest, nil
}

func (s *Store) bring(ctx context.Context, name, path string) (string, error) {
	work, err := s.temp("import")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	source, err := s.openSource(ctx, path, filepath.Join(work, "archive"))
	if err != nil {
		return "", err
	}
	defer source.Close()
	found, err := readSource(source)
	if err != nil {
		return "", err
	}
	return found.digest.String(), s.keep(ctx, work, found, name)
}

// keep unpacks an image, unless it is here, and names it.
func (s *Store) keep(ctx context.Context, work string, found source, name string) error {
	digest := found.digest.String()
	if _, err := parseDigest(digest); err != nil {
		return err
	}
	if s.has(ctx, digest) {
		return s.Name(ctx, name, digest)
	}
	image := filepath.Join(work, "image")
	if n := len(found.layers); n == 0 || n > maxApart {
		if err := s.unpackAll(ctx, found, image); err != nil {
			return err
		}
		return s.placeNamed(image, s.imageDir(digest), name, digest)
	}
	info, fresh, err := s.unpackApart(ctx, work, found)
	if err == nil {
		err = os.Mkdir(image, 0o700)
	}
	if err == nil {
		err = writeInfo(image, info)
	}
	if err != nil {
		return err
	}
	return s.placeImage(image, info, fresh, func() error { return s.setName(name, digest) })
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
		if !here {
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

// openSource opens a layout, unpacking an archive of one first.
func (s *Store) openSource(ctx context.Context, path, unpacked string) (*os.Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return os.OpenRoot(path)
	}
	if err := os.Mkdir(unpacked, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(unpacked)
	if err != nil {
		return nil, err
	}
	if err := s.unpackArchive(ctx, path, root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
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
	got, err := unpackTar(ctx, u, plain)
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
