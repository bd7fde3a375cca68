package fake

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

// layerBytes is the length of the one layer of a fake image.
const layerBytes = 1 << 20

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
	d.images[digest] = true
	if name != "" {
		d.images[name] = true
	}
	return nil
}

// ForgetImage implements runtime.ImageSweeper; those of the room stay.
func (d *Driver) ForgetImage(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[name] = false
	return nil
}

// SweepImages implements runtime.ImageSweeper. Fake images take no room.
func (d *Driver) SweepImages(context.Context) (int, error) { return 0, nil }
