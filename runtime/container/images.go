package container

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
)

// ListImages implements runtime.Imager. An image of several names is told under
// each; one that only its digest names is left out.
func (d *Driver) ListImages(ctx context.Context) ([]runtime.Image, error) {
	infos, err := d.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var all []runtime.Image
	for _, i := range infos {
		for _, name := range i.Names {
			all = append(all, runtime.Image{Name: name, Digest: i.Digest, Description: i.Description, State: string(i.State), Reason: i.Reason,
				Desktop: i.Config.Desktop != "", Created: i.Created})
		}
	}
	slices.SortFunc(all, func(a, b runtime.Image) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// ImageManifest implements runtime.Distributor.
func (d *Driver) ImageManifest(ctx context.Context, digest string) ([]byte, error) {
	m, err := d.Images.Describe(ctx, digest)
	if err != nil {
		return nil, err
	}
	return m.Encode()
}

// WriteImageLayer implements runtime.Distributor.
func (d *Driver) WriteImageLayer(ctx context.Context, id string, offset int64, to io.Writer) error {
	return d.Images.WriteLayer(ctx, id, offset, to)
}

// FetchImage implements runtime.Distributor.
func (d *Driver) FetchImage(ctx context.Context, name, digest string, from runtime.ImageSource) error {
	if err := d.Images.Fetch(ctx, digest, from); err != nil || name == "" {
		return err
	}
	return d.Images.Name(ctx, name, digest)
}
