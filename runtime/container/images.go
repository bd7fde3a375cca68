package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
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
				Desktop: i.Config.Desktop != "", Bytes: i.Bytes, Created: i.Created, BuiltIn: d.Images.Makes(name)})
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

const (
	// newImageTime is how long an image stays that nothing needs: it may have
	// been built or fetched for a computer that is about to be made.
	newImageTime = 10 * time.Minute
	// lowDiskBytes is how much of the disk is kept free of build steps.
	lowDiskBytes = 2 << 30
)

// ForgetImage implements runtime.ImageSweeper.
func (d *Driver) ForgetImage(ctx context.Context, name string) error {
	return d.Images.Remove(ctx, name)
}

// SweepImages implements runtime.ImageSweeper. Whoever makes a computer of an
// image, or puts one on it, holds that until the record names it.
func (d *Driver) SweepImages(ctx context.Context, keep []string) (int, error) {
	return d.Images.Sweep(ctx, image.Sweeping{Spare: newImageTime, FreeBytes: lowDiskBytes,
		Used: func() ([]string, error) {
			used, err := d.usedImages(ctx)
			return append(used, keep...), err
		}})
}

// ImportImage implements runtime.Importer.
func (d *Driver) ImportImage(ctx context.Context, from io.Reader) (runtime.Brought, error) {
	return d.Images.Import(ctx, from)
}

// PullImage implements runtime.Importer.
func (d *Driver) PullImage(ctx context.Context, p runtime.Pull) (runtime.Brought, error) {
	return d.Images.Pull(ctx, p)
}

// ExportImage implements runtime.Importer.
func (d *Driver) ExportImage(ctx context.Context, digest, name string, to io.Writer) error {
	return d.Images.Export(ctx, digest, name, to)
}

// usedImages lists what computers stand on, then what snapshots do: one is taken
// while its computer is there.
func (d *Driver) usedImages(ctx context.Context) ([]string, error) {
	ids, err := d.ids()
	if err != nil {
		return nil, err
	}
	var used []string
	for _, id := range ids {
		r, err := d.load(id)
		if errors.Is(err, runtime.ErrNotFound) {
			continue // being made, by somebody who holds the image, or being removed
		}
		if err != nil {
			return nil, err
		}
		used = append(used, r.Image)
	}
	kept, err := d.Snapshots(ctx, "")
	for _, s := range kept {
		used = append(used, s.Image)
	}
	return used, err
}
