package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

// peer is another node's store, as one is told of it.
type peer struct {
	store *Store
	asked atomic.Int32 // manifests
	sent  atomic.Int32 // streams that were opened
	// manifest and layer, when set, change what is sent.
	manifest func(*Manifest)
	layer    func(id string, offset int64, tar []byte) (io.Reader, error)
}

func (p *peer) Manifest(ctx context.Context, digest string) ([]byte, error) {
	p.asked.Add(1)
	m, err := p.store.Describe(ctx, digest)
	if err != nil {
		return nil, err
	}
	if p.manifest != nil && m.Base != "" {
		p.manifest(&m)
	}
	return m.Encode()
}

func (p *peer) Layer(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	p.sent.Add(1)
	var tar bytes.Buffer
	if err := p.store.WriteLayer(ctx, id, offset, &tar); err != nil {
		return nil, err
	}
	if p.layer == nil {
		return io.NopCloser(&tar), nil
	}
	r, err := p.layer(id, offset, tar.Bytes())
	return io.NopCloser(r), err
}

// twoStores are stores of like machines; the first has an image of its own, one
// with two layers over it, and one with a layer over the host image.
func twoStores(t *testing.T) (p *peer, to *Store, imported, layered, hosted string) {
	t.Helper()
	p, to = &peer{store: openStore(t, Options{machine: testMachine(t)})}, openStore(t, Options{machine: testMachine(t)})
	to.cutPause = time.Millisecond
	imported, err := importPath(t, p.store, "imported", writeLayout(t, twoLayers(t)))
	if err != nil {
		t.Fatal(err)
	}
	commit := func(parent string, trees ...Tree) string {
		t.Helper()
		digest, err := p.store.Commit(t.Context(), Change{Parent: parent, Trees: trees, IDs: upperIDs, Config: Config{Env: []string{"A=b"}}})
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	host, err := p.store.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	layered = commit(commit(imported, Tree{Path: upperTree(t), At: "."}), Tree{Path: t.TempDir(), At: "."})
	usr := t.TempDir()
	plant(t, usr, map[string]string{"local/bin/tool": "tool"})
	hosted = commit(host, Tree{Path: upperTree(t), At: "."}, Tree{Path: usr, At: "usr"})
	return p, to, imported, layered, hosted
}

// same compares an image of two stores, each layer by what it packs to.
func same(t *testing.T, a, b *Store, digest string) {
	t.Helper()
	m, err := a.Describe(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	n, err := b.Describe(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := m.Encode()
	two, err2 := n.Encode()
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Fatalf("%v: %s\nand %s", err, one, two)
	}
	for _, l := range m.Layers {
		var tar bytes.Buffer
		if err := b.WriteLayer(t.Context(), l.ID, 0, &tar); err != nil {
			t.Fatal(err)
		}
		if got := hashOf(tar.Bytes()).String(); got != l.ID || int64(tar.Len()) != l.Bytes {
			t.Errorf("layer %s packs to %s of %d bytes, not %d", l.ID, got, tar.Len(), l.Bytes)
		}
	}
	expectNothingUnfinished(t, b)
}

func TestFetch(t *testing.T) {
	p, to, imported, layered, hosted := twoStores(t)
	rooted := importMany(t, p.store)
	for _, digest := range []string{hosted, layered, imported, rooted} {
		if err := to.Fetch(t.Context(), digest, p); err != nil {
			t.Fatal(err)
		}
		same(t, p.store, to, digest)
	}
	before := p.asked.Load()
	if err := to.Fetch(t.Context(), layered, p); err != nil || p.asked.Load() != before {
		t.Errorf("what is here was asked for: %v", err)
	}
	layers, err := to.Layers(t.Context(), imported)
	if err != nil || !strings.Contains(tree(t, layers[len(layers)-1].Path), "etc/") {
		t.Errorf("%v, %v", layers, err)
	}
	if err := to.Fetch(t.Context(), digestPrefix+strings.Repeat("0", 64), p); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("an unknown one: %v", err)
	}
	third := openStore(t, Options{machine: testMachine(t)}) // what was fetched can be fetched on
	if err := third.Fetch(t.Context(), layered, &peer{store: to}); err != nil {
		t.Fatal(err)
	}
	same(t, p.store, third, layered)
}

func TestAFetchGoesOnWhereItWasCut(t *testing.T) {
	p, to, _, layered, _ := twoStores(t)
	var offsets sync.Map
	p.layer = func(id string, offset int64, tar []byte) (io.Reader, error) {
		if _, again := offsets.LoadOrStore(fmt.Sprint(id, offset), true); again {
			t.Errorf("layer %s is asked for twice from %d", id, offset)
		}
		if len(tar) > 700 {
			return io.MultiReader(bytes.NewReader(tar[:700]), iotestErr(io.ErrUnexpectedEOF)), nil
		}
		return bytes.NewReader(tar), nil
	}
	if err := to.Fetch(t.Context(), layered, p); err != nil {
		t.Fatal(err)
	}
	same(t, p.store, to, layered)
	if p.sent.Load() < 10 {
		t.Errorf("only %d streams", p.sent.Load())
	}
}

type iotest struct{ err error }

func iotestErr(err error) io.Reader       { return iotest{err} }
func (r iotest) Read([]byte) (int, error) { return 0, r.err }
func always(err error) func(string, int64, []byte) (io.Reader, error) {
	return func(string, int64, []byte) (io.Reader, error) { return iotestErr(err), nil }
}

func TestFetchRefuses(t *testing.T) {
	other := func(id string, offset int64, tar []byte) (io.Reader, error) {
		return bytes.NewReader(tarOf(t, file("another"))), nil
	}
	for name, tt := range map[string]struct {
		change func(*peer)
		want   error
	}{
		"another layer": {func(p *peer) { p.layer = other }, runtime.ErrInvalid},
		"no tar": {func(p *peer) {
			p.layer = func(string, int64, []byte) (io.Reader, error) { return strings.NewReader("no tar"), nil }
		}, runtime.ErrInvalid},
		"a layer that ends early": {func(p *peer) {
			p.layer = func(_ string, _ int64, tar []byte) (io.Reader, error) { return bytes.NewReader(tar[:len(tar)/2]), nil }
		}, runtime.ErrInvalid},
		"a stream that ends ever": {func(p *peer) { p.layer = always(io.ErrUnexpectedEOF) }, runtime.ErrUnready},
		"a layer that is gone": {func(p *peer) {
			p.layer = func(string, int64, []byte) (io.Reader, error) { return nil, runtime.ErrNoImage }
		}, runtime.ErrNoImage},
		"another image": {func(p *peer) { p.manifest = func(m *Manifest) { m.Config.User = "mallory" } }, runtime.ErrInvalid},
		"another digest": {func(p *peer) {
			p.manifest = func(m *Manifest) {
				m.Digest, m.Base, m.Layers, m.Host = "sha256:"+strings.Repeat("ab", 32), "", nil, true
			}
		}, runtime.ErrInvalid},
		"a host image of its own":   {func(p *peer) { p.manifest = func(m *Manifest) { m.Base, m.Layers, m.Host = "", nil, true } }, runtime.ErrOtherHost},
		"a layer of too many bytes": {func(p *peer) { p.manifest = func(m *Manifest) { m.Layers[0].Bytes = maxTarBytes } }, runtime.ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			p, to, _, layered, _ := twoStores(t)
			tt.change(p)
			if err := to.Fetch(t.Context(), layered, p); !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			expectNothingUnfinished(t, to)
			for _, kind := range []string{"images", "layers"} {
				if left, err := os.ReadDir(filepath.Join(to.dir, kind)); err != nil || len(left) > 2 { // those of the base may be there
					t.Errorf("%s: %v, %v", kind, left, err)
				}
			}
			if to.has(t.Context(), layered) {
				t.Error("it is there")
			}
		})
	}
}

