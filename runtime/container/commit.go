package container

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// ownFiles are those of a computer's root that are about this one computer, and
// no part of an image.
var ownFiles = []string{"etc/hostname", "etc/hosts", "etc/resolv.conf"}

// Commit makes an image of a computer that does not run: the image it stands
// on, its layer over that, and a configuration. Its workspace is no part of it.
// It reports the image's digest, remembered under key; see image.Store.Commit.
// A computer that runs is runtime.ErrInvalid.
func (d *Driver) Commit(ctx context.Context, epoch runtime.Epoch, id runtime.ID, config image.Config, key string) (string, error) {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return "", err
	}
	defer release()
	trees, err := d.upperTrees(ctx, id, r)
	if err != nil {
		return "", fmt.Errorf("commit %s: %w", id, err)
	}
	digest, err := d.Images.Commit(ctx, image.Change{Parent: r.Image, Trees: trees, IDs: r.Range, Config: config, Key: key})
	if err != nil {
		return "", fmt.Errorf("commit %s: %w", id, err)
	}
	return digest, nil
}

// upperTrees are the directories that hold what a computer has changed.
func (d *Driver) upperTrees(ctx context.Context, id runtime.ID, r record) ([]image.Tree, error) {
	if err := d.rest(ctx, id, &r); err != nil {
		return nil, err
	}
	volume, ok := d.Pool.Path(string(id))
	if !ok {
		return nil, fmt.Errorf("its volume is gone: %w", runtime.ErrNotFound)
	}
	layers, err := d.Images.Layers(ctx, r.Image)
	if err != nil {
		return nil, err
	}
	trees := []image.Tree{{Path: filepath.Join(volume, "root/upper"), At: ".", Skip: ownFiles}}
	for _, l := range layers {
		if part, err := overlayOf(l); err != nil {
			return nil, err
		} else if part == "usr" {
			return append(trees, image.Tree{Path: filepath.Join(volume, "usr/upper"), At: "usr"}), nil
		}
	}
	return trees, nil
}
