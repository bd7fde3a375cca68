package main

import (
	"archive/tar"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestImagesComeAndGoAsFiles(t *testing.T) {
	t.Parallel()
	image := wire.Image{ID: "img_1", DisplayName: "docker.io/x:1", Status: "active", CreatedAt: time.Now()}
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/computer-images": reply(wire.Images{Images: []wire.Image{{ID: "host", DisplayName: "host", Status: "active"}, image}}),
		"POST /v1/computer-images/import": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			reply(wire.OneImage{Image: image})(w, r)
		},
		"GET /v1/computer-images/img_1/archive": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the archive") },
		"GET /v1/computer-images/host/archive": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"error":{"code":"conflict","message":"it stands on a machine's own files"}}`)
		},
		"DELETE /v1/computer-images/img_1": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	})
	s, dir := newShell(t, a.URL), t.TempDir()
	file := filepath.Join(dir, "image.tar")
	if err := errors.Join(os.WriteFile(file, []byte("bytes"), 0o600), os.Mkdir(filepath.Join(dir, "layout"), 0o700),
		os.WriteFile(filepath.Join(dir, "layout", "index.json"), []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"import", "x", file}, {"import", "y", filepath.Join(dir, "layout"), "--shared"}, {"export", "docker.io/x:1", file}, {"rm", "docker.io/x:1"}, {"ls"}} {
		if code := s.run(append([]string{"images"}, line...)...); code != 0 {
			t.Fatalf("%v: %s", line, s.err.String())
		}
	}
	var sent []string
	for _, asked := range a.asked {
		if line, ok := strings.CutPrefix(asked, "POST /v1/computer-images/import?"); ok {
			sent = append(sent, line)
		}
	}
	if len(sent) != 2 || sent[0] != "name=x&shared=false bytes" || !strings.HasPrefix(sent[1], "name=y&shared=true ") {
		t.Fatalf("sent %.200q", sent)
	}
	_, layout, _ := strings.Cut(sent[1], " ")
	if header, err := tar.NewReader(strings.NewReader(layout)).Next(); err != nil || header.Name != "index.json" {
		t.Errorf("a layout is sent as %+v, %v", header, err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "the archive" {
		t.Errorf("exported %q, %v", text, err)
	}
	for want, line := range map[string][]string{
		"own files": {"export", "host", file + "2"}, "not found": {"export", "none", file + "2"}, "missing.tar": {"import", "x", filepath.Join(dir, "missing.tar")},
	} {
		if code := s.run(append([]string{"images"}, line...)...); code == 0 || !strings.Contains(s.err.String(), want) {
			t.Errorf("%v: %d %s", line, code, s.err.String())
		}
	}
	if left, err := filepath.Glob(file + "2*"); err != nil || len(left) != 0 {
		t.Errorf("a failed export left %v, %v", left, err)
	}
}

func TestRegistriesAreLoggedInTo(t *testing.T) {
	made := wire.Registry{Host: "ghcr.io", Username: "ann", UpdatedAt: time.Now()}
	pulled := wire.Image{ID: "img_1", DisplayName: "app", Status: "pulling", CreatedAt: time.Now()}
	a := newAPI(t, map[string]http.HandlerFunc{
		"PUT /v1/registries/ghcr.io":    reply(wire.OneRegistry{Registry: made}),
		"GET /v1/registries":            reply(wire.Registries{Registries: []wire.Registry{made}}),
		"DELETE /v1/registries/ghcr.io": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"POST /v1/computer-images":      reply(wire.OneImage{Image: pulled}),
		"GET /v1/computer-images/img_1": func(w http.ResponseWriter, r *http.Request) {
			pulled.Status, pulled.FailureReason = "failed", "the registry has none"
			reply(wire.OneImage{Image: pulled})(w, r)
		},
	})
	s := newShell(t, a.URL)
	s.terminal.in = strings.NewReader("s3cret\n")
	for _, line := range [][]string{{"registries", "login", "ghcr.io", "--user", "ann", "--password-stdin"}, {"registries", "ls"}, {"registries", "logout", "ghcr.io"}} {
		if code := s.run(line...); code != 0 || strings.Contains(s.out.String()+s.err.String(), "s3cret") || !strings.Contains(s.out.String(), "ghcr.io") {
			t.Fatalf("%v: %d %s%s", line, code, s.out.String(), s.err.String())
		}
	}
	if !slices.ContainsFunc(a.asked, func(asked string) bool { return strings.Contains(asked, `{"username":"ann","password":"s3cret"}`) }) {
		t.Errorf("asked %v", a.asked)
	}
	if code := s.run("images", "pull", "ghcr.io/team/app:1", "--as", "app"); code == 0 || !strings.Contains(s.err.String(), "the registry has none") {
		t.Errorf("a pull that fails: %d %s%s", code, s.out.String(), s.err.String())
	}
	for _, line := range [][]string{{"registries", "login", "ghcr.io"}, {"registries", "login", "ghcr.io", "--user", "ann"}} {
		if code := s.run(line...); code != exitUsage {
			t.Errorf("%v: %d", line, code)
		}
	}
}