func TestAnotherMachinesHostImageIsNotFetched(t *testing.T) {
	p, _, _, _, hosted := twoStores(t)
	machine := testMachine(t)
	plant(t, machine, map[string]string{"var/lib/dpkg/status": "Package: false\nStatus: install ok installed\nVersion: 2\n\n"})
	to := openStore(t, Options{machine: machine})
	if err := to.Fetch(t.Context(), hosted, p); !errors.Is(err, runtime.ErrOtherHost) {
		t.Fatal(err)
	}
	if p.sent.Load() != 0 {
		t.Error("layers were sent")
	}
}

func TestCallersShareAFetch(t *testing.T) {
	p, to, imported, _, _ := twoStores(t)
	begun, proceed := make(chan struct{}, 8), make(chan struct{})
	p.layer = func(_ string, _ int64, tar []byte) (io.Reader, error) {
		begun <- struct{}{}
		<-proceed
		return bytes.NewReader(tar), nil
	}
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- to.Fetch(first, imported, p) }()
	<-begun
	var rest sync.WaitGroup
	for range 4 {
		rest.Go(func() {
			if err := to.Fetch(t.Context(), imported, p); err != nil {
				t.Error(err)
			}
		})
	}
	becomes(t, "five who wait", func() bool {
		to.fetches.mu.Lock()
		defer to.fetches.mu.Unlock()
		return to.fetches.all[imported].waiting == 5
	})
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	close(proceed)
	rest.Wait()
	if p.asked.Load() != 1 || p.sent.Load() != 2 { // two layers
		t.Errorf("asked %d times, %d streams", p.asked.Load(), p.sent.Load())
	}
}

