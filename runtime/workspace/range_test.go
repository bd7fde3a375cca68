package workspace

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

// TestAFileIsItsModel: whatever is written where, and patched, the file is
// what a slice of bytes would be.
func TestAFileIsItsModel(t *testing.T) {
	w := openAt(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		if err := w.Remove(t.Context(), ".", true); err != nil {
			rt.Fatal(err)
		}
		var model []byte
		made := false
		small := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\x00é")), 0, 12)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				at, data := rapid.Int64Range(0, 40).Draw(rt, "at"), small.Draw(rt, "data")
				if err := w.WriteRange(t.Context(), "d/f", at, data); err != nil {
					rt.Fatal(err)
				}
				if end := int(at) + len(data); len(data) > 0 && end > len(model) {
					model = append(model, make([]byte, end-len(model))...)
				}
				if len(data) > 0 {
					copy(model[at:], data)
				}
				made = true
			case 1:
				at, length := rapid.Int64Range(0, 60).Draw(rt, "at"), rapid.Int64Range(0, 60).Draw(rt, "length")
				got, err := w.ReadRange("d/f", at, length)
				if made && err != nil || !made && !errors.Is(err, fs.ErrNotExist) {
					rt.Fatal(err)
				}
				from := min(int(at), len(model))
				if want := model[from:min(from+int(length), len(model))]; !bytes.Equal(got, want) {
					rt.Fatalf("%d bytes from %d are %q, not %q", length, at, got, want)
				}
			case 2:
				find, replace := small.Draw(rt, "find"), small.Draw(rt, "replace")
				version, err := w.Patch(t.Context(), "d/f", []Edit{{string(find), string(replace)}})
				switch {
				case !made:
					if !errors.Is(err, fs.ErrNotExist) {
						rt.Fatal(err)
					}
				case len(find) == 0 || !bytes.Contains(model, find):
					if !errors.Is(err, runtime.ErrInvalid) {
						rt.Fatalf("%q in %q: %v", find, model, err)
					}
				default:
					if model = bytes.ReplaceAll(model, find, replace); err != nil || version != Version(model) {
						rt.Fatalf("version %d, %v", version, err)
					}
				}
			case 3:
				data := small.Draw(rt, "all")
				if _, err := w.Write(t.Context(), "d/f", bytes.NewReader(data), WriteOptions{}); err != nil {
					rt.Fatal(err)
				}
				model, made = bytes.Clone(data), true
			}
			if got, err := w.ReadFile("d/f", 1<<20); made && (err != nil || !bytes.Equal(got, model)) {
				rt.Fatalf("%q, %v; the model is %q", got, err, model)
			}
		}
	})
}

func TestWriteRangeKeepsTheFile(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	at := filepath.Join(dir, "f")
	if err := os.WriteFile(at, []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at, 0o711|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := os.Symlink("f", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRange(t.Context(), "link", 2, []byte("xyz")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 9)
	n, _ := reader.Read(got)
	if info, err := os.Lstat(at); err != nil || string(got[:n]) != "01xyz" || info.Mode() != 0o711 {
		t.Fatalf("who held it open reads %q; mode %v, %v", got[:n], info.Mode(), err)
	}
	if err := w.WriteRange(t.Context(), "new/f", 3, []byte("x")); err != nil {
		t.Fatal(err)
	}
	expectOwner(t, filepath.Join(dir, "new/f"), 0o644)
	expectOwner(t, filepath.Join(dir, "new"), 0o755)
	if names, err := os.ReadDir(filepath.Join(dir, "new")); err != nil || len(names) != 1 {
		t.Fatalf("left %v, %v", names, err)
	}
}

func TestPartsMayBeWrittenSideBySide(t *testing.T) {
	w := openAt(t, t.TempDir())
	const parts, size = 16, 100_000
	var all sync.WaitGroup
	for i := range parts {
		all.Go(func() {
			if err := w.WriteRange(t.Context(), "f", int64(i*size), bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := w.ReadFile("f", parts*size)
	if err != nil || len(got) != parts*size {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := range parts {
		if bytes.Count(got[i*size:(i+1)*size], []byte{byte('a' + i)}) != size {
			t.Errorf("part %d is not whole", i)
		}
	}
}

// tiny mounts a file system with room for little.
func tiny(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes+",nr_inodes=16"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLeavesWhatWas(t *testing.T) {
	dir := tiny(t, "256k")
	w := openAt(t, dir)
	was := strings.Repeat("was", 30_000)
	put(t, w, "f", was)
	big := bytes.Repeat([]byte("new"), 100_000)
	set := string(big)
	for name, op := range map[string]Op{
		"write":          {Verb: WriteBytes, Path: "f", ContentBase64: big},
		"write anew":     {Verb: WriteBytes, Path: "g", ContentBase64: big},
		"overwrite":      {Verb: WriteRange, Path: "f", Offset: 9, ContentBase64: big},
		"after a gap":    {Verb: WriteRange, Path: "f", Offset: 1 << 20, ContentBase64: big},
		"overwrite anew": {Verb: WriteRange, Path: "g", Offset: 9, ContentBase64: big},
		"set":            {Verb: Patch, Path: "f", SetContents: &set},
		"edit":           {Verb: Patch, Path: "f", Edits: []Edit{{"was", "something longer"}}},
	} {
		if _, err := w.Do(t.Context(), op); !errors.Is(err, runtime.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
		got, err := w.ReadFile("f", 1<<20)
		if names, readErr := os.ReadDir(dir); err != nil || string(got) != was || readErr != nil || len(names) != 1 {
			t.Errorf("%s left %v and %d bytes, %v, %v", name, names, len(got), err, readErr)
		}
	}
	for range 15 { // inodes end too
		put := Op{Verb: Mkdir, Path: strings.Repeat("d/", 20), Recursive: true}
		if _, err := w.Do(t.Context(), put); !errors.Is(err, runtime.ErrFull) {
			t.Fatalf("%v", err)
		}
	}
}

func TestRangesAreChecked(t *testing.T) {
	w := openAt(t, t.TempDir())
	put(t, w, "f", "x")
	for field, err := range map[string]error{
		"offset":   func() error { _, err := w.ReadRange("f", -1, 1); return err }(),
		"length":   func() error { _, err := w.ReadRange("f", 0, -1); return err }(),
		"length ":  func() error { _, err := w.ReadRange("f", 0, MaxContentBytes+1); return err }(),
		"offset ":  w.WriteRange(t.Context(), "f", -1, nil),
		"offset  ": w.WriteRange(t.Context(), "f", MaxFileBytes, []byte("x")),
	} {
		var wrong *FieldError
		if !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if got, err := w.ReadRange("f", 1<<62, MaxContentBytes); err != nil || got == nil || len(got) != 0 {
		t.Errorf("far past the end: %v, %v", got, err)
	}
}
