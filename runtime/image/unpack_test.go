package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// tarOf writes entries as they are, however wrong.
func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		content := ""
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			content = "content of " + h.Name
			h.Size = int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1_700_000_000, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
func dir(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}
}
func symlink(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}
func hardlink(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
}

var testLimits = limits{entries: 200, bytes: 1 << 20, names: roomFor(1 << 20)}

// unpack lays layers over each other in a directory that has something beside
// it, and checks that this is as it was.
func unpack(t testing.TB, layers ...[]byte) (string, error) {
	t.Helper()
	top := t.TempDir()
	beside, root := filepath.Join(top, "beside"), filepath.Join(top, "root")
	if err := errors.Join(os.Mkdir(root, 0o755), os.WriteFile(beside, []byte("untouched"), 0o640)); err != nil {
		t.Fatal(err)
	}
	u, err := newUnpacker(root, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	for _, l := range layers {
		if err = u.layer(bytes.NewReader(l)); err != nil {
			break
		}
	}
	text, readErr := os.ReadFile(beside)
	info, statErr := os.Lstat(beside)
	entries, listErr := os.ReadDir(top)
	if outside := errors.Join(readErr, statErr, listErr); outside != nil || string(text) != "untouched" || info.Mode() != 0o640 || len(entries) != 2 || info.Sys() == nil {
		t.Fatalf("changed outside: %q %v %v %v", text, info, entries, outside)
	}
	return root, err
}

// tree lists what is in a directory, links with their targets.
func tree(t testing.TB, root string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if e.IsDir() {
			name += "/"
		} else if e.Type()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			name += ">" + to
		}
		all = append(all, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestLayersLieOverEachOther(t *testing.T) {
	below := tarOf(t, dir("etc"), file("etc/a"), file("etc/b"), dir("d"), file("d/old"), dir("d/sub"), file("d/sub/old"), symlink("bin", "usr/bin"), dir("usr/bin"), file("f"), dir("gone/deep"))
	for name, tt := range map[string]struct {
		above []byte
		want  string
	}{
		"a file is replaced":             {tarOf(t, file("etc/a")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"whiteouts":                      {tarOf(t, file("etc/.wh.a"), file(".wh.gone")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/b f usr/ usr/bin/"},
		"an opaque directory":            {tarOf(t, dir("d"), file("d/.wh..wh..opq"), file("d/new")), "bin>usr/bin d/ d/new etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"opaque after its own":           {tarOf(t, file("d/sub/new"), file("d/.wh..wh..opq")), "bin>usr/bin d/ d/sub/ d/sub/new etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"a whiteout spares its own":      {tarOf(t, file("etc/a"), file("etc/.wh.a")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"through a link":                 {tarOf(t, file("bin/sh")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/ usr/bin/sh"},
		"a directory replaces a link":    {tarOf(t, dir("bin")), "bin/ d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"a file replaces a directory":    {tarOf(t, file("d")), "bin>usr/bin d etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"a link replaces a file":         {tarOf(t, symlink("f", "d")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f>d gone/ gone/deep/ usr/ usr/bin/"},
		"a second name":                  {tarOf(t, hardlink("etc/c", "etc/a"), hardlink("f", "f")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b etc/c f gone/ gone/deep/ usr/ usr/bin/"},
		"directories nobody named":       {tarOf(t, file("x/y/z")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/ x/ x/y/ x/y/z"},
		"a whiteout of nothing":          {tarOf(t, file(".wh.nothing"), file(".wh."), file(".wh..")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f gone/ gone/deep/ usr/ usr/bin/"},
		"absolute names are inside ones": {tarOf(t, file("/f2")), "bin>usr/bin d/ d/old d/sub/ d/sub/old etc/ etc/a etc/b f f2 gone/ gone/deep/ usr/ usr/bin/"},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := unpack(t, below, tt.above)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHostileLayersStayInside(t *testing.T) {
	for name, tt := range map[string]struct {
		layer []byte
		want  string // the tree, or "" when it must be refused
	}{
		"a file through a link up":        {tarOf(t, symlink("a", ".."), file("a/beside")), "a>.. beside"},
		"a file through an absolute link": {tarOf(t, dir("tmp"), symlink("a", "/"), file("a/tmp/x")), "a>/ tmp/ tmp/x"},
		"a file over a link":              {tarOf(t, symlink("a", "../beside"), file("a")), "a"},
		"links that go round":             {tarOf(t, symlink("a", "b"), symlink("b", "a"), file("a/x")), ""},
		"a name that goes up":             {tarOf(t, file("../beside")), ""},
		"a name that goes up inside":      {tarOf(t, file("a/../../beside")), ""},
		"a hard link up":                  {tarOf(t, hardlink("a", "../beside")), ""},
		"a hard link by a link":           {tarOf(t, symlink("s", "../.."), hardlink("a", "s/beside")), ""},
		"a hard link to a directory":      {tarOf(t, dir("d"), hardlink("a", "d")), ""},
		"a whiteout of what is above":     {tarOf(t, symlink("a", ".."), file("a/.wh.beside"), file(".wh..")), "a>.."},
		"opaque through a link":           {tarOf(t, symlink("a", ".."), file("a/.wh..wh..opq"), file("b")), "b"},
		"a file below a file":             {tarOf(t, file("a"), file("a/b")), ""},
		"devices and pipes": {tarOf(t, tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8},
			tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}), "dev/"},
		"a name of many parts": {tarOf(t, file(strings.Repeat("d/", testLimits.entries+1)+"f")), ""},
		"a long name":          {tarOf(t, file(strings.Repeat("n", 300))), ""},
		"a very long link":     {tarOf(t, symlink("a", strings.Repeat("n/", 3000))), ""},
		"magic links":          {tarOf(t, symlink("proc", "/proc/self/root"), file("proc/tmp/x")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := unpack(t, tt.layer)
			if tt.want == "" {
				if !errors.Is(err, runtime.ErrInvalid) {
					t.Fatalf("%v; tree %s", err, tree(t, root))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLayersHaveBounds(t *testing.T) {
	many := make([]tar.Header, testLimits.entries+1)
	for i := range many {
		many[i] = dir("d")
	}
	big := tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: testLimits.bytes + 1}
	var short bytes.Buffer
	w := tar.NewWriter(&short)
	if err := w.WriteHeader(&big); err != nil {
		t.Fatal(err)
	}
	for name, layer := range map[string][]byte{"entries": tarOf(t, many...), "bytes": short.Bytes(), "cut off": tarOf(t, file("a"))[:515]} {
		if _, err := unpack(t, layer); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOwnersAndModesAreKept(t *testing.T) {
	caps := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw+ep
	layer := tarOf(t,
		tar.Header{Name: "sudo", Typeflag: tar.TypeReg, Uid: 0, Gid: 27, Mode: 0o4755},
		tar.Header{Name: "ping", Typeflag: tar.TypeReg, Uid: 5, Gid: 6, Mode: 0o750, Format: tar.FormatPAX, PAXRecords: map[string]string{
			"SCHILY.xattr.security.capability": caps, "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.note": "x",
		}},
		tar.Header{Name: "far", Typeflag: tar.TypeReg, Uid: 1_000_680_000, Gid: 70_000},
		tar.Header{Name: "d", Typeflag: tar.TypeDir, Uid: 33, Gid: 33, Mode: 0o1777, Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}},
		tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "sudo", Uid: 33, Gid: 34},
	)
	root, err := unpack(t, layer)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][3]uint32{"sudo": {0, 27, 0o4755}, "ping": {5, 6, 0o750}, "far": {nobodyID, nobodyID, 0o644}, "d": {33, 33, 0o1777}, "l": {33, 34, 0o777}} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil || st.Uid != want[0] || st.Gid != want[1] || st.Mode&0o7777 != want[2] {
			t.Errorf("%s: %d:%d %o, %v", name, st.Uid, st.Gid, st.Mode, err)
		}
		if name != "l" && st.Mtim.Sec != 1_700_000_000 {
			t.Errorf("%s: changed at %d", name, st.Mtim.Sec)
		}
	}
	list := make([]byte, 1024)
	for name, want := range map[string]string{"ping": "security.capability\x00", "d": ""} {
		n, err := unix.Llistxattr(filepath.Join(root, name), list)
		if err != nil || string(list[:n]) != want {
			t.Errorf("%s has the attributes %q, %v", name, list[:n], err)
		}
	}
}

// FuzzUnpack: whatever a layer holds, what lies outside is untouched and the
// bounds hold.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, dir("etc"), file("etc/a"), file("etc/.wh.a")), tarOf(f, file("etc/.wh..wh..opq")))
	f.Add(tarOf(f, symlink("a", ".."), file("a/beside")), tarOf(f, file("a/.wh.beside")))
	f.Add(tarOf(f, symlink("a", "/"), hardlink("b", "a/beside")), tarOf(f, file("../x")))
	f.Add(tarOf(f, tar.Header{Name: "x", Typeflag: tar.TypeChar}), []byte("no tar at all"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		root, err := unpack(t, first, second)
		if err != nil && !errors.Is(err, runtime.ErrInvalid) {
			t.Fatalf("this machine is blamed: %v", err)
		}
		if names := strings.Fields(tree(t, root)); len(names) > 4*testLimits.entries {
			t.Fatalf("%d names", len(names))
		}
	})
}
