package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// layerBytes is the length of the one layer of a fake image.
const layerBytes = 1 << 20

// digestOf is what a name stands for when nobody said so.
func digestOf(name string) string {
	if strings.HasPrefix(name, "sha256:") {
		return name
	}
	return "sha256:" + name
}

// ImageManifest implements runtime.Distributor. Only the images that the room
// names can be had by others.
func (d *Driver) ImageManifest(_ context.Context, digest string) ([]byte, error) {
	if len(d.opts.Room.Images) == 0 || !d.has(digest) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNoImage, digest)
	}
	return []byte("fake " + digest), nil
}

// WriteImageLayer implements runtime.Distributor.
func (d *Driver) WriteImageLayer(_ context.Context, id string, offset int64, to io.Writer) error {
	if !d.has(id) {
		return fmt.Errorf("%w: %s", runtime.ErrNoImage, id)
	}
	_, err := io.WriteString(to, strings.Repeat("x", int(max(0, layerBytes-offset))))
	return err
}

// FetchImage implements runtime.Distributor. A manifest that is not a fake
// image's is one of another machine's host image.
func (d *Driver) FetchImage(ctx context.Context, name, digest string, from runtime.ImageSource) error {
	d.mu.Lock()
	here := d.images[digest] != ""
	if here && name != "" {
		d.images[name] = digest
	}
	d.mu.Unlock()
	if here {
		return nil
	}
	text, err := from.Manifest(ctx, digest)
	if err != nil {
		return err
	}
	if string(text) != "fake "+digest {
		return fmt.Errorf("%w: %.80q", runtime.ErrOtherHost, text)
	}
	layer, err := from.Layer(ctx, digest, 0)
	if err != nil {
		return err
	}
	defer layer.Close()
	if n, err := io.Copy(io.Discard, layer); err != nil || n != layerBytes {
		return fmt.Errorf("%w: %d bytes of image %s: %w", runtime.ErrUnready, n, digest, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[digest] = digest
	if name != "" {
		d.images[name] = digest
	}
	return nil
}

// ForgetImage implements runtime.ImageSweeper; those of the room stay.
func (d *Driver) ForgetImage(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.images, name)
	return nil
}

// SweepImages implements runtime.ImageSweeper. Only images that were brought
// take room.
func (d *Driver) SweepImages(_ context.Context, keep []string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for digest := range d.archives {
		if slices.Contains(keep, digest) || d.holds[digest] > 0 || d.used(digest) {
			continue
		}
		delete(d.archives, digest)
		delete(d.images, digest)
		n++
	}
	return n, nil
}

// used reports whether a computer stands on an image. d.mu is held.
func (d *Driver) used(digest string) bool {
	for _, c := range d.computers {
		if c.spec.Image == digest {
			return true
		}
	}
	return false
}

// ImportImage implements runtime.Importer. Anything that is not empty is an
// image, named by the digest of its bytes.
func (d *Driver) ImportImage(_ context.Context, from io.Reader) (runtime.Brought, error) {
	archive, err := io.ReadAll(from)
	if err == nil && len(archive) == 0 {
		err = fmt.Errorf("%w: it is empty, so it is no image", runtime.ErrInvalid)
	}
	if err != nil {
		return runtime.Brought{}, err
	}
	return d.bring(archive), nil
}

func (d *Driver) bring(archive []byte) runtime.Brought {
	sum := sha256.Sum256(archive)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[digest], d.archives[digest] = digest, archive
	d.holds[digest]++
	return runtime.Brought{Digest: digest, Bytes: int64(len(archive)), Release: sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.holds[digest]--
	})}
}

// PullFunc plays a registry: it returns the archive of an image.
type PullFunc func(ctx context.Context, p runtime.Pull) (archive []byte, err error)

// PlayPulls sets the registry; nil is one that does not answer.
func (d *Driver) PlayPulls(f PullFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pulls = f
}

// PullImage implements runtime.Importer.
func (d *Driver) PullImage(ctx context.Context, p runtime.Pull) (runtime.Brought, error) {
	d.mu.Lock()
	play := d.pulls
	d.mu.Unlock()
	if play == nil {
		return runtime.Brought{}, fmt.Errorf("%w: no registry answers", runtime.ErrUnready)
	}
	archive, err := play(ctx, p)
	if err != nil {
		return runtime.Brought{}, err
	}
	return d.bring(archive), nil
}

// ExportImage implements runtime.Importer. Images of the room stand on the
// machine's own files.
func (d *Driver) ExportImage(_ context.Context, digest, _ string, to io.Writer) error {
	d.mu.Lock()
	archive, ok := d.archives[digest]
	d.mu.Unlock()
	switch {
	case ok:
	case d.has(strings.TrimPrefix(digest, "sha256:")):
		return fmt.Errorf("%w: it stands on this machine's own files", runtime.ErrUnsupported)
	default:
		return fmt.Errorf("%w: %s", runtime.ErrNoImage, digest)
	}
	_, err := to.Write(archive)
	return err
}
