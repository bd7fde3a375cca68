package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bothy-computer/bothy/runtime"
)

// limits bound what an imported image may hold.
type limits struct {
	entries int   // names in all layers together
	bytes   int64 // that files hold, in all layers together, or an archive
}

var defaultLimits = limits{entries: 1_000_000, bytes: 32 << 30}

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
	hexDigest, err := parseDigest(found.digest.String())
	if err != nil {
		return "", err
	}
	place := filepath.Join(s.dir, "images", hexDigest)
	fresh := filepath.Join(work, "x")
	if !isDir(place) {
		if err := s.unpackAll(ctx, source, found, fresh); err != nil {
			return "", err
		}
	}
	return found.digest.String(), s.placeNamed(fresh, place, name, found.digest.String())
}

// placeNamed does both while no sweep runs: an image without a name is one
// that a sweep takes.
func (s *Store) placeNamed(fresh, dir, name, digest string) error {
	s.placing.Lock()
	defer s.placing.Unlock()
	if isDir(fresh) {
		if err := place(fresh, dir); err != nil {
			return err
		}
	}
	if !isDir(dir) {
		return errors.New("the image was swept while it was imported again; import it once more")
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
	if err := unpackArchive(ctx, path, root, s.limits.bytes); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

func (s *Store) unpackAll(ctx context.Context, source *os.Root, found source, fresh string) error {
	rootfs, err := makeRoot(fresh)
	if err != nil {
		return err
	}
	u, err := newUnpacker(rootfs, s.limits)
	if err != nil {
		return err
	}
	defer u.close()
	for i, l := range found.layers {
		if err := unpackLayer(ctx, source, l, u); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(found.layers), err)
		}
	}
	if u.skipped > 0 {
		s.log.Info("image import left devices and pipes out", "digest", found.digest.String(), "count", u.skipped)
	}
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
func unpackLayer(ctx context.Context, source *os.Root, l layer, u *unpacker) error {
	f, err := source.Open(l.path)
	if err != nil {
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
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
