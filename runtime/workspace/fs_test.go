package workspace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

const testUID, testGID = 201_000, 201_001

func openAt(t testing.TB, dir string) *FS {
	t.Helper()
	w, err := Open(runtime.WorkspaceRoot{Path: dir, UID: testUID, GID: testGID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func put(t *testing.T, w *FS, name, content string) Entry {
	t.Helper()
	e, err := w.Write(t.Context(), name, strings.NewReader(content), WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func expectOwner(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != testUID || st.Gid != testGID || info.Mode().Perm() != mode {
		t.Errorf("%s belongs to %d:%d, mode %o", path, st.Uid, st.Gid, info.Mode().Perm())
	}
}

func TestWriteMakesFilesOfTheUser(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	e := put(t, w, "/workspace/src/deep/a.txt", "hello")
	if e.Path != "src/deep/a.txt" || e.Kind != File || e.SizeBytes != 5 || e.Name() != "a.txt" {
		t.Fatalf("%+v", e)
	}
	expectOwner(t, filepath.Join(dir, "src"), 0o755)
	expectOwner(t, filepath.Join(dir, "src/deep"), 0o755)
	expectOwner(t, filepath.Join(dir, "src/deep/a.txt"), 0o644)
	if _, err := w.Write(t.Context(), "code.sh", strings.NewReader("x"), WriteOptions{Mode: 0o755 | fs.ModeSetuid}); err != nil {
		t.Fatal(err)
	}
	put(t, w, "code.sh", "new content keeps the mode")
	expectOwner(t, filepath.Join(dir, "code.sh"), 0o755)
	if got, err := w.ReadFile("/code/code.sh", 100); err != nil || string(got) != "new content keeps the mode" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestAFailedWriteChangesNothing(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	put(t, w, "a", "old")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, write := range map[string]func() error{
		"broken stream": func() error {
			_, err := w.Write(t.Context(), "a", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), WriteOptions{})
			return err
		},
		"too large": func() error {
			_, err := w.Write(t.Context(), "a", strings.NewReader("123456"), WriteOptions{MaxBytes: 5})
			return err
		},
		"cancelled": func() error {
			_, err := w.Write(cancelled, "a", strings.NewReader("new"), WriteOptions{})
			return err
		},
		"on a directory": func() error {
			_, err := w.Write(t.Context(), ".", strings.NewReader("new"), WriteOptions{})
			return err
		},
		"below a file": func() error {
			_, err := w.Write(t.Context(), "a/b", strings.NewReader("new"), WriteOptions{})
			return err
		},
	} {
		if err := write(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("%s left %v, %v", name, names, err)
		}
	}
	if got, err := w.ReadFile("a", 10); err != nil || string(got) != "old" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := w.Write(t.Context(), "a", strings.NewReader("12345"), WriteOptions{MaxBytes: 5}); err != nil {
		t.Fatalf("exactly the limit: %v", err)
	}
}

func TestReadingRangesAndLimits(t *testing.T) {
	w := openAt(t, t.TempDir())
	put(t, w, "a", "0123456789")
	r, e, err := w.Open("a")
	if err != nil || e.SizeBytes != 10 {
		t.Fatalf("%+v, %v", e, err)
	}
	defer r.Close()
	part := make([]byte, 3)
	if _, err := r.ReadAt(part, 4); err != nil || string(part) != "456" {
		t.Fatalf("%q, %v", part, err)
	}
	if _, err := w.ReadFile("a", 9); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "9 bytes") {
		t.Fatalf("over the limit: %v", err)
	}
	if _, err := w.ReadFile("a", 10); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFile("b", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("absent: %v", err)
	}
	if _, _, err := w.Open("."); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("a directory: %v", err)
	}
}

func TestPipesAndSocketsAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "sock"} {
		if _, _, err := w.Open(name); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, err := w.Grep(t.Context(), ".", GrepOptions{Pattern: ".", Regex: true}); err != nil || len(found.Matches) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	put(t, w, "pipe", "a file now")
}

func TestDirectoriesMoveAndGo(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	if err := w.Mkdir("a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without its parent: %v", err)
	}
	if err := w.Mkdir("a"); err != nil {
		t.Fatal(err)
	}
	expectOwner(t, filepath.Join(dir, "a"), 0o755)
	if err := w.Mkdir("a"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("twice: %v", err)
	}
	for range 2 {
		if err := w.MkdirAll("a/b/c"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, w, "a/b/c/file", "x")
	if err := w.Move("a/b", "new/place/b"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.ReadFile("new/place/b/c/file", 10); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := w.Move("new", "new/inside"); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("into itself: %v", err)
	}
	if err := w.MkdirAll("new/place/b/c/file"); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("over a file: %v", err)
	}
	if err := w.Move("gone", "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("of nothing: %v", err)
	}
	if err := w.Remove(t.Context(), "new", true); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(t.Context(), "new", true); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("twice: %v", err)
	}
	if _, err := w.Stat("new"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("still there: %v", err)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	for _, name := range []string{"a", "d/b", "d/e/c", "z/" + partPrefix + "X"} {
		put(t, w, name, "12")
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "d/link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		opts      ListOptions
		want      string
		truncated bool
	}{
		{".", ListOptions{Depth: 1}, "a d z", false},
		{".", ListOptions{Depth: 2}, "a d d/b d/e d/link z", false},
		{"/workspace/", ListOptions{}, "a d d/b d/e d/e/c d/link z", false},
		{"d", ListOptions{}, "d/b d/e d/e/c d/link", false},
		{"d/e", ListOptions{Limit: 1}, "d/e/c", false},
	} {
		got, err := w.List(t.Context(), tt.name, tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, e := range got.Entries {
			paths = append(paths, e.Path)
		}
		if strings.Join(paths, " ") != tt.want || got.Truncated != tt.truncated {
			t.Errorf("%s %+v: %v, truncated %v", tt.name, tt.opts, paths, got.Truncated)
		}
	}
	got, err := w.List(t.Context(), ".", ListOptions{Limit: 3})
	if err != nil || len(got.Entries) != 3 || !got.Truncated {
		t.Errorf("limited: %+v, %v", got, err)
	}
	all, err := w.List(t.Context(), "d", ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(all.Entries, func(e Entry) bool { return e.Kind == Symlink }); i < 0 || all.Entries[i].Target != "/etc/passwd" {
		t.Errorf("link: %+v", all.Entries)
	}
	if _, err := w.List(t.Context(), "a", ListOptions{}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("of a file: %v", err)
	}
	if _, err := w.List(t.Context(), "gone", ListOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestGrep(t *testing.T) {
	w := openAt(t, t.TempDir())
	put(t, w, "a.go", "package a\r\nfunc A() {}\n")
	put(t, w, "b/c.txt", "no\nfunc here\nfunc there")
	put(t, w, "bin", "func \x00")
	put(t, w, "long", "func "+strings.Repeat("é", MaxMatchBytes))
	if _, err := w.Write(t.Context(), "huge", bytes.NewReader(bytes.Repeat([]byte("func\n"), MaxGrepFileBytes/4)), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	found, err := w.Grep(t.Context(), ".", GrepOptions{Pattern: `^func \w`, Regex: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []Match{{"a.go", 2, "func A() {}"}, {"b/c.txt", 2, "func here"}, {"b/c.txt", 3, "func there"}}
	if !slices.Equal(found.Matches, want) || found.Truncated || found.Skipped != 2 {
		t.Fatalf("%+v", found)
	}
	if found, err = w.Grep(t.Context(), "b/c.txt", GrepOptions{Pattern: "func", Limit: 1}); err != nil || len(found.Matches) != 1 || !found.Truncated {
		t.Fatalf("limited: %+v, %v", found, err)
	}
	if found, err = w.Grep(t.Context(), "long", GrepOptions{Pattern: "func é"}); err != nil || len(found.Matches) != 1 || len(found.Matches[0].Text) > MaxMatchBytes || !strings.HasSuffix(found.Matches[0].Text, "é") {
		t.Fatalf("long line: %+v, %v", found, err)
	}
	for _, pattern := range []string{"(", strings.Repeat("a", MaxPatternBytes+1), "(?=x)"} {
		if _, err := w.Grep(t.Context(), ".", GrepOptions{Pattern: pattern, Regex: true}); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%.10q: %v", pattern, err)
		}
	}
	if _, err := w.Grep(t.Context(), "gone", GrepOptions{Pattern: "x"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}
