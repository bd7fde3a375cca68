package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
)

func TestImagesRefuseWhatIsNone(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	term := &terminal{in: &bytes.Buffer{}, out: &out, err: &errs, getenv: func(string) string { return "" }}
	code := execute(t.Context(), term, []string{"images", "import", "x", filepath.Join(dir, "missing.tar"), "--data-dir", filepath.Join(dir, "d")})
	if code == 0 || !bytes.Contains(errs.Bytes(), []byte("missing.tar")) {
		t.Fatalf("exit %d: %s%s", code, out.String(), errs.String())
	}
}

// tarWith makes a tar of files.
func tarWith(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, text := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644})
		if _, writeErr := w.Write(text); errors.Join(err, writeErr) != nil {
			t.Fatal(err, writeErr)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// saved writes an image as docker save does.
func saved(t *testing.T) string {
	t.Helper()
	layer := tarWith(t, map[string][]byte{"etc/motd": []byte("hello\n")})
	config := fmt.Sprintf(`{"os":"linux","architecture":%q,"config":{"User":"app"},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`,
		goruntime.GOARCH, sha256.Sum256(layer))
	archive := tarWith(t, map[string][]byte{
		"manifest.json": []byte(`[{"Config":"config.json","Layers":["layer.tar"]}]`), "config.json": []byte(config), "layer.tar": layer})
	path := filepath.Join(t.TempDir(), "saved.tar")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnImageGoesFromNodeToNodeAsAFile(t *testing.T) {
	one, other, file := filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "image.tar")
	bothy := func(args ...string) (code int, said, complained string) {
		t.Helper()
		var out, errs bytes.Buffer
		term := &terminal{in: strings.NewReader("secret\n"), out: &out, err: &errs, getenv: func(string) string { return "" }}
		code = execute(t.Context(), term, append([]string{"images"}, args...))
		return code, out.String(), errs.String()
	}
	var shown shownImage
	for _, step := range [][]string{
		{"import", "app:1", saved(t), "--data-dir", one}, {"export", "app:1", file, "--data-dir", one}, {"import", "app:2", file, "--data-dir", other},
	} {
		code, out, errs := bothy(step...)
		if code != 0 || json.Unmarshal([]byte(out), &shown) != nil {
			t.Fatalf("%v: %s%s", step, out, errs)
		}
	}
	if len(shown.Names) != 1 || shown.Names[0] != "app:2" || shown.Digest == "" {
		t.Errorf("%+v", shown)
	}
	if _, out, _ := bothy("export", "app:2", "-", "--data-dir", other); !strings.HasPrefix(out, "oci-layout") {
		t.Errorf("to the standard output: %.20q", out)
	}
	for want, args := range map[string][]string{
		"no such image":     {"export", "none", file + "2", "--data-dir", one},
		"own files":         {"export", "host", file + "2", "--data-dir", one},
		"go together":       {"pull", "127.0.0.1:1/x", "--user", "ann", "--data-dir", one},
		"127.0.0.1:1/app:1": {"pull", "127.0.0.1:1/app:1", "--as", "x", "--user", "ann", "--password-stdin", "--data-dir", one},
	} {
		if code, out, errs := bothy(args...); code == 0 || !strings.Contains(errs, want) || strings.Contains(errs, "secret") {
			t.Errorf("%v: %s%s", args, out, errs)
		}
	}
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) != 0 {
		t.Errorf("a failed export left %v, %v", left, err)
	}
}
