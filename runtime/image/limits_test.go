package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

func TestNamesTakeBoundedMemory(t *testing.T) {
	long := strings.Repeat("n", 200)
	deep := dir(strings.Repeat("d/", 50))
	for name, entry := range map[string]func(i int) tar.Header{
		"long names":  func(i int) tar.Header { return file(fmt.Sprintf("%s%d", long, i)) },
		"directories": func(i int) tar.Header { return dir(fmt.Sprintf("%s%d", long, i)) },
		"names through links": func(i int) tar.Header {
			switch {
			case i == 0:
				return deep
			case i%2 == 1:
				return symlink(fmt.Sprint("l", i), "d")
			}
			return file(fmt.Sprintf("l%d/%sf", i-1, strings.Repeat("d/", 49)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []tar.Header
			for i := range 100 {
				entries = append(entries, entry(i))
			}
			l := testLimits
			u, err := newUnpacker(t.TempDir(), l)
			if err != nil {
				t.Fatal(err)
			}
			defer u.close()
			if err := u.layer(bytes.NewReader(tarOf(t, entries...))); err != nil {
				t.Fatalf("within the limits: %v", err)
			}
			l.names = roomFor(20_000)
			small, err := newUnpacker(t.TempDir(), l)
			if err != nil {
				t.Fatal(err)
			}
			defer small.close()
			if err := small.layer(bytes.NewReader(tarOf(t, entries...))); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "20000 bytes") {
				t.Errorf("beyond: %v", err)
			}
		})
	}
}

// filled makes files in a directory, all of them one file if linked.
func filled(t *testing.T, dir string, n int, linked bool) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("name-%06d", i))
		err := os.WriteFile(name, nil, 0o600)
		if err == nil && linked {
			err = os.Link(name, name+"-")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPackHoldsABoundedListOfNames(t *testing.T) {
	const each = int64(len("name-000000") + nameCost)
	pack := func(dir string, names int64) error {
		return pack(t.Context(), io.Discard, []Tree{{Path: dir, At: "."}}, unshifted, roomFor(names))
	}
	wide := t.TempDir()
	filled(t, filepath.Join(wide, "a"), 1500, false)
	filled(t, filepath.Join(wide, "b"), 1500, false)
	if err := pack(wide, 1600*each); err != nil {
		t.Errorf("one directory after another: %v", err)
	}
	if err := pack(wide, 1400*each); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprint(1400*each, " bytes")) {
		t.Errorf("a wide directory: %v", err)
	}
	linked := t.TempDir()
	filled(t, linked, 100, true)
	if err := pack(linked, 250*each); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("files with several names: %v", err)
	}
	if err := pack(linked, 400*each); err != nil {
		t.Errorf("files with several names, and room: %v", err)
	}
}

func TestACopyThatIsGivenUpListsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Copy(ctx, t.TempDir(), t.TempDir(), unshifted, Files{Sources: []string{"/*/x*"}, Dest: "/"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
