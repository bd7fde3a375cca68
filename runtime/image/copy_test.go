package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// copied copies into a fresh root, and returns it.
func copied(t *testing.T, from string, f Files) (string, error) {
	t.Helper()
	to := t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return to, Copy(t.Context(), from, to, unshifted, f)
}

func TestCopyMakesItsDestination(t *testing.T) {
	from := t.TempDir()
	plant(t, from, map[string]string{"d/x": "x", "empty/sub/y": "y"})
	if err := os.RemoveAll(filepath.Join(from, "empty/sub")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		files Files
		want  string
		owned []string // by 7:8, or by root
	}{
		"a file":                  {Files{Sources: []string{"/d/x"}, Dest: "/a/b/c"}, "a/ a/b/ a/b/c file", []string{"a", "a/b"}},
		"a file into a directory": {Files{Sources: []string{"/d/x"}, Dest: "/a/b/"}, "a/ a/b/ a/b/x file", []string{"a", "a/b"}},
		"a directory":             {Files{Sources: []string{"/d"}, Dest: "/a/b"}, "a/ a/b/ a/b/x file", []string{"a", "a/b"}},
		"an empty directory":      {Files{Sources: []string{"/empty"}, Dest: "/a/b"}, "a/ a/b/ file", []string{"a", "a/b"}},
		"one of two is empty":     {Files{Sources: []string{"/empty", "/d/x"}, Dest: "/a/"}, "a/ a/x file", []string{"a"}},
	} {
		for _, owner := range []*Owner{nil, {7, 8}} {
			t.Run(name, func(t *testing.T) {
				tt.files.Owner, tt.files.Mode = owner, 0o640
				to, err := copied(t, from, tt.files)
				if err != nil || tree(t, to) != tt.want {
					t.Fatalf("%s, want %s: %v", tree(t, to), tt.want, err)
				}
				want := Owner{}
				if owner != nil {
					want = *owner
				}
				for _, made := range tt.owned {
					var st unix.Stat_t
					if err := unix.Lstat(filepath.Join(to, made), &st); err != nil {
						t.Fatal(err)
					}
					if got := (Owner{int(st.Uid), int(st.Gid)}); got != want || st.Mode&0o7777 != 0o755 {
						t.Errorf("%s is %v's, %o; want %v's", made, got, st.Mode, want)
					}
				}
			})
		}
	}
}

func TestCopyPutsNoDirectoryOverAFile(t *testing.T) {
	from := t.TempDir()
	if err := os.Mkdir(filepath.Join(from, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dest := range []string{"/file", "/file/below"} {
		to, err := copied(t, from, Files{Sources: []string{"/empty"}, Dest: dest})
		if !errors.Is(err, runtime.ErrInvalid) || tree(t, to) != "file" {
			t.Errorf("%s: %s, %v", dest, tree(t, to), err)
		}
	}
}

// TestCopyTakesNothingAway: in a layer such a name says that another is gone.
func TestCopyTakesNothingAway(t *testing.T) {
	from := t.TempDir()
	plant(t, from, map[string]string{"x": "x", ".wh.file": "y", "d/.wh.file": "z"})
	for source, dest := range map[string]string{"/x": "/.wh.file", "/.wh.file": "/", "/d": "/.wh.file/d"} {
		to, err := copied(t, from, Files{Sources: []string{source}, Dest: dest})
		if !errors.Is(err, runtime.ErrInvalid) || tree(t, to) != "file" {
			t.Errorf("%s to %s: %s, %v", source, dest, tree(t, to), err)
		}
	}
	to, err := copied(t, from, Files{Sources: []string{"/d"}, Dest: "/"}) // left out, as from a layer
	if err != nil || tree(t, to) != "file" {
		t.Errorf("%s, %v", tree(t, to), err)
	}
}

func TestLayTakesNothingAway(t *testing.T) {
	root := t.TempDir()
	plant(t, root, map[string]string{"file": "x", "dir/a": "y"})
	if err := os.Symlink("nowhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	was := tree(t, root)
	for _, e := range []Entry{{Path: "/file", Dir: true}, {Path: "/link", Dir: true}, {Path: "/.wh.file"}, {Path: "/.wh.dir/x"}, {Path: "/dir"}} {
		if err := Lay(root, unshifted, []Entry{e}); !errors.Is(err, runtime.ErrInvalid) || tree(t, root) != was {
			t.Errorf("%s: %s, %v", e.Path, tree(t, root), err)
		}
	}
	if err := Lay(root, unshifted, []Entry{{Path: "/dir", Dir: true}, {Path: "/dir/b/c", Dir: true}}); err != nil {
		t.Error(err)
	}
}
