package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

func testImage(t *testing.T, architecture string, layers ...[]byte) v1.Image {
	t.Helper()
	img := empty.Image
	for i, l := range layers {
		opts := []tarball.LayerOption{}
		if i%2 == 1 {
			opts = append(opts, tarball.WithCompression(compression.ZStd))
		}
		added, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l)), nil }, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, added); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config = v1.Config{Env: []string{"A=b"}, Entrypoint: []string{"/init"}, Cmd: []string{"-v"}, User: "app:app", WorkingDir: "/srv"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// configured is an image with another configuration.
func configured(t *testing.T, change func(*v1.Config)) v1.Image {
	t.Helper()
	img := testImage(t, goruntime.GOARCH, tarOf(t, file("a")))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	change(&config.Config)
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func writeLayout(t *testing.T, images ...v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		if err := p.AppendImage(img); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// packDir writes a directory as a tar, and as a compressed one.
func packDir(t *testing.T, dir string) (plain, zipped string) {
	t.Helper()
	plain, zipped = filepath.Join(t.TempDir(), "image.tar"), filepath.Join(t.TempDir(), "image.tar.gz")
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), os.WriteFile(plain, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	_, err := z.Write(out.Bytes())
	if err := errors.Join(err, z.Close(), os.WriteFile(zipped, small.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return plain, zipped
}

// importPath imports an archive, or a layout's directory as one, under a name.
func importPath(t *testing.T, s *Store, name, path string) (string, error) {
	archive, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		err = errors.Join(w.AddFS(os.DirFS(path)), w.Close())
		archive = out.Bytes()
	}
	if err != nil {
		return "", err
	}
	brought, err := s.Import(t.Context(), bytes.NewReader(archive))
	if err != nil {
		return "", err
	}
	defer brought.Release()
	return brought.Digest, s.Name(t.Context(), name, brought.Digest)
}

func twoLayers(t *testing.T) v1.Image {
	return testImage(t, goruntime.GOARCH, tarOf(t, dir("etc"), file("etc/a"), file("etc/b")), tarOf(t, file("etc/.wh.a"), file("srv/c")))
}

func TestImport(t *testing.T) {
	img := twoLayers(t)
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	dir := writeLayout(t, img)
	plain, zipped := packDir(t, dir)
	s := openStore(t, Options{machine: testMachine(t)})
	for name, path := range map[string]string{"from/layout:1": dir, "from-tar": plain, "from-gzip": zipped} {
		digest, err := importPath(t, s, name, path)
		if err != nil || digest != want.String() {
			t.Fatalf("%s: %s, %v", name, digest, err)
		}
		if got, err := s.Resolve(t.Context(), name); err != nil || got != digest {
			t.Fatalf("%s: %s, %v", name, got, err)
		}
	}
	layers, err := s.Layers(t.Context(), want.String())
	if err != nil || len(layers) != 2 || layers[0].Target != "/" || layers[1].Target != "/" {
		t.Fatalf("%v, %v", layers, err)
	}
	if got := tree(t, merged(t, layers)); got != "etc/ etc/b srv/ srv/c" {
		t.Fatalf("unpacked %s", got)
	}
	info, err := s.Info(t.Context(), want.String())
	if err != nil || strings.Join(info.Names, " ") != "from-gzip from-tar from/layout:1" || info.Bytes == 0 {
		t.Fatalf("%+v, %v", info, err)
	}
	if c := info.Config; c.Env[0] != "A=b" || c.Entrypoint[0] != "/init" || c.Cmd[0] != "-v" || c.User != "app:app" || c.WorkDir != "/srv" {
		t.Fatalf("%+v", c)
	}
	expectNothingUnfinished(t, s)
}

// merged mounts layers as a computer sees them.
func merged(t *testing.T, layers []Layer) string {
	t.Helper()
	dirs := []string{}
	for _, l := range layers {
		dirs = append(dirs, l.Path)
	}
	if len(dirs) == 1 {
		dirs = append(dirs, t.TempDir())
	}
	at := t.TempDir()
	if err := unix.Mount("overlay", at, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(dirs, ":")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// TestLayersApartLookAsTheyDoInOneRoot imports the same layers in both ways.
func TestLayersApartLookAsTheyDoInOneRoot(t *testing.T) {
	below := tarOf(t, dir("etc"), file("etc/a"), file("etc/b"), dir("d"), file("d/old"), dir("d/sub"), file("d/sub/old"), dir("gone/deep"), file("f"))
	for name, above := range map[string][]byte{
		"a file is replaced":           tarOf(t, file("etc/a")),
		"whiteouts":                    tarOf(t, file("etc/.wh.a"), file(".wh.gone")),
		"an opaque directory":          tarOf(t, dir("d"), file("d/.wh..wh..opq"), file("d/new")),
		"opaque after its own":         tarOf(t, file("d/sub/new"), file("d/.wh..wh..opq")),
		"a whiteout spares its own":    tarOf(t, file("etc/a"), file("etc/.wh.a")),
		"a whiteout and its own after": tarOf(t, file(".wh.d"), dir("d"), file("d/new")),
		"a file replaces a directory":  tarOf(t, file("d")),
		"a directory replaces a file":  tarOf(t, dir("f"), file("f/x")),
		"a link replaces a file":       tarOf(t, symlink("f", "d")),
		"a whiteout of nothing":        tarOf(t, file(".wh.nothing"), file(".wh."), file(".wh..")),
	} {
		t.Run(name, func(t *testing.T) {
			want, err := unpack(t, below, above)
			if err != nil {
				t.Fatal(err)
			}
			s := openStore(t, Options{machine: testMachine(t)})
			digest, err := importPath(t, s, "x", writeLayout(t, testImage(t, goruntime.GOARCH, below, above)))
			if err != nil {
				t.Fatal(err)
			}
			layers, err := s.Layers(t.Context(), digest)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := tree(t, merged(t, layers)), tree(t, want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestImportedImagesShareLayers(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	base := tarOf(t, dir("etc"), file("etc/a"))
	one, err := importPath(t, s, "one", writeLayout(t, testImage(t, goruntime.GOARCH, base, tarOf(t, file("one")))))
	if err != nil {
		t.Fatal(err)
	}
	two, err := importPath(t, s, "two", writeLayout(t, testImage(t, goruntime.GOARCH, base, tarOf(t, file("two")), base)))
	if err != nil {
		t.Fatal(err)
	}
	if placed, err := os.ReadDir(filepath.Join(s.dir, "layers")); err != nil || len(placed) != 3 {
		t.Errorf("%v, %v", placed, err)
	}
	layers, err := s.Layers(t.Context(), two)
	if err != nil || len(layers) != 2 || tree(t, merged(t, layers)) != "etc/ etc/a two" {
		t.Errorf("%v, %v", layers, err)
	}
	if err := s.Remove(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), Sweeping{}); err != nil || n != 1 || s.has(t.Context(), one) {
		t.Errorf("swept %d, %v", n, err)
	}
	if layers, err = s.Layers(t.Context(), two); err != nil || tree(t, merged(t, layers)) != "etc/ etc/a two" {
		t.Errorf("the other one lost a layer: %v", err)
	}
}

// importMany imports an image of so many layers that they lie in one root, as
// all imported images do in stores of older nodes.
func importMany(t *testing.T, s *Store) string {
	t.Helper()
	many := make([][]byte, maxApart+1)
	for i := range many {
		many[i] = tarOf(t, file(fmt.Sprint("f", i)))
	}
	digest, err := importPath(t, s, "many", writeLayout(t, testImage(t, goruntime.GOARCH, many...)))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestAnImageOfManyLayersIsLaidIntoOneRoot(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	if layers, err := s.Layers(t.Context(), importMany(t, s)); err != nil || len(layers) != 1 || len(strings.Fields(tree(t, layers[0].Path))) != maxApart+1 {
		t.Fatalf("%v, %v", layers, err)
	}
}

func TestImportOfADockerSave(t *testing.T) {
	img := twoLayers(t)
	path := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag("app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Options{machine: testMachine(t)})
	digest, err := importPath(t, s, "app", path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := img.ConfigName()
	if err != nil || digest != want.String() {
		t.Fatalf("%s, want %v, %v", digest, want, err)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil || tree(t, merged(t, layers)) != "etc/ etc/b srv/ srv/c" {
		t.Fatalf("%v, %v", layers, err)
	}
}

func TestImportRefuses(t *testing.T) {
	good := tarOf(t, file("a"))
	damaged := writeLayout(t, testImage(t, goruntime.GOARCH, good))
	swapped := writeLayout(t, testImage(t, goruntime.GOARCH, good))
	for dir, change := range map[string]func([]byte) []byte{
		damaged: func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b },
		swapped: func([]byte) []byte { return tarOf(t, file("another")) },
	} {
		largest := ""
		blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blobs {
			if text, err := os.ReadFile(b); err == nil && bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
				largest = b
			}
		}
		text, err := os.ReadFile(largest)
		if err == nil {
			err = os.WriteFile(largest, change(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	notAnImage := filepath.Join(t.TempDir(), "x.tar")
	escaping := filepath.Join(t.TempDir(), "y.tar")
	bomb, _ := packDir(t, writeLayout(t, testImage(t, goruntime.GOARCH, tarOf(t, file(strings.Repeat("d/", 100)+"f")))))
	if err := errors.Join(os.WriteFile(notAnImage, good, 0o600), os.WriteFile(escaping, tarOf(t, file("../index.json")), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ why, path, says string }{
		{"a damaged layer", damaged, ""},
		{"another layer", swapped, "and not"},
		{"variables that no process takes", writeLayout(t, configured(t, func(c *v1.Config) { c.Env = []string{"A=b\x00c"} })), "NUL"},
		{"a desktop somewhere", writeLayout(t, configured(t, func(c *v1.Config) { c.Labels = map[string]string{DesktopLabel: "bin/x"} })), "no absolute path"},
		{"another architecture", writeLayout(t, testImage(t, "vax", good)), "vax"},
		{"two images", writeLayout(t, testImage(t, goruntime.GOARCH, good), testImage(t, goruntime.GOARCH, good, good)), "2 images"},
		{"no image", notAnImage, "no image"},
		{"an archive that goes up", escaping, "names"},
		{"too many names", bomb, "more entries"},
		{"a hostile layer", writeLayout(t, testImage(t, goruntime.GOARCH, tarOf(t, hardlink("a", "../../../../etc/passwd")))), ".."},
		{"an empty directory", t.TempDir(), "no image"},
	} {
		s := openStore(t, Options{machine: testMachine(t), limits: limits{entries: 50, bytes: 1 << 20, names: roomFor(1 << 20)}})
		_, err := importPath(t, s, "x", tt.path)
		if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.why, err)
		}
		if _, err := s.Resolve(t.Context(), "x"); !errors.Is(err, runtime.ErrNoImage) {
			t.Errorf("%s has a name: %v", tt.why, err)
		}
		expectNothingUnfinished(t, s)
		for _, kind := range []string{"images", "layers"} {
			if placed, err := os.ReadDir(filepath.Join(s.dir, kind)); err != nil || len(placed) != 0 {
				t.Errorf("%s was placed: %v, %v", tt.why, placed, err)
			}
		}
	}
}

func TestNamesOfImages(t *testing.T) {
	dir := writeLayout(t, twoLayers(t))
	s := openStore(t, Options{machine: testMachine(t)})
	for _, bad := range []string{"", "host", "..", "sha256:abc", "a b", "a\x00", strings.Repeat("n", maxNameBytes+1)} {
		if _, err := importPath(t, s, bad, dir); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	digest, err := importPath(t, s, "a/../b", dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), Sweeping{}); err != nil || n != 0 {
		t.Fatalf("swept %d with a name, %v", n, err)
	}
	for range 2 {
		if err := s.Remove(t.Context(), "a/../b"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Resolve(t.Context(), digest); err != nil {
		t.Fatalf("gone before the sweep: %v", err)
	}
	if n, err := s.Sweep(t.Context(), using(digest)); err != nil || n != 0 {
		t.Fatalf("swept %d in use, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), Sweeping{}); err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if _, err := s.Layers(t.Context(), digest); !errors.Is(err, runtime.ErrNoImage) {
		t.Fatalf("still there: %v", err)
	}
	if err := s.Remove(t.Context(), Host); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("removed the host image: %v", err)
	}
}

func TestACrashLeavesNothingUnfinished(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, machine: testMachine(t)})
	if _, err := s.temp("import"); err != nil { // as a killed node leaves it
		t.Fatal(err)
	}
	// Another process may have the store open and be at work in it.
	if other := openStore(t, Options{Dir: dir, machine: testMachine(t)}); len(unfinished(t, other)) != 1 {
		t.Fatal("cleared away what an open store works at")
	} else if err := errors.Join(other.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{Dir: dir, machine: testMachine(t)})
	expectNothingUnfinished(t, s)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	plain, _ := packDir(t, writeLayout(t, twoLayers(t)))
	archive, err := os.Open(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if _, err := s.Import(cancelled, archive); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	expectNothingUnfinished(t, s)
}

func expectNothingUnfinished(t *testing.T, s *Store) {
	t.Helper()
	if left := unfinished(t, s); len(left) != 0 {
		t.Errorf("left unfinished: %v", left)
	}
}

func unfinished(t *testing.T, s *Store) []os.DirEntry {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// Naming what another has by its digest is not having it: every layer is sent,
// also one that is here.
func TestAnImageIsNotHadByItsDigestsAlone(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	img := twoLayers(t)
	if _, err := importPath(t, s, "theirs", writeLayout(t, img)); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		dir := writeLayout(t, img)
		digest, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "blobs", digest.Algorithm, digest.Hex)); err != nil {
			t.Fatal(err)
		}
		if _, err := importPath(t, s, "mine", dir); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("without layer %s: %v", digest, err)
		}
	}
	// The same layer as a part of another image.
	other := writeLayout(t, testImage(t, goruntime.GOARCH, tarOf(t, dir("etc"), file("etc/a"), file("etc/b")), tarOf(t, file("mine"))))
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "blobs", digest.Algorithm, digest.Hex), []byte("guessed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := importPath(t, s, "mine", other); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("with a layer that is another: %v", err)
	}
	if _, err := s.Resolve(t.Context(), "mine"); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("it has a name: %v", err)
	}
	expectNothingUnfinished(t, s)
}
