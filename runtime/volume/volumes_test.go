package volume

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// iocSync syncs the pool and wakes what drops removed subvolumes.
const iocSync = ioctlBtrfs | 8

// write writes and syncs a file of that many bytes, or as many as fit.
func write(path string, bytes int) (int, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	block := make([]byte, 1<<20)
	done := 0
	for done < bytes && err == nil {
		var n int
		n, err = f.Write(block[:min(len(block), bytes-done)])
		done += n
	}
	return done, errors.Join(err, f.Sync(), f.Close())
}

func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	if n, err := write(path, bytes); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
}

func syncPool(t *testing.T, p *Pool) {
	t.Helper()
	var none [0]byte
	if err := onDir(p.backing.mount, func(d *os.File) error { return ioctl(d, iocSync, &none) }); err != nil {
		t.Fatal(err)
	}
}

func TestQuotaIsEnforcedAndRaisedLive(t *testing.T) {
	p := openPool(t, t.TempDir())
	const quota = 16 << 20
	dir, err := p.Create(t.Context(), "a", quota)
	if err != nil {
		t.Fatal(err)
	}
	n, err := write(filepath.Join(dir, "f"), 24<<20)
	if !errors.Is(err, unix.EDQUOT) && !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("wrote %d bytes over a quota of %d: %v", n, quota, err)
	}
	if n < quota/2 || n > quota {
		t.Fatalf("stopped at %d of %d", n, quota)
	}
	other, err := p.Create(t.Context(), "b", quota)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(other, "f"), quota/2)
	if err := p.SetQuota(t.Context(), "a", 4*quota); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "g"), quota)
	syncPool(t, p)
	if used, err := p.Usage("a"); err != nil || used < int64(n)+quota || used > int64(n)+quota+1<<20 {
		t.Fatalf("usage %d, %v; wrote %d", used, err, n+quota)
	}
	if err := p.SetQuota(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyLeavesAQuotaByNesting: a user may make subvolumes in directories
// of their own, without any privilege.
func TestNobodyLeavesAQuotaByNesting(t *testing.T) {
	p := openPool(t, t.TempDir())
	const quota = 8 << 20
	dir, err := p.Create(t.Context(), "a", quota)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	nested := filepath.Join(dir, "d", "nested")
	for _, path := range []string{nested, filepath.Join(nested, "deeper")} {
		if err := withName(filepath.Dir(path), filepath.Base(path), iocSubvolCreate); err != nil {
			t.Fatal(err)
		}
	}
	n, err := write(filepath.Join(nested, "deeper", "f"), 2*quota)
	if err == nil {
		t.Fatalf("wrote %d bytes past a quota of %d", n, quota)
	}
	if err := p.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Path("a"); ok {
		t.Fatal("still there")
	}
}

func TestVolumesLiveAndGo(t *testing.T) {
	p := openPool(t, t.TempDir())
	ctx := t.Context()
	dir, err := p.Create(ctx, "a", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "file"), 4096)
	if again, err := p.Create(ctx, "a", 8<<20); err != nil || again != dir {
		t.Fatalf("created twice: %q, %v", again, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "file")); err != nil || info.Size() != 4096 {
		t.Fatalf("creating twice lost data: %v", err)
	}
	for range 2 {
		if err := p.Rename(ctx, "a", "left-a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := p.Path("a"); ok {
		t.Fatal("old name still there")
	}
	if _, err := p.Create(ctx, "a", 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Rename(ctx, "a", "left-a"); !errors.Is(err, runtime.ErrInvalid) {
		t.Fatalf("renamed over another volume: %v", err)
	}
	if ids, err := p.List(); err != nil || !slices.Equal(ids, []string{"a", "left-a"}) {
		t.Fatalf("%v, %v", ids, err)
	}
	for range 2 {
		for _, id := range []string{"a", "left-a"} {
			if err := p.Remove(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if ids, err := p.List(); err != nil || len(ids) != 0 {
		t.Fatalf("%v, %v", ids, err)
	}
	if err := p.Rename(ctx, "a", "b"); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("rename of nothing: %v", err)
	}
	if err := p.SetQuota(ctx, "a", 1); !errors.Is(err, runtime.ErrNotFound) {
		t.Fatalf("quota of nothing: %v", err)
	}
}

func TestANearlyFullPoolRefuses(t *testing.T) {
	p := openPool(t, t.TempDir())
	p.opts.GrowBytes = 1 << 50 // no disk has room for a step
	dir, err := p.Create(t.Context(), "big", 0)
	if err != nil {
		t.Fatal(err)
	}
	free, total := room(p.backing.mount)
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, free-total/lowWaterShare/2); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Create(t.Context(), "next", 0); !errors.Is(err, runtime.ErrFull) {
		t.Fatalf("created in a full pool: %v", err)
	}
	if _, err := p.Create(t.Context(), "big", 0); err != nil {
		t.Fatalf("one that is there must be found: %v", err)
	}
}

func TestQuotaGroupsOfRemovedVolumesGo(t *testing.T) {
	p := openPool(t, t.TempDir())
	for _, id := range []string{"a", "b"} {
		if _, err := p.Create(t.Context(), id, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	groups := p.ground.(subvolumes).groups
	for deadline := time.Now().Add(20 * time.Second); ; {
		syncPool(t, p)
		if err := p.sweep(); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(groups, "1_*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 1 {
			break
		}
		if time.Now().After(deadline) {
			all, _ := filepath.Glob(filepath.Join(groups, "*"))
			t.Fatalf("left: %v", all)
		}
		time.Sleep(20 * time.Millisecond) // the kernel drops the data in its own time
	}
}

func TestNamesThatAreNoFileNamesAreRefused(t *testing.T) {
	p := openPool(t, t.TempDir())
	for _, id := range []string{"", ".", "..", "a/b", "../computers", "a\x00", ".x"} {
		if _, err := p.Create(t.Context(), id, 0); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("create %q: %v", id, err)
		}
		if err := p.Remove(t.Context(), id); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("remove %q: %v", id, err)
		}
		if _, ok := p.Path(id); ok {
			t.Errorf("path of %q", id)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	p, err := Open(testOptions(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Unmount(b.Context())
	for b.Loop() {
		if _, err := p.Create(b.Context(), "a", 1<<20); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := p.Remove(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
