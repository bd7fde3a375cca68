package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// dockerHub is what people call the registry that is meant when none is named,
	// and dockerIndex what its protocol does.
	dockerHub, dockerIndex = "docker.io", "index.docker.io"
	// maxReferenceBytes bounds the reference of an image.
	maxReferenceBytes = 255
	// maxWordsBytes bounds what is told of a registry's own words.
	maxWordsBytes = 300
)

// pullBackoff is how a request that failed is made again.
var pullBackoff = remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 3}

// CheckRegistry returns the name of a registry, with its port, in its one form;
// what is none is runtime.ErrInvalid.
func CheckRegistry(text string) (string, error) {
	registry, err := name.NewRegistry(text)
	if err != nil || text == "" || len(text) > maxReferenceBytes {
		return "", fmt.Errorf("%w: %.80q is no registry: write its host, and :port where it has one", runtime.ErrInvalid, text)
	}
	return hostName(registry), nil
}

func hostName(r name.Registry) string {
	if host := strings.ToLower(r.RegistryStr()); host != dockerIndex {
		return host
	}
	return dockerHub
}

// RegistryOf is the registry that a reference names, docker.io where it names
// none; what is no reference is runtime.ErrInvalid.
func RegistryOf(reference string) (string, error) {
	ref, err := parseReference(reference)
	if err != nil {
		return "", err
	}
	return hostName(ref.Context().Registry), nil
}

func parseReference(text string, options ...name.Option) (name.Reference, error) {
	ref, err := name.ParseReference(text, options...)
	if err != nil || len(text) > maxReferenceBytes {
		return nil, fmt.Errorf("%w: %.80q is no reference to an image, such as docker.io/library/python:3.12", runtime.ErrInvalid, text)
	}
	return ref, nil
}

// reference reads a reference. Some registries may lack TLS.
func (s *Store) reference(text string) (name.Reference, error) {
	ref, err := parseReference(text)
	if err == nil && slices.Contains(s.insecure, hostName(ref.Context().Registry)) {
		ref, err = parseReference(text, name.Insecure)
	}
	return ref, err
}

// ofRegistry says what a registry's failure means, in words that tell of nothing
// but the registry.
func ofRegistry(err error) error {
	var answer *transport.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, runtime.ErrInside):
		return fmt.Errorf("%w: %w", runtime.ErrInvalid, runtime.ErrInside)
	case errors.Is(err, runtime.ErrUnready), errors.Is(err, runtime.ErrInvalid):
		return err
	case !errors.As(err, &answer):
		return fmt.Errorf("%w: the registry does not answer: %w", runtime.ErrUnready, plainly(err))
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: the registry has none: %s", runtime.ErrNoImage, words(answer))
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: the registry refuses, or has no such image for whom it was asked by: %s", runtime.ErrInvalid, words(answer))
	}
	return fmt.Errorf("%w: the registry answered %d: %s", runtime.ErrUnready, answer.StatusCode, words(answer))
}

// words are what a registry said of its failure.
func words(answer *transport.Error) string {
	text := http.StatusText(answer.StatusCode)
	for _, d := range answer.Errors {
		text = string(d.Code) + " " + d.Message
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	return text[:min(len(text), maxWordsBytes)]
}

// plainly is a failure without the URL and addresses it happened at.
func plainly(err error) error {
	var at *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &lookup):
		return fmt.Errorf("its name does not resolve: %s", lookup.Err)
	case errors.As(err, &at):
		return at.Err
	}
	return err
}
