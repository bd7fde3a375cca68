package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/volume"
)

func TestMain(m *testing.M) {
	// Histories of whole trees take long; -rapid.checks=N walks another number.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func sumOf(data []byte) sum { return sha256.Sum256(data) }

const computer = runtime.ID("c1")

// place is a machine with a store, and a disk on it.
type place struct {
	testing.TB
	*Saver
	store *blob.Dir
	dir   string
	tree  string
	ids   idmap.Range
}

func newPlace(t testing.TB) *place {
	t.Helper()
	dir := t.TempDir()
	return placeAt(t, dir, filepath.Join(dir, "store"))
}

func placeAt(t testing.TB, dir, at string) *place {
	t.Helper()
	store := blob.NewDir(at)
	s, err := Open(t.Context(), Options{Store: store, IDFile: filepath.Join(dir, "id"), Grace: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{TB: t, Saver: s, store: store, dir: dir, tree: filepath.Join(dir, "tree"), ids: idmap.Range{Host: 300_000, Size: idmap.RangeSize}}
	if err := os.MkdirAll(p.tree, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func saveOf(name string) runtime.Save { return runtime.Save{Computer: computer, Name: name} }

func (p *place) saveAs(name, base string) runtime.Saved {
	p.Helper()
	made, err := p.trySave(name, base)
	if err != nil {
		p.Fatal(err)
	}
	return made
}

func (p *place) trySave(name, base string) (runtime.Saved, error) {
	// Nothing of the tree is as young as the save.
	time.Sleep(2 * racyTime)
	return p.Save(p.Context(), saveOf(name), Source{
		Path: p.tree, IDs: p.ids, Index: filepath.Join(p.dir, "index"), Image: "sha256:x", MadeAt: time.Now(), Bytes: 7, Note: []byte(`{"a":1}`),
	}, base)
}

// restored makes a new tree of a save.
func (p *place) restored(name string, only ...string) string {
	p.Helper()
	dir, err := p.tryRestore(name, only...)
	if err != nil {
		p.Fatal(err)
	}
	return dir
}

func (p *place) tryRestore(name string, only ...string) (string, error) {
	m, err := p.Manifest(p.Context(), saveOf(name))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, p.Restore(p.Context(), m, Target{Path: dir, IDs: p.ids, Only: only, Settle: settled})
}

func (p *place) path(name string) string { return filepath.Join(p.tree, name) }

func (p *place) write(name string, data []byte) {
	p.Helper()
	path := p.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		p.Fatal(err)
	}
	p.own(name)
}

func (p *place) own(name string) {
	p.Helper()
	for ; name != "."; name = filepath.Dir(name) {
		if err := os.Lchown(p.path(name), p.ids.Host, p.ids.Host); err != nil {
			p.Fatal(err)
		}
	}
}

func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// TestASaveBringsAllBack: every kind of file, with all that it has.
func TestASaveBringsAllBack(t *testing.T) {
	p := newPlace(t)
	p.write("a/b/c/deep", []byte("deep"))
	p.write("big", noise(1, 3*chunkBytes+12345))
	p.write("empty", nil)
	p.write("text", []byte("text"))
	f, err := os.Create(p.path("sparse"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 5 << 20, 9<<20 + 4096, 300<<20 - 4096} {
		if _, err := f.WriteAt(noise(uint64(at), 4096), at); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.Truncate(301 << 20))
	must(f.Close())
	must(os.Link(p.path("big"), p.path("a/big2")))
	must(os.Link(p.path("sparse"), p.path("z-sparse")))
	must(os.Symlink("/etc/shadow", p.path("link")))
	must(unix.Mkfifo(p.path("pipe"), 0o622))
	must(unix.Mknod(p.path("socket"), unix.S_IFSOCK|0o755, 0))
	must(unix.Mknod(p.path("gone"), unix.S_IFCHR, 0))
	must(unix.Setxattr(p.path("a/b"), "trusted.overlay.opaque", []byte("y"), 0))
	must(unix.Setxattr(p.path("text"), "user.color", []byte("blue\x00"), 0))
	must(unix.Setxattr(p.path("text"), "security.capability", []byte("\x00\x00\x00\x02\x00\x20\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	for _, name := range []string{"a/big2", "z-sparse", "link", "pipe", "socket", "gone"} {
		p.own(name)
	}
	must(os.Chmod(p.path("a"), 0o777|os.ModeSticky|os.ModeSetgid))
	must(os.Chmod(p.path("empty"), 0o755|os.ModeSetuid))
	must(os.Chtimes(p.path("a/b"), time.Time{}, time.Unix(1e9, 123456789)))
	must(os.Chtimes(p.path("text"), time.Time{}, time.Unix(-5, 1)))
	want := describe(t, p.tree, p.ids)
	first := p.saveAs("s1", "")
	if first.Sent <= 3*chunkBytes || first.Read <= 3*chunkBytes || first.Read > 4*chunkBytes {
		t.Errorf("the first save: %+v", first)
	}
	equal(t, describe(t, p.restored("s1"), p.ids), want)
	second := p.saveAs("s2", "s1")
	if second.Read != 0 || second.Sent > 10_000 {
		t.Errorf("nothing changed: %+v", second)
	}
	if err := p.Sweep(t.Context(), computer, []string{"s2"}); err != nil {
		t.Fatal(err)
	}
	equal(t, describe(t, p.restored("s2"), p.ids), want)
	if _, err := p.tryRestore("s1"); !errors.Is(err, runtime.ErrNoSave) {
		t.Errorf("swept: %v", err)
	}
}
func settled(context.Context) (volume.State, error) { return volume.State{}, nil }
