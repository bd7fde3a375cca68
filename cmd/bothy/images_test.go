package main

import (
	"bytes"
	"path/filepath"
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
