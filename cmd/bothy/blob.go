package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/snapshot"
)

// BlobConfig says where the disks of computers are saved off their nodes: the
// same place for all nodes of a cluster. Nothing set means nowhere.
type BlobConfig struct {
	Directory string `yaml:"directory"` // that all nodes share, as an absolute path
	Uploads   int    `yaml:"uploads"`   // pieces that a node sends at once
	Bandwidth Bytes  `yaml:"bandwidth"` // a node sends in a second at most; 0 is no bound
}

func (c BlobConfig) check() error {
	var errs []error
	if c.Directory != "" && !filepath.IsAbs(c.Directory) {
		errs = append(errs, fmt.Errorf("blob.directory: %q is no absolute path", c.Directory))
	}
	if c.Uploads < 1 || c.Uploads > snapshot.MaxUploads {
		errs = append(errs, fmt.Errorf("blob.uploads: %d; it is 1 to %d", c.Uploads, snapshot.MaxUploads))
	}
	if c.Bandwidth < 0 || c.Bandwidth > 0 && c.Bandwidth < minBandwidth {
		errs = append(errs, fmt.Errorf("blob.bandwidth: %s is not 0 (no bound) or at least %s", c.Bandwidth, Bytes(minBandwidth)))
	}
	return errors.Join(errs...)
}

// minBandwidth lets a piece through within the time that one call of a store has.
const minBandwidth = 64 << 10

// openBlobs opens the blob store, nil where none is configured.
func openBlobs(ctx context.Context, c BlobConfig, dataDir string) (*snapshot.Saver, error) {
	if c.Directory == "" {
		return nil, nil
	}
	return snapshot.Open(ctx, snapshot.Options{
		Store: blob.NewDir(c.Directory), IDFile: filepath.Join(dataDir, "store.json"), Uploads: c.Uploads, Bandwidth: int64(c.Bandwidth),
	})
}
