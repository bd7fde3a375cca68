package image

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

// upperTree makes what an overlay's upper directory may hold.
func upperTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(at("opt/deep"), 0o755))
	must(os.WriteFile(at("opt/deep/file"), []byte("content"), 0o640))
	must(os.Link(at("opt/deep/file"), at("opt/other")))
	must(os.Symlink("../../etc/passwd", at("opt/link")))
	must(unix.Mknod(at("opt/gone"), unix.S_IFCHR, 0))
	must(unix.Mknod(at("opt/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(unix.Mkfifo(at("opt/pipe"), 0o600))
	must(os.Mkdir(at("srv"), 0o700))
	must(unix.Setxattr(at("srv"), opaqueAttr, []byte("y"), 0))
	must(os.WriteFile(at("skipped"), nil, 0o600))
	for _, name := range []string{"opt/deep/file", "opt/deep", "opt", "srv"} {
		must(os.Lchown(at(name), 200_000+7, 200_000+8))
		must(os.Chtimes(at(name), time.Unix(1_700_000_000, 5), time.Unix(1_700_000_000, 5)))
	}
	must(unix.Chmod(at("opt/deep/file"), 0o4750))
	must(os.Chtimes(dir, time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 0)))
	return dir
}

var upperIDs = idmap.Range{Host: 200_000, Size: 65_536}

func packed(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := pack(t.Context(), &out, []Tree{{Path: dir, At: ".", Skip: []string{"skipped"}}}, upperIDs, testLimits.names); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestALayerComesBackAsItWasPacked(t *testing.T) {
	bytes1 := packed(t, upperTree(t))
	fresh := filepath.Join(t.TempDir(), "x")
	s := openStore(t, Options{machine: testMachine(t)})
	if _, _, err := s.unpackAlone(t.Context(), bytes.NewReader(bytes1), fresh); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(fresh, "root")
	if got, want := tree(t, root), "opt/ opt/deep/ opt/deep/file opt/gone opt/link>../../etc/passwd opt/other srv/"; got != want {
		t.Fatalf("unpacked %s, want %s", got, want)
	}
	var file, other, gone, srv unix.Stat_t
	for name, st := range map[string]*unix.Stat_t{"opt/deep/file": &file, "opt/other": &other, "opt/gone": &gone, "srv": &srv} {
		if err := unix.Lstat(filepath.Join(root, name), st); err != nil {
			t.Fatal(err)
		}
	}
	if file.Ino != other.Ino || file.Uid != 7 || file.Gid != 8 || file.Mode&0o7777 != 0o4750 || file.Mtim.Sec != 1_700_000_000 {
		t.Errorf("the file is %+v", file)
	}
	if gone.Mode&unix.S_IFMT != unix.S_IFCHR || gone.Rdev != 0 {
		t.Errorf("what was hidden is %+v", gone)
	}
	mark := make([]byte, 1)
	if _, err := unix.Getxattr(filepath.Join(root, "srv"), opaqueAttr, mark); err != nil || mark[0] != 'y' || srv.Mode&0o7777 != 0o700 {
		t.Errorf("the opaque directory is %+v, %v", srv, err)
	}
	var again bytes.Buffer
	if err := pack(t.Context(), &again, []Tree{{Path: root, At: "."}}, unshifted, testLimits.names); err != nil || !bytes.Equal(again.Bytes(), bytes1) {
		t.Errorf("packed again it is another layer: %d and %d bytes, %v", again.Len(), len(bytes1), err)
	}
}

func TestTheSameTreeMakesTheSameImage(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	commit := func(parent string, config Config) string {
		t.Helper()
		digest, err := s.Commit(t.Context(), Change{Parent: parent, Trees: []Tree{{Path: upperTree(t), At: "."}}, IDs: upperIDs, Config: config})
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	one := commit(host, Config{User: "a"})
	if again := commit(host, Config{User: "a"}); again != one {
		t.Errorf("%s and then %s", one, again)
	}
	if other := commit(host, Config{User: "b"}); other == one {
		t.Error("another configuration is the same image")
	}
	two := commit(one, Config{User: "a"})
	info, err := s.Info(t.Context(), two)
	if err != nil || len(info.Layers) != 1 || info.Base != host {
		t.Errorf("a layer over itself: %+v, %v", info, err)
	}
	expectNothingUnfinished(t, s)
}

func TestSweepKeepsWhatACommittedImageStandsOn(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	base, err := importPath(t, s, "base", writeLayout(t, twoLayers(t)))
	if err != nil {
		t.Fatal(err)
	}
	lower, err := s.Commit(t.Context(), Change{Parent: base, Trees: []Tree{{Path: upperTree(t), At: "."}}, IDs: upperIDs})
	if err != nil {
		t.Fatal(err)
	}
	upper := t.TempDir()
	digest, err := s.Commit(t.Context(), Change{Parent: lower, Trees: []Tree{{Path: upper, At: "."}}})
	if err != nil {
		t.Fatal(err)
	}
	key := digestPrefix + strings.Repeat("ab", 32)
	if err := errors.Join(s.Remember(key, lower), s.Remove(t.Context(), "base")); err != nil {
		t.Fatal(err)
	}
	sweep := func(want int, used ...string) {
		t.Helper()
		if n, err := s.Sweep(t.Context(), using(used...)); err != nil || n != want {
			t.Fatalf("swept %d, want %d: %v", n, want, err)
		}
	}
	there := func(d string) bool { _, err := s.Layers(t.Context(), d); return err == nil }
	sweep(0, digest)
	sweep(1) // the upper one: nothing has it
	if there(digest) || !there(lower) || !there(base) {
		t.Fatal("swept the wrong image")
	}
	if found, ok := s.Cached(key); !ok || found != lower {
		t.Fatalf("the cache has %s, %v", found, ok)
	}
	old := time.Now().Add(-cacheTime - time.Hour)
	file, err := s.cacheFile(key)
	if err := errors.Join(err, os.Chtimes(file, old, old)); err != nil {
		t.Fatal(err)
	}
	sweep(2)
	if left, err := os.ReadDir(filepath.Join(s.dir, "layers")); err != nil || len(left) != 0 {
		t.Fatalf("layers stayed: %v, %v", left, err)
	}
	if _, ok := s.Cached(key); ok {
		t.Fatal("the cache names what is gone")
	}
	if _, err := s.Commit(t.Context(), Change{Parent: lower}); !errors.Is(err, runtime.ErrNoImage) {
		t.Fatalf("committed over what is gone: %v", err)
	}
}

func TestALayersPartsLieOverThoseOfItsBase(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	upper := t.TempDir()
	if err := os.MkdirAll(filepath.Join(upper, "local/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := s.Commit(t.Context(), Change{Parent: host, Trees: []Tree{{Path: t.TempDir(), At: "."}, {Path: upper, At: "usr"}}})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, l := range layers {
		targets = append(targets, l.Target)
	}
	if want := []string{"/", "/", "/usr", "/usr", "/usr"}; !slices.Equal(targets[:5], want) || !isDir(filepath.Join(layers[2].Path, "local/bin")) {
		t.Errorf("the layers are %v", layers)
	}
}
