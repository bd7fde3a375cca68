package store

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// archiveOf takes a snapshot of a small store and returns its archive.
func archiveOf(t testing.TB, steps uint64) []byte {
	t.Helper()
	s := open(t, Options{})
	for i := range steps {
		must(t, step(s, i+1))
	}
	shelf, err := s.Shelf(1)
	must(t, err)
	d, err := shelf.Begin("1")
	must(t, err)
	must(t, d.Take())
	_, err = d.Keep([]byte(`{}`))
	must(t, err)
	o, err := shelf.Open("1")
	must(t, err)
	b, err := io.ReadAll(o)
	must(t, err)
	must(t, o.Close())
	return b
}

func TestArchiveCarriesAStore(t *testing.T) {
	b := archiveOf(t, 50)
	s := open(t, Options{})
	shelf, err := s.Shelf(1)
	must(t, err)
	d, err := shelf.Begin("1")
	must(t, err)
	for chunk := range bytesIn(b, 1000) {
		_, err := d.Write(chunk)
		must(t, err)
	}
	it, err := d.Keep([]byte(`{}`))
	must(t, err)
	if it.Applied != 50 || it.Size != int64(len(b)) {
		t.Fatalf("kept %+v of %d bytes", it, len(b))
	}
	o, err := shelf.Open("1")
	must(t, err)
	must(t, s.Restore(o.Dir))
	must(t, o.Close())
	if got := check(t, s); got != 50 {
		t.Fatalf("restored to %d", got)
	}
}

func bytesIn(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}

func TestDamagedArchiveIsRefused(t *testing.T) {
	b := archiveOf(t, 5)
	flipped := bytes.Clone(b)
	flipped[len(b)/2] ^= 1
	for name, damaged := range map[string][]byte{
		"empty": {}, "cut off": b[:len(b)-3], "a bit flipped": flipped, "too long": append(bytes.Clone(b), 0),
	} {
		s := open(t, Options{})
		shelf, err := s.Shelf(1)
		must(t, err)
		d, err := shelf.Begin("1")
		must(t, err)
		_, werr := d.Write(damaged)
		_, kerr := d.Keep([]byte(`{}`))
		if err := errors.Join(werr, kerr); !errors.Is(err, errArchive) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, d.Cancel())
		if items, err := shelf.List(); len(items) != 0 || err != nil {
			t.Errorf("%s: on the shelf: %v, %v", name, items, err)
		}
	}
}

// FuzzUnpack checks that no archive writes outside its directory or breaks the node.
func FuzzUnpack(f *testing.F) {
	f.Add(archiveOf(f, 3))
	f.Add([]byte("bothycp1\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x04../x\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := vfs.NewMem()
		must(t, fs.MkdirAll("in", 0o700))
		_, err := unpack(bytes.NewReader(b), fs, "in/dir")
		names, lerr := fs.List("in")
		must(t, lerr)
		if len(names) != 1 {
			t.Fatalf("unpack wrote %q beside its directory (%v)", names, err)
		}
	})
}
