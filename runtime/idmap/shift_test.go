package idmap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/runtime"
)

var here, there = Range{Host: FirstHost, Size: RangeSize}, Range{Host: FirstHost + 3*RangeSize, Size: RangeSize}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// words are little-endian numbers of four bytes.
func words(all ...uint32) (out []byte) {
	for _, w := range all {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

func capability(root int) []byte { return words(capabilityVersion3|1, 0x400, 0, 0, 0, uint32(root)) }

// acl gives a user and a group some rights: tag and permissions in one word,
// then an id.
func acl(user, group int) []byte {
	const none = ^uint32(0)
	return words(2, 7<<16|0x01, none, 4<<16|aclUser, uint32(user), 5<<16|0x04, none, 6<<16|aclGroup, uint32(group), 7<<16|0x10, none, 0<<16|0x20, none)
}

func TestShiftKeepsAllButTheOwner(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	outside := filepath.Join(t.TempDir(), "outside")
	try(t, os.WriteFile(outside, nil, 0o4755), os.Chown(outside, here.Host+5, here.Host+5), unix.Chmod(outside, 0o4755))
	try(t, os.Mkdir(at("d"), 0o700), os.WriteFile(at("d/plain"), []byte("text"), 0o640), os.Link(at("d/plain"), at("again")),
		os.WriteFile(at("d/setid"), nil, 0o755), os.WriteFile(at("d/capable"), nil, 0o755), os.WriteFile(at("foreign"), nil, 0o600),
		os.Symlink(outside, at("link")), os.Symlink("../..", at("d/up")), unix.Mkfifo(at("fifo"), 0o622), unix.Mknod(at("gone"), unix.S_IFCHR, 0))
	for _, name := range []string{".", "d", "d/plain", "d/setid", "d/capable", "link", "d/up", "fifo", "gone"} {
		try(t, os.Lchown(at(name), here.Host+1000, here.Host+7))
	}
	try(t, os.Lchown(at("foreign"), 12, there.Host+1), unix.Chmod(at("d"), 0o3770), unix.Chmod(at("d/setid"), 0o6755), unix.Chmod(at("fifo"), 0o2622),
		unix.Setxattr(at("d/capable"), capabilityName, capability(here.Host), 0), unix.Setxattr(at("d/plain"), "user.mark", []byte("kept"), 0),
		unix.Setxattr(at("d/plain"), accessName, acl(here.Host+3, here.Host+4), 0), unix.Setxattr(at("d"), defaultName, acl(here.Host+3, 12), 0))
	then := time.Unix(1_000_000_000, 0)
	try(t, os.Chtimes(at("d/plain"), then, then))

	size, err := Shift(t.Context(), dir, here, there)
	try(t, err)
	again, err := Shift(t.Context(), dir, here, there) // as after one that was cut short
	try(t, err)
	if same, err := Shift(t.Context(), dir, there, there); err != nil || size <= 0 || size != again || same != size {
		t.Errorf("sizes are %d, %d, %d, %v", size, again, same, err)
	}
	for name, want := range map[string]uint32{
		".": unix.S_IFDIR | 0o755, "d": unix.S_IFDIR | 0o3770, "d/plain": unix.S_IFREG | 0o770, "d/setid": unix.S_IFREG | 0o6755, "d/capable": unix.S_IFREG | 0o755,
		"link": unix.S_IFLNK | 0o777, "d/up": unix.S_IFLNK | 0o777, "fifo": unix.S_IFIFO | 0o2622, "gone": unix.S_IFCHR, "again": unix.S_IFREG | 0o770,
	} {
		var st unix.Stat_t
		try(t, unix.Lstat(at(name), &st))
		if int(st.Uid) != there.Host+1000 || int(st.Gid) != there.Host+7 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
		if st.Mode != want {
			t.Errorf("%s has mode %o, want %o", name, st.Mode, want)
		}
	}
	for name, want := range map[string]string{
		"d/capable " + capabilityName: string(capability(there.Host)), "d/plain user.mark": "kept",
		"d/plain " + accessName: string(acl(there.Host+3, there.Host+4)), "d " + defaultName: string(acl(there.Host+3, 12)),
	} {
		file, attr, _ := strings.Cut(name, " ")
		if got, err := valueOf(at(file), attr); err != nil || string(got) != want {
			t.Errorf("%s is %x, %v, want %x", name, got, err, want)
		}
	}
	if uid, gid := owner(t, at("foreign")); uid != 12 || gid != there.Host+1 {
		t.Errorf("what belonged to others belongs to %d:%d", uid, gid)
	}
	if info, err := os.Stat(outside); err != nil || info.Mode() != 0o755|os.ModeSetuid {
		t.Errorf("outside: %v, %v", info, err)
	}
	if uid, _ := owner(t, outside); uid != here.Host+5 {
		t.Errorf("a link was followed: %d", uid)
	}
	if info, err := os.Stat(at("d/plain")); err != nil || !info.ModTime().Equal(then) {
		t.Errorf("its time is %v, %v", info.ModTime(), err)
	}
}

func TestShiftRefusesWhatItCannotDo(t *testing.T) {
	dir := t.TempDir()
	overlap := Range{Host: here.Host + 1, Size: RangeSize}
	if _, err := Shift(t.Context(), dir, here, overlap); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("ranges that overlap: %v", err)
	}
	if _, err := Shift(t.Context(), filepath.Join(dir, "none"), here, there); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Shift(done, dir, here, there); !errors.Is(err, context.Canceled) {
		t.Errorf("a done context: %v", err)
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	try(t, err)
	for range maxDepth + 1 {
		try(t, unix.Mkdirat(fd, "d", 0o755))
		next, err := unix.Openat(fd, "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		try(t, err, unix.Close(fd))
		fd = next
	}
	try(t, unix.Close(fd))
	if _, err := Shift(t.Context(), dir, here, there); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "2048") {
		t.Errorf("too deep: %.300v", err)
	}
}

// TestShiftedAttributesComeBack: whatever a computer wrote as an attribute, its
// form stays, and shifting it back gives what it was.
func TestShiftedAttributesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := attribute{
			name:  rapid.SampledFrom([]string{capabilityName, accessName, defaultName}).Draw(t, "name"),
			value: rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "value"),
		}
		if len(a.value) == capabilityBytes3 {
			a.value[3] = 3
		}
		was := bytes.Clone(a.value)
		const by = 1 << 20
		a.shift(func(id uint32) uint32 { return id + by })
		if len(a.value) != len(was) {
			t.Fatalf("%x became %x", was, a.value)
		}
		a.shift(func(id uint32) uint32 { return id - by })
		if !bytes.Equal(a.value, was) {
			t.Fatalf("%x came back as %x", was, a.value)
		}
	})
}
