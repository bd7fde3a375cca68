package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// s3Tries is how often a request is made before its failure is told.
	s3Tries = 4
	// s3Deletes is how many blobs are deleted at once.
	s3Deletes = 8
)

// S3Options say where a bucket is and who asks. Endpoint and Bucket are required.
type S3Options struct {
	Endpoint string // URL of the service, without a path
	Bucket   string
	Prefix   string // of all keys, such as bothy/; "" is none
	Region   string // "" is asked of the service
	// AccessKey and SecretKey are both set or neither: then they are those of
	// AWS's variables, of its credentials file, or of the role of this machine.
	AccessKey, SecretKey string
	// PathStyle puts the bucket into the path of URLs, not into the host name.
	PathStyle bool
	Transport http.RoundTripper // nil is the usual one
}

// S3 is a store in a bucket of a service that speaks S3.
type S3 struct {
	client *minio.Client
	where  S3Options
}

// NewS3 makes a store of a bucket. It asks the service for nothing yet.
func NewS3(o S3Options) (*S3, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%w: the endpoint %q is no URL such as https://s3.eu-west-1.amazonaws.com", runtime.ErrInvalid, o.Endpoint)
	}
	if o.Prefix = strings.Trim(o.Prefix, "/"); o.Prefix != "" {
		if err := checkKey(o.Prefix); err != nil {
			return nil, fmt.Errorf("the prefix: %w", err)
		}
		o.Prefix += "/"
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		return nil, fmt.Errorf("%w: an access key and a secret key are given together or not at all", runtime.ErrInvalid)
	}
	who := credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	if o.AccessKey == "" {
		who = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: who, Secure: u.Scheme == "https", Region: o.Region, BucketLookup: lookup, MaxRetries: s3Tries, Transport: o.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	return &S3{client: client, where: o}, nil
}

func (s *S3) String() string {
	return strings.TrimSuffix(s.where.Endpoint, "/") + "/" + s.where.Bucket + "/" + strings.TrimSuffix(s.where.Prefix, "/")
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, data []byte) error {
	return s.put(ctx, "put", key, data, minio.PutObjectOptions{})
}

// Make implements Store. A service that knows no conditional writes makes the
// blob all the same.
func (s *S3) Make(ctx context.Context, key string, data []byte) error {
	var o minio.PutObjectOptions
	o.SetMatchETagExcept("*")
	return s.put(ctx, "make", key, data, o)
}

func (s *S3) put(ctx context.Context, doing, key string, data []byte, o minio.PutObjectOptions) error {
	if err := checkKey(key); err != nil {
		return err
	}
	// The service checks the sum before it says that it has the blob.
	o.ContentType, o.DisableMultipart, o.SendContentMd5 = "application/octet-stream", true, true
	_, err := s.client.PutObject(ctx, s.where.Bucket, s.where.Prefix+key, bytes.NewReader(data), int64(len(data)), o)
	return s.told(doing, key, err)
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string, maxBytes int64) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	core := minio.Core{Client: s.client}
	body, info, _, err := core.GetObject(ctx, s.where.Bucket, s.where.Prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.told("get", key, err)
	}
	defer body.Close()
	if info.Size > maxBytes {
		return nil, tooLarge(key, maxBytes)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	if err == nil && int64(len(data)) > maxBytes {
		return nil, tooLarge(key, maxBytes)
	}
	return data, s.told("get", key, err)
}

// List implements Store.
func (s *S3) List(ctx context.Context, dir string, visit func(Entry) error) error {
	if err := checkDir(dir); err != nil {
		return err
	}
	prefix := s.where.Prefix + dir
	for found := range s.client.ListObjectsIter(ctx, s.where.Bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if found.Err != nil {
			return s.told("list", dir, found.Err)
		}
		name := strings.TrimPrefix(found.Key, prefix)
		if name == "" || name == "/" {
			continue // the mark of a directory, as some tools make one
		}
		if err := visit(Entry{Name: name, Modified: found.LastModified}); err != nil {
			return err
		}
	}
	return s.told("list", dir, ctx.Err())
}

// Delete implements Store. It deletes one by one, because not every service can
// delete several.
func (s *S3) Delete(ctx context.Context, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s3Deletes)
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			err := s.told("delete", key, s.client.RemoveObject(ctx, s.where.Bucket, s.where.Prefix+key, minio.RemoveObjectOptions{}))
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

const unknownKey = "the service does not know the access key: correct blob.s3.accessKey or BOTHY_S3_ACCESS_KEY"

// remedies say what to mend, by the codes of S3's errors.
var remedies = map[string]string{
	"NoSuchBucket":                 "there is no such bucket: make it, or correct blob.s3.bucket",
	"AccessDenied":                 "the key may not do that: it needs to list the bucket and to get, put and delete objects",
	"InvalidAccessKeyId":           unknownKey,
	"XAdminUserNotFound":           unknownKey, // as versitygw says it
	"SignatureDoesNotMatch":        "the secret key is wrong: correct blob.s3.secretKey or BOTHY_S3_SECRET_KEY",
	"AuthorizationHeaderMalformed": "the region is wrong: correct blob.s3.region",
	"RequestTimeTooSkewed":         "this machine's clock is wrong",
}

// told gives an error of S3 the one that callers act on.
func (s *S3) told(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == "NoSuchKey":
		err = ErrNotFound
	case answer.StatusCode == http.StatusPreconditionFailed:
		err = ErrExists
	case errors.Is(err, context.Canceled):
	case answer.StatusCode == http.StatusInsufficientStorage || answer.Code == "QuotaExceeded" || answer.Code == "XMinioStorageFull":
		err = fmt.Errorf("%w: the blob store is full: %w", runtime.ErrFull, err)
	case remedies[answer.Code] != "":
		err = fmt.Errorf("%w: %s (%s)", runtime.ErrNoStore, remedies[answer.Code], answer.Code)
	default:
		err = fmt.Errorf("%w: %w", runtime.ErrNoStore, err)
	}
	return fmt.Errorf("%s blob %s in %s: %w", doing, key, s, err)
}
