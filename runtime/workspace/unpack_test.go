package workspace

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

// tarOf is a tar of some headers; a regular file's content is its Linkname.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
		}
		h.Size, h.Mode = int64(len(content)), 0o640
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func reg(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content}
}
func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }
func link(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}
func hard(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackTo unpacks into a directory of the workspace.
func unpackTo(w *FS, into string, data io.Reader) (Unpacked, error) {
	tree, err := w.Unpack(context.Background(), data)
	if err != nil {
		return Unpacked{}, err
	}
	return tree.Unpacked, errors.Join(w.Graft(context.Background(), tree, into), tree.Close())
}

// holds describes all below a directory, links and contents too.
func holds(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			name += "/"
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			name += "->" + to
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			name += "=" + string(b)
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestPackedIsUnpacked(t *testing.T) {
	from := t.TempDir()
	w := openAt(t, from)
	for _, name := range []string{"a", "d/e/f", "d/empty-not", "ünï/x"} {
		put(t, w, name, "in "+name)
	}
	if err := errors.Join(w.MkdirAll("d/none"), os.Symlink("../a", from+"/d/up"), os.Symlink("e/f", from+"/d/down"), os.Chmod(from+"/a", 0o755), unix.Mkfifo(from+"/pipe", 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, format := range []Format{Tar, TarGz, Zip} {
		for name, want := range map[string]string{
			".":     "a=in a d/ d/down->e/f d/e/ d/e/f=in d/e/f d/empty-not=in d/empty-not d/none/ d/up->../a ünï/ ünï/x=in ünï/x",
			"d/e":   "f=in d/e/f",
			"d/e/f": "f=in d/e/f",
		} {
			var b bytes.Buffer
			if err := w.Pack(t.Context(), &b, name, format); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			to := openAt(t, dir)
			got, err := unpackTo(to, "into/here", &b)
			if err != nil || got.Skipped != 0 {
				t.Fatalf("%s of %s: %+v, %v", format, name, got, err)
			}
			if got := holds(t, dir+"/into/here"); got != want {
				t.Errorf("%s of %s holds %s, not %s", format, name, got, want)
			}
			if left := holds(t, dir); strings.Contains(left, partPrefix) {
				t.Errorf("left: %s", left)
			}
			if name == "." {
				expectOwner(t, dir+"/into/here/a", 0o755)
				expectOwner(t, dir+"/into/here/d/e", 0o755)
				expectOwner(t, dir+"/into/here/d/up", 0o777)
			}
		}
	}
	if err := w.Pack(t.Context(), io.Discard, "gone", Tar); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := PackNothing(&b, Zip); err != nil {
		t.Fatal(err)
	}
	if got, err := unpackTo(openAt(t, t.TempDir()), ".", &b); err != nil || got.Files != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestWhatIsPassedOver(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []tar.Header
		want    string
		skipped int
	}{
		"plain names":            {[]tar.Header{dir("./"), reg("./a", "1"), reg("/b", "2"), reg("c//d/./e", "3")}, "a=1 b=2 c/ c/d/ c/d/e=3", 0},
		"up":                     {[]tar.Header{reg("../a", "1"), reg("b/../../c", "2"), reg("ok", "3")}, "ok=3", 2},
		"links out":              {[]tar.Header{link("a", "/etc"), link("b", ".."), link("c", "d/../.."), link("d/e", "../../x"), link("f", "")}, "d/", 5},
		"links inside":           {[]tar.Header{link("a", "b"), link("d/e", "../b"), link("f", "./d")}, "a->b d/ d/e->../b f->./d", 0},
		"a link as a directory":  {[]tar.Header{link("a", "b"), dir("b"), reg("a/x", "1"), link("a/y", "../..")}, "a->b b/", 2},
		"links that add up":      {[]tar.Header{dir("x/y"), link("x/y/l", "../.."), link("m", "x/y/l/..")}, "x/ x/y/ x/y/l->../..", 1},
		"hard links":             {[]tar.Header{reg("a", "1"), hard("b", "a"), hard("c", "/etc/passwd"), hard("d", "../a"), link("l", "a"), hard("e", "l")}, "a=1 b=1 l->a", 3},
		"a hard link to itself":  {[]tar.Header{reg("a", "1"), hard("a", "a")}, "a=1", 1},
		"the same name again":    {[]tar.Header{reg("a", "1"), reg("a", "2"), link("b", "a"), reg("b", "3")}, "a=2 b=3", 0},
		"a directory and a file": {[]tar.Header{reg("a/b", "1"), reg("a", "2"), reg("c", "3"), reg("c/d", "4")}, "a/ a/b=1 c=3", 2},
		"a device":               {[]tar.Header{{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, {Typeflag: tar.TypeFifo, Name: "p"}}, "", 2},
		"a reserved name":        {[]tar.Header{reg(partPrefix+"x", "1"), reg("d/"+partPrefix+"y/z", "1")}, "", 2},
		"a long name":            {[]tar.Header{reg(strings.Repeat("n", 256), "1"), reg(strings.Repeat("d/", 129)+"x", "1")}, "", 2},
		"a name with a break":    {[]tar.Header{reg("a\nb", "1")}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			got, err := unpackTo(openAt(t, dir), ".", bytes.NewReader(tarOf(t, tt.headers...)))
			if err != nil || got.Skipped != tt.skipped || len(got.Skips) != tt.skipped {
				t.Fatalf("%+v, %v", got, err)
			}
			if got := holds(t, dir); got != tt.want {
				t.Errorf("it holds %s, not %s", got, tt.want)
			}
		})
	}
}

func TestABadArchiveLeavesNothing(t *testing.T) {
	good := tarOf(t, reg("a", strings.Repeat("x", 2000)), reg("b", "2"))
	gone := errors.New("gone")
	bomb := bytes.Repeat([]byte{0}, unpackFree+2<<20)
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	f, err := w.Create("zeros")
	if err == nil {
		_, err = f.Write(bomb)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		from io.Reader
		want error
		says string
	}{
		"nothing":        {strings.NewReader(""), runtime.ErrInvalid, "empty"},
		"noise":          {strings.NewReader(strings.Repeat("noise", 500)), runtime.ErrInvalid, "cannot be read"},
		"cut short":      {bytes.NewReader(good[:1500]), runtime.ErrInvalid, "cannot be read"},
		"a cut gzip":     {bytes.NewReader(zipped(t, good)[:60]), runtime.ErrInvalid, "cannot be read"},
		"a spoilt gzip":  {bytes.NewReader(append(zipped(t, good)[:len(zipped(t, good))-8], make([]byte, 8)...)), runtime.ErrInvalid, "cannot be read"},
		"a cut zip":      {bytes.NewReader(z.Bytes()[:z.Len()-10]), runtime.ErrInvalid, "cannot be read"},
		"a gzip bomb":    {bytes.NewReader(zipped(t, tarOf(t, reg("zeros", string(bomb))))), runtime.ErrInvalid, "200 times"},
		"a zip bomb":     {bytes.NewReader(z.Bytes()), runtime.ErrInvalid, "200 times"},
		"a sender gone":  {io.MultiReader(bytes.NewReader(good[:1024]), iotest.ErrReader(gone)), gone, "gone"},
		"gone at an end": {io.MultiReader(bytes.NewReader(good), iotest.ErrReader(gone)), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := unpackTo(openAt(t, dir), "d", tt.from)
			if tt.want == nil {
				return // how much is read ahead is not promised
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatal(err)
			}
			if got := holds(t, dir); got != "" {
				t.Errorf("it left %s", got)
			}
		})
	}
}

func TestGraftMergesOrChangesNothing(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	put(t, w, "d/old", "1")
	put(t, w, "d/both", "1")
	put(t, w, "f", "1")
	if _, err := unpackTo(w, ".", bytes.NewReader(tarOf(t, reg("d/both", "2"), reg("d/new/x", "2")))); err != nil {
		t.Fatal(err)
	}
	want := "d/ d/both=2 d/new/ d/new/x=2 d/old=1 f=1"
	if got := holds(t, dir); got != want {
		t.Fatalf("it holds %s", got)
	}
	for name, data := range map[string][]byte{
		"a directory over a file": tarOf(t, reg("a", "3"), reg("f/x", "3")),
		"a file over a directory": tarOf(t, reg("a", "3"), reg("d", "3")),
	} {
		if _, err := unpackTo(w, ".", bytes.NewReader(data)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := unpackTo(w, "f", bytes.NewReader(tarOf(t, reg("a", "3")))); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if got := holds(t, dir); got != want {
		t.Fatalf("it holds %s", got)
	}
}

// TestTreesOfTheDeadAreSwept, and those that somebody fills are not.
func TestTreesOfTheDeadAreSwept(t *testing.T) {
	dir := t.TempDir()
	w := openAt(t, dir)
	tree, err := w.Unpack(t.Context(), bytes.NewReader(tarOf(t, reg("a", "1"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, partPrefix+"dead", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := unpackTo(w, ".", bytes.NewReader(tarOf(t, reg("b", "2")))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Graft(t.Context(), tree, "."), tree.Close()); err != nil {
		t.Fatal(err)
	}
	if got := holds(t, dir); got != "a=1 b=2" {
		t.Fatalf("it holds %s", got)
	}
}

// TestNoArchiveLeadsOut: whatever entries come in whatever order, every link in
// what was unpacked leads to a place inside, and nothing beside it changes.
func TestNoArchiveLeadsOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		home, unchanged := outside(t)
		w := openAt(t, home)
		defer w.Close()
		name := rapid.SampledFrom([]string{"a", "b", "a/b", "b/a", "a/b/c", "c", "../a", "a/../../b", "/a"})
		target := rapid.OneOf(name, rapid.SampledFrom([]string{"..", ".", "../..", "../b", "../../secret", "a/..", "b/../..", "a/../b", "/etc", "./../."}))
		var headers []tar.Header
		for i := range rapid.IntRange(1, 12).Draw(rt, "entries") {
			h := tar.Header{Name: name.Draw(rt, "name"), Linkname: target.Draw(rt, "target"), ModTime: time.Unix(int64(i), 0)}
			h.Typeflag = rapid.SampledFrom([]byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink}).Draw(rt, "type")
			headers = append(headers, h)
		}
		into := "in/to"
		if _, err := unpackTo(w, into, bytes.NewReader(tarOf(t, headers...))); err != nil {
			rt.Fatal(err)
		}
		unchanged(rt.Errorf)
		top := filepath.Join(home, into)
		err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.Type() != fs.ModeSymlink {
				return err
			}
			end, err := filepath.EvalSymlinks(p)
			if err != nil {
				return nil // it leads nowhere, or in a circle
			}
			if end != top && !strings.HasPrefix(end, top+"/") {
				return fmt.Errorf("%s leads to %s", p, end)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			rt.Fatal(err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, reg("a", "1"), link("b", "a"), hard("c", "a"), dir("d")))
	f.Add(zipped(f, tarOf(f, reg("a", "1"))))
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	if _, err := w.Create("a/b"); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(z.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		home, unchanged := outside(t)
		w := openAt(t, home)
		_, err := unpackTo(w, "d", bytes.NewReader(data))
		unchanged(t.Errorf)
		if err != nil && !errors.Is(err, runtime.ErrInvalid) && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if left := holds(t, home); strings.Contains(left, partPrefix) {
			t.Fatalf("left: %s", left)
		}
	})
}
