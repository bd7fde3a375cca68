package snapshot

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/idmap"
)

// describe tells all that a save must bring back of a tree, a line for each name.
func describe(t testing.TB, dir string, ids idmap.Range) map[string]string {
	t.Helper()
	all := map[string]string{}
	names := map[uint64]string{} // the first of each inode
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := fmt.Sprintf("%o %d:%d %d.%d", st.Mode, inside(st.Uid, ids), inside(st.Gid, ids), st.Mtim.Sec, st.Mtim.Nsec)
		if !d.IsDir() {
			if names[st.Ino] == "" {
				names[st.Ino] = name
			}
			text += fmt.Sprintf(" links %d of %s", st.Nlink, names[st.Ino])
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			all[name] = text + " to " + target
			return nil
		case unix.S_IFREG:
			text += fmt.Sprintf(" size %d data %s", st.Size, runs(t, path))
		case unix.S_IFCHR:
			text += fmt.Sprintf(" device %d", st.Rdev)
		}
		list := make([]byte, 65536)
		n, err := unix.Llistxattr(path, list)
		if err == nil {
			for _, a := range slices.Sorted(strings.SplitSeq(string(list[:n]), "\x00")) {
				if a == "" {
					continue
				}
				value := make([]byte, 65536)
				n, err := unix.Lgetxattr(path, a, value)
				if err != nil {
					return err
				}
				idmap.ShiftAttribute(a, value[:n], func(id uint32) uint32 { return id - uint32(ids.Host) })
				text += fmt.Sprintf(" %s=%x", a, value[:n])
			}
		}
		all[name] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// runs tells where a file has data, and what.
func runs(t testing.TB, path string) string {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text string
	h := sha256.New()
	for at := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err != nil {
			return fmt.Sprintf("%s %x", text, h.Sum(nil))
		}
		if at, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("[%d-%d)", data, at)
		if _, err := io.Copy(h, io.NewSectionReader(f, data, at-data)); err != nil {
			t.Fatal(err)
		}
	}
}

// equal expects two trees to be the same.
func equal(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%q is %.300q, want %.300q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is there too: %s", name, got[name])
		}
	}
}
