package container

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// neighbour is another node's driver as a source of images.
type neighbour struct{ *Driver }

func (n neighbour) Manifest(ctx context.Context, digest string) ([]byte, error) {
	return n.ImageManifest(ctx, digest)
}

func (n neighbour) Layer(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	from, to := io.Pipe()
	go func() { to.CloseWithError(n.WriteImageLayer(ctx, id, offset, to)) }()
	return from, nil
}

// newImages gives a node, before it has computers, a store of its own.
func (n *node) newImages() {
	n.t.Helper()
	store, err := image.Open(image.Options{Dir: filepath.Join(n.dir, "images"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			n.t.Error(err)
		}
	})
	n.Images = withOther{store}
}

func TestAnImageRunsOnAnotherNodeThanItWasBuiltOn(t *testing.T) {
	builder, runner := newNode(t, 0), newNode(t, 0)
	runner.newImages()
	digest, log, err := builder.built(t.Context(), runtime.Build{Dockerfile: wholeDockerfile, Name: "env-f:1"})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	spec := runner.spec()
	spec.Image = digest
	if err := runner.Create(t.Context(), 1, spec); !errors.Is(err, runtime.ErrNoImage) {
		t.Fatalf("before: %v", err)
	}
	if err := runner.FetchImage(t.Context(), "env-f:1", digest, neighbour{builder.Driver}); err != nil {
		t.Fatal(err)
	}
	if err := runner.Remove(t.Context(), 1, spec.ID); err != nil {
		t.Fatal(err)
	}
	spec.Image = "env-f:1"
	id := runner.started(spec)
	if got, want := runner.says(id, "", "cat /srv/app/said; sh /opt/script; cat /opt/python; echo; ls -d /usr/local/lib/it; stat -c %U:%a /opt/script"),
		"hello from /srv/app by root\nscript says hello\npython was here\n/usr/local/lib/it\nnode:750"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
}
