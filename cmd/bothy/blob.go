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
	Directory string   `yaml:"directory"` // that all nodes share, as an absolute path
	S3        S3Config `yaml:"s3"`        // or a bucket
	Uploads   int      `yaml:"uploads"`   // pieces that a node sends at once
	Bandwidth Bytes    `yaml:"bandwidth"` // a node sends in a second at most; 0 is no bound
}

// S3Config is a bucket of a service that speaks S3.
type S3Config struct {
	Endpoint string `yaml:"endpoint"` // URL; of Google Cloud Storage https://storage.googleapis.com
	Bucket   string `yaml:"bucket"`   // which is there
	Prefix   string `yaml:"prefix"`   // of all that is in it
	Region   string `yaml:"region"`   // "" is asked of the service
	// AccessKey is the key's name (variable BOTHY_S3_ACCESS_KEY). Neither key means
	// AWS's own variables, its credentials file or this machine's role.
	AccessKey string `yaml:"accessKey"`
	SecretKey string `yaml:"secretKey"` // the key itself (variable BOTHY_S3_SECRET_KEY)
	PathStyle bool   `yaml:"pathStyle"` // the bucket is in the path of URLs, not in the host name
}

// Variables of the keys to a bucket.
const (
	accessKeyVariable = "BOTHY_S3_ACCESS_KEY"
	secretKeyVariable = "BOTHY_S3_SECRET_KEY"
)

func (c S3Config) store() (*blob.S3, error) {
	return blob.NewS3(blob.S3Options{Endpoint: c.Endpoint, Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region,
		AccessKey: c.AccessKey, SecretKey: c.SecretKey, PathStyle: c.PathStyle})
}

// readKeys has the variables win over the file.
func (c *S3Config) readKeys(getenv func(string) string) {
	if key := getenv(accessKeyVariable); key != "" {
		c.AccessKey = key
	}
	if key := getenv(secretKeyVariable); key != "" {
		c.SecretKey = key
	}
}

func (c BlobConfig) check() error {
	var errs []error
	switch {
	case c.Directory != "" && c.S3.Bucket != "":
		errs = append(errs, errors.New("blob: it is a directory or an S3 bucket, not both"))
	case c.Directory != "" && !filepath.IsAbs(c.Directory):
		errs = append(errs, fmt.Errorf("blob.directory: %q is no absolute path", c.Directory))
	case c.S3.Bucket == "" && c.S3.Endpoint != "":
		errs = append(errs, errors.New("blob.s3.bucket is required with blob.s3.endpoint"))
	case c.S3.Bucket != "":
		if _, err := c.S3.store(); err != nil {
			errs = append(errs, fmt.Errorf("blob.s3: %w", err))
		}
	}
	if c.Uploads < 1 || c.Uploads > snapshot.MaxUploads {
		errs = append(errs, fmt.Errorf("blob.uploads: %d; it is 1 to %d", c.Uploads, snapshot.MaxUploads))
	}
	if c.Bandwidth != 0 && c.Bandwidth < minBandwidth {
		errs = append(errs, fmt.Errorf("blob.bandwidth: %s is not 0 (no bound) or at least %s", c.Bandwidth, Bytes(minBandwidth)))
	}
	return errors.Join(errs...)
}

// minBandwidth lets a piece through in a minute.
const minBandwidth = 64 << 10

// openBlobs opens the blob store, nil where none is configured.
func openBlobs(ctx context.Context, c BlobConfig, dataDir string) (*snapshot.Saver, error) {
	store, err := c.store()
	if store == nil || err != nil {
		return nil, err
	}
	return snapshot.Open(ctx, snapshot.Options{Store: store, IDFile: filepath.Join(dataDir, "store.json"), Uploads: c.Uploads, Bandwidth: int64(c.Bandwidth)})
}

// store is the blob store, nil where none is configured. Nothing is asked of it yet.
func (c BlobConfig) store() (blob.Store, error) {
	switch {
	case c.Directory != "":
		return blob.NewDir(c.Directory), nil
	case c.S3.Bucket != "":
		store, err := c.S3.store()
		if err != nil {
			return nil, fmt.Errorf("blob.s3: %w", err)
		}
		return store, nil
	}
	return nil, nil
}
