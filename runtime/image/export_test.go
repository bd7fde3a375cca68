package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/bothy-computer/bothy/runtime"
)

func TestAnExportedImageComesBack(t *testing.T) {
	p, to, _, layered, hosted := twoStores(t)
	s := p.store
	rooted := importMany(t, s)
	onRoot := nameless(t, s, rooted, "a")
	for name, digest := range map[string]string{"imported": layered, "many": rooted, "on-root": onRoot} {
		if err := s.Name(t.Context(), name, digest); err != nil {
			t.Fatal(err)
		}
		var archive, again bytes.Buffer
		if err := errors.Join(s.Export(t.Context(), digest, name, &archive), s.Export(t.Context(), digest, name, &again)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(archive.Bytes(), again.Bytes()) {
			t.Errorf("%s: exported again it is another archive", name)
		}
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(path, archive.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		validArchive(t, path)
		back, err := importPath(t, to, name, path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		here, err := s.Layers(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		there, err := to.Layers(t.Context(), back)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tree(t, merged(t, there)), tree(t, merged(t, here)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		before, err1 := s.Info(t.Context(), digest)
		after, err2 := to.Info(t.Context(), back)
		if err := errors.Join(err1, err2); err != nil || !after.Config.Equal(before.Config) {
			t.Errorf("%s: %+v, want %+v, %v", name, after.Config, before.Config, err)
		}
		expectNothingUnfinished(t, s)
	}
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{host, hosted} {
		if err := s.Export(t.Context(), digest, "", &bytes.Buffer{}); !errors.Is(err, runtime.ErrUnsupported) {
			t.Errorf("%s: %v", digest, err)
		}
	}
	if err := s.Export(t.Context(), digestPrefix+strings.Repeat("a", 64), "", &bytes.Buffer{}); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("an unknown one: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Export(cancelled, rooted, "many", &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	expectNothingUnfinished(t, s)
}

// validArchive has the reference library read all of an archive.
func validArchive(t *testing.T, path string) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for entries := tar.NewReader(f); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(entries)
		at := filepath.Join(dir, header.Name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, blob, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}
