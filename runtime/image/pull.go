package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bothy-computer/bothy/runtime"
)

// Login is who a registry is told pulls; the zero value is nobody.
type Login struct{ User, Password string }

// Pull brings an image from a registry, such as docker.io/library/python:3.12,
// and gives it a name, as Import does. Each layer is unpacked as it comes. Of an
// index the image for this machine is taken. No other credentials than login
// are used, whatever this machine's user has. Errors are runtime.ErrNoImage when
// the registry has no such image, runtime.ErrInvalid for a bad reference, a
// refused login or what is no image, runtime.ErrFull when the disk is, and
// runtime.ErrUnready when the registry does not answer.
func (s *Store) Pull(ctx context.Context, reference, as string, login Login) (string, error) {
	if err := checkName(as); err != nil {
		return "", err
	}
	digest, err := s.pull(ctx, reference, as, login)
	if err != nil {
		return "", fmt.Errorf("pull image %s: %w", reference, full(err))
	}
	return digest, nil
}

func (s *Store) pull(ctx context.Context, reference, as string, login Login) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("%w: %w", runtime.ErrInvalid, err)
	}
	work, err := s.temp("pull")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	auth := authn.Anonymous
	if login != (Login{}) {
		auth = &authn.Basic{Username: login.User, Password: login.Password}
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuth(auth),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}))
	if err != nil {
		return "", ofRegistry(err)
	}
	found, err := remoteSource(img)
	if err != nil {
		return "", err
	}
	return found.digest.String(), s.keep(ctx, work, found, as)
}

// remoteSource reads the documents of an image in a registry, whose digests the
// library checks.
func remoteSource(img v1.Image) (source, error) {
	digest, err := img.Digest()
	if err != nil {
		return source{}, ofRegistry(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return source{}, ofRegistry(err)
	}
	if len(manifest.Layers) > maxLayers || manifest.Config.Size > maxDocumentBytes {
		return source{}, fmt.Errorf("%w: it has %d layers and a configuration of %d bytes", runtime.ErrInvalid, len(manifest.Layers), manifest.Config.Size)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return source{}, ofRegistry(err)
	}
	found := source{digest: digest}
	for _, d := range manifest.Layers {
		if !d.MediaType.IsDistributable() {
			return source{}, fmt.Errorf("%w: a layer lies elsewhere than in the registry", runtime.ErrInvalid)
		}
		found.layers = append(found.layers, layer{digest: d.Digest, open: func() (io.ReadCloser, error) {
			l, err := img.LayerByDigest(d.Digest)
			if err != nil {
				return nil, ofRegistry(err)
			}
			body, err := l.Compressed()
			return body, ofRegistry(err)
		}})
	}
	return found, found.configure(config)
}

// ofRegistry says what a registry's failure means.
func ofRegistry(err error) error {
	var answer *transport.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", runtime.ErrNoImage, err)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: the registry refuses: %w", runtime.ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", runtime.ErrUnready, err)
}
