package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bothy-computer/bothy/runtime"
)

// Pull brings an image from a registry. Each layer is unpacked as it comes. Of an
// index the image for this machine is taken. No other credentials than those of
// p are used, whatever this machine's user has. The registry is asked each time,
// so that who may no longer pull finds nothing; layers come again only to an
// owner who has not pulled the same image here before. What is inside is not
// connected to, whoever leads there, but for the store's own Registries. Errors
// are runtime.ErrNoImage when the registry has no such image, runtime.ErrInvalid
// for a bad reference, a refused login or address, or what is no image,
// runtime.ErrFull when the disk is, and runtime.ErrUnready when the registry does
// not answer.
func (s *Store) Pull(ctx context.Context, p runtime.Pull) (runtime.Brought, error) {
	brought, err := s.pull(ctx, p)
	if err != nil {
		return brought, fmt.Errorf("pull image %s: %w", p.Reference, full(err))
	}
	return brought, nil
}

func (s *Store) pull(ctx context.Context, p runtime.Pull) (runtime.Brought, error) {
	ref, err := s.reference(p.Reference)
	if err != nil {
		return runtime.Brought{}, err
	}
	work, err := s.temp("pull")
	if err != nil {
		return runtime.Brought{}, err
	}
	defer os.RemoveAll(work)
	auth := authn.Anonymous
	if p.User != "" || p.Password != "" {
		auth = &authn.Basic{Username: p.User, Password: p.Password}
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuth(auth), remote.WithTransport(p.Way), remote.WithRetryBackoff(pullBackoff),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}))
	if err != nil {
		return runtime.Brought{}, ofRegistry(err)
	}
	digest, err := img.Digest()
	if err != nil {
		return runtime.Brought{}, ofRegistry(err)
	}
	key := pulledKey(p.Owner, digest.String())
	if have, ok := s.Cached(key); ok && have == digest.String() {
		if release, err := s.Use(ctx, have); err == nil {
			return s.heldAs(ctx, have, release)
		}
	}
	found, err := remoteSource(img)
	if err != nil {
		return runtime.Brought{}, err
	}
	brought, err := s.keep(ctx, work, found)
	if err != nil {
		return brought, err
	}
	if err := s.Remember(key, brought.Digest); err != nil {
		brought.Release()
		return runtime.Brought{}, err
	}
	return brought, nil
}

// pulledKey is under what the store remembers that an owner has pulled an image,
// every byte of it.
func pulledKey(owner, digest string) string {
	return hashOf(fmt.Appendf(nil, "pulled %q %q", owner, digest)).String()
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
			return registryBody{body}, ofRegistry(err)
		}})
	}
	return found, found.configure(config)
}

// registryBody tells a layer that is cut from one that is damaged.
type registryBody struct{ io.ReadCloser }

func (b registryBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = ofRegistry(err)
	}
	return n, err
}
