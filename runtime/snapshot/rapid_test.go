package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestWhateverIsSavedComesBack walks random histories of a tree: each save is of
// the one before, and what is swept takes nothing from what is kept.
func TestWhateverIsSavedComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlace(t)
		saved := map[string]map[string]string{} // by name, what the tree was
		last, count := "", 0
		anyName := rapid.SampledFrom([]string{"a", "b", "c", "d/a", "d/b", "d/e/a", "f/a", "f/b"})
		// What the shape of the tree does not allow is left.
		attempt := func(err error) {
			if errno := unix.Errno(0); err != nil && !errors.As(err, &errno) {
				rt.Fatal(err)
			}
		}
		make := func(name string, make func(path string) error) {
			path := p.path(name)
			attempt(os.MkdirAll(filepath.Dir(path), 0o755))
			attempt(make(path))
			if _, err := os.Lstat(path); err == nil {
				attempt(os.Lchown(path, p.ids.Host+rapid.IntRange(0, 1000).Draw(rt, "owner"), p.ids.Host))
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				size := rapid.SampledFrom([]int{0, 1, 5000, smallBytes, smallBytes + 1, chunkBytes, 2*chunkBytes + 1}).Draw(rt, "size")
				make(anyName.Draw(rt, "name"), func(path string) error {
					return os.WriteFile(path, noise(rapid.Uint64().Draw(rt, "seed"), size), 0o640)
				})
			},
			"change": func(rt *rapid.T) {
				at := rapid.Int64Range(0, 3*chunkBytes).Draw(rt, "at")
				attempt(patch(p.path(anyName.Draw(rt, "name")), at, noise(uint64(at), rapid.IntRange(1, 10000).Draw(rt, "bytes"))))
			},
			"truncate": func(rt *rapid.T) {
				attempt(os.Truncate(p.path(anyName.Draw(rt, "name")), rapid.Int64Range(0, 4*chunkBytes).Draw(rt, "size")))
			},
			"link": func(rt *rapid.T) {
				from := p.path(anyName.Draw(rt, "from"))
				if info, err := os.Lstat(from); err == nil && info.Mode().IsRegular() {
					make(anyName.Draw(rt, "to"), func(path string) error { return os.Link(from, path) })
				}
			},
			"symlink": func(rt *rapid.T) {
				make(anyName.Draw(rt, "name"), func(path string) error { return os.Symlink("../../x", path) })
			},
			"whiteout": func(rt *rapid.T) {
				make(anyName.Draw(rt, "name"), func(path string) error { return unix.Mknod(path, unix.S_IFCHR, 0) })
			},
			"mode": func(rt *rapid.T) {
				path := p.path(anyName.Draw(rt, "name"))
				if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 {
					attempt(os.Chmod(path, fs.FileMode(rapid.IntRange(0, 0o777).Draw(rt, "mode"))|fs.ModeSetgid))
					attempt(unix.Setxattr(path, "trusted.overlay.opaque", []byte("y"), 0))
				}
			},
			"remove": func(rt *rapid.T) { attempt(os.RemoveAll(p.path(anyName.Draw(rt, "name")))) },
			"save": func(rt *rapid.T) {
				count++ // no name is given twice
				name := fmt.Sprintf("s%d", count)
				base := rapid.SampledFrom([]string{last, last, ""}).Draw(rt, "base")
				if rapid.IntRange(0, 4).Draw(rt, "lost") == 0 {
					attempt(os.Remove(filepath.Join(p.dir, "index")))
				}
				if _, err := p.trySave(name, base); err != nil {
					rt.Fatal(err)
				}
				saved[name], last = describe(t, p.tree, p.ids), name
			},
			"sweep": func(rt *rapid.T) {
				if last == "" {
					return
				}
				keep := []string{last}
				for name := range saved {
					if name != last && rapid.Bool().Draw(rt, "keep") {
						keep = append(keep, name)
					}
				}
				if err := p.Sweep(p.Context(), computer, keep); err != nil {
					rt.Fatal(err)
				}
				for name := range saved {
					if _, err := p.Manifest(p.Context(), saveOf(name)); err != nil {
						delete(saved, name)
					}
				}
				if len(saved) != len(keep) {
					rt.Fatalf("of %d that were kept there are %d", len(keep), len(saved))
				}
			},
		})
		for name, want := range saved {
			equal(t, describe(t, p.restored(name), p.ids), want)
		}
	})
}

func patch(path string, at int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
			return nil
		}
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}