// becomes waits for a fact.
func becomes(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !fact(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestAFetchEndsWithItsCallers(t *testing.T) {
	p, to, imported, _, _ := twoStores(t)
	p.layer = always(io.ErrUnexpectedEOF)
	to.cutPause = time.Hour
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- to.Fetch(ctx, imported, p) }()
	becomes(t, "a stream that was asked for", func() bool { return p.sent.Load() > 0 })
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil { // waits for the work
		t.Fatal(err)
	}
	expectNothingUnfinished(t, to)
}

// TestWhatAPackUnpacksToPacksToTheSame: whatever a computer leaves, also in
// names that mean something in a tar, has one tar.
func TestWhatAPackUnpacksToPacksToTheSame(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	rapid.Check(t, func(r *rapid.T) {
		top, err := os.MkdirTemp(t.TempDir(), "x")
		if err != nil {
			t.Fatal(err)
		}
		root, usr, fresh := filepath.Join(top, "root"), filepath.Join(top, "usr"), filepath.Join(top, "fresh")
		for _, dir := range []string{root, usr} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			grow(r, dir)
		}
		var once, again bytes.Buffer
		if err := pack(t.Context(), &once, []Tree{{Path: root, At: "."}, {Path: usr, At: "usr"}}, unshifted, testLimits.names); err != nil {
			t.Fatal(err)
		}
		got, _, err := s.unpackAlone(t.Context(), bytes.NewReader(once.Bytes()), fresh)
		if err != nil {
			t.Fatal(err)
		}
		if err := packRoot(t.Context(), &again, filepath.Join(fresh, "root")); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once.Bytes(), again.Bytes()) || got.Bytes != int64(once.Len()) {
			r.Fatalf("%d bytes and then %d, %d noted: %s", once.Len(), again.Len(), got.Bytes, tree(t, root))
		}
	})
}

// grow fills a directory with what an overlay's upper directory may hold.
func grow(r *rapid.T, root string) {
	names := rapid.SampledFrom([]string{"a", "b", "etc", "usr", "z", ".wh.a", ".wh..wh..opq", "ü", "a b", "\xff", "t", "v"})
	dirs, files := []string{root}, []string{}
	for range rapid.IntRange(0, 20).Draw(r, "entries") {
		name := filepath.Join(rapid.SampledFrom(dirs).Draw(r, "dir"), names.Draw(r, "name"))
		switch rapid.IntRange(0, 5).Draw(r, "kind") {
		case 0:
			if os.Mkdir(name, 0o750) == nil {
				dirs = append(dirs, name)
			}
		case 1:
			if _, err := os.Lstat(name); err != nil && os.WriteFile(name, rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(r, "content"), 0o640) == nil {
				files = append(files, name)
			}
		case 2:
			_ = os.Symlink("../"+names.Draw(r, "target"), name) // a name that is taken stays
		case 3:
			_ = unix.Mknod(name, unix.S_IFCHR, 0)
		case 4:
			if len(files) > 0 {
				_ = os.Link(rapid.SampledFrom(files).Draw(r, "of"), name)
			}
		case 5:
			_ = unix.Setxattr(filepath.Dir(name), opaqueAttr, []byte("y"), 0)
		}
	}
}

// FuzzManifest: whatever a node says of an image, what is accepted keeps the
// bounds and is told on as it was.
func FuzzManifest(f *testing.F) {
	hex := strings.Repeat("ab", 32)
	info := Info{Base: digestPrefix + hex, Layers: []string{digestPrefix + strings.Repeat("cd", 32)}}
	digest, err := layeredDigest(info)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []Manifest{
		{Digest: digest, Base: info.Base, Layers: []Packed{{ID: info.Layers[0], Bytes: 1}}},
		{Digest: digestPrefix + hex, Root: &Packed{ID: digestPrefix + strings.Repeat("0", 64)}}, {Digest: digestPrefix + hex, Host: true},
	} {
		text, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		if _, err := ParseManifest(text); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"digest":"sha256:../../etc"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			if !errors.Is(err, runtime.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		ids := []string{m.Digest}
		for _, l := range m.Layers {
			ids = append(ids, l.ID)
		}
		if m.Root != nil {
			ids = append(ids, m.Root.ID)
		}
		for _, id := range ids {
			if _, err := parseDigest(id); err != nil {
				t.Fatal(err)
			}
		}
		if len(m.Layers) > MaxLayers || m.Bytes < 0 || len(m.Description) > maxDescriptionBytes {
			t.Fatalf("out of bounds: %+v", m)
		}
	})
}
