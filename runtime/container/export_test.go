package container

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestAnExportedImageRunsOnAnotherNode(t *testing.T) {
	one, other := newNode(t, 0), newNode(t, 0)
	other.newImages()
	digest := one.committed("tiny", "mkdir -p /opt/a; echo a > /opt/a/b; rm -rf /usr/share/doc")
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := one.ExportImage(t.Context(), digest, "brought", f); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	brought, err := other.ImportImage(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer brought.Release()
	spec := other.spec()
	spec.Image = brought.Digest
	if got := other.says(other.started(spec), "root", "cat /opt/a/b; ls -d /usr/share/doc 2>&1 | grep -c 'No such'; id -u"); got != "a\n1\n0" {
		t.Errorf("inside: %q", got)
	}
}
