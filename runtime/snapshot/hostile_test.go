package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// TestASpoiltPieceIsNotRestored: each piece in turn is cut, changed, swapped or
// gone, and whoever restores is told.
func TestASpoiltPieceIsNotRestored(t *testing.T) {
	p := newPlace(t)
	p.write("big", noise(1, chunkBytes+1000))
	p.write("small", []byte("text"))
	p.saveAs("s1", "")
	pieces, err := filepath.Glob(filepath.Join(p.dir, "store/computers/c1/pieces/s1/*"))
	if err != nil || len(pieces) != 3 {
		t.Fatalf("pieces are %q, %v", pieces, err)
	}
	for i, path := range pieces {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(pieces[(i+1)%len(pieces)])
		if err != nil {
			t.Fatal(err)
		}
		flipped := append([]byte(nil), whole...)
		flipped[len(flipped)/2] ^= 1
		for name, data := range map[string][]byte{"cut": whole[:len(whole)-1], "changed": flipped, "empty": {}, "another": other, "gone": nil} {
			if data == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.tryRestore("s1"); err == nil || name == "gone" && !errors.Is(err, runtime.ErrNoSave) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.restored("s1")
}

// TestAListThatLeadsOutIsRefused: what a tampered store says makes nothing that
// its names do not say, and nothing outside.
func TestAListThatLeadsOutIsRefused(t *testing.T) {
	dir := entry{kind: directory}
	at := func(depth int, name string, k kind) entry {
		e := entry{depth: depth, name: name, kind: k}
		if k == symlink {
			e.target = "/tmp"
		}
		return e
	}
	for name, list := range map[string][]entry{
		"nothing":                  {},
		"no tree":                  {at(1, "a", regular)},
		"a tree that is a file":    {{kind: regular}},
		"a second tree":            {dir, dir},
		"a name twice":             {dir, at(1, "a", symlink), at(1, "a", directory), at(2, "b", regular)},
		"through a link":           {dir, at(1, "a", symlink), at(2, "b", regular)},
		"through a file":           {dir, at(1, "a", regular), at(2, "b", regular)},
		"out of order":             {dir, at(1, "b", regular), at(1, "a", regular)},
		"deeper than there is":     {dir, at(3, "a", regular)},
		"our own name":             {dir, at(1, linksDir, directory)},
		"up":                       {dir, at(1, "..", regular)},
		"a path":                   {dir, at(1, "a/b", regular)},
		"here":                     {dir, at(1, ".", directory)},
		"no name":                  {dir, at(1, "", regular)},
		"a zero":                   {dir, at(1, "a\x00b", regular)},
		"another kind":             {dir, at(1, "a", 'x')},
		"segments of no file":      {dir, at(1, "a", more)},
		"segments of a directory":  {dir, at(1, "a", directory), at(1, "a", more)},
		"an attribute of security": {dir, {depth: 1, name: "a", kind: directory, attrs: []attribute{{"trusted.overlay.redirect", "/x"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var p part
			for i := range list {
				p.add(&list[i], local{})
			}
			place := newPlace(t)
			err := place.forge(p.bytes())
			if !errors.Is(err, errForm) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// forge restores a save whose list says what it is told.
func (p *place) forge(list []byte) error {
	m := &Manifest{Format: format, Computer: computer, Name: "s1"}
	one := &piece{ref: ref{"s1", sumOf(list)}, size: uint32(len(list)), used: true}
	packed := p.line.packs.EncodeAll(list, nil)
	if err := p.store.Put(p.Context(), pieceKey(computer, one.ref), packed); err != nil {
		return err
	}
	m.write(catalog{one.sum: one}, []*piece{one})
	if _, err := p.putManifest(p.Context(), m); err != nil {
		return err
	}
	_, err := p.tryRestore("s1")
	return err
}

// TestAManifestThatIsNoneIsRefused as are ones of another computer or save.
func TestAManifestThatIsNoneIsRefused(t *testing.T) {
	p := newPlace(t)
	p.write("a", []byte("a"))
	p.saveAs("s1", "")
	path := filepath.Join(p.dir, "store/computers/c1/saves/s1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"empty": {}, "cut": whole[:len(whole)-3], "text": []byte("{}")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.tryRestore("s1"); !errors.Is(err, errForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "s2"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tryRestore("s2"); !errors.Is(err, errForm) {
		t.Errorf("under another name: %v", err)
	}
	for _, name := range []string{"", ".", "../s1", "a/b", strings.Repeat("x", 300)} {
		if _, err := p.tryRestore(name); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("named %q: %v", name, err)
		}
	}
}

// FuzzPart: whatever a part holds, reading it ends, and what it gives can be
// written again.
func FuzzPart(f *testing.F) {
	chunk := &piece{ref: ref{save: "s1", sum: sumOf([]byte("x"))}, size: chunkBytes}
	var p part
	for _, e := range []entry{
		{kind: directory},
		{depth: 1, name: "a", kind: regular, size: 5 << 20, link: 7, attrs: []attribute{{"user.a", "b"}}, segments: []segment{
			{at: 0, length: 100, piece: chunk}, {at: 4096, length: 5, piece: chunk, from: 100}}},
		{depth: 1, name: "a", kind: more, segments: []segment{{at: 4 << 20, length: 100, piece: chunk}}},
		{depth: 1, name: "b", kind: symlink, target: "/x", modified: stamp{-5, 1}},
		{depth: 1, name: "c", kind: whiteout},
	} {
		p.add(&e, local{})
	}
	f.Add(p.bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parsePart(data, func(at ref) *piece { return &piece{ref: at, size: chunkBytes} })
		if err != nil {
			return
		}
		for _, e := range entries {
			var end int64
			for _, s := range e.segments {
				if s.at < end || s.length <= 0 || s.from < 0 || s.from+s.length > chunkBytes || e.kind == regular && s.end() > e.size {
					t.Fatalf("a segment %+v of %d bytes", s, e.size)
				}
				end = s.end()
			}
			var again part
			again.add(&e, local{})
		}
	})
}
