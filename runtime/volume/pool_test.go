package volume

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime"
)

// crashDir, when set, makes this test binary a node that opens a pool there,
// writes, and waits to be killed.
const crashDir = "BOTHY_TEST_CRASH_DIR"

const testPoolBytes = 256 << 20

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crash(dir)
	}
	goleak.VerifyTestMain(m)
}

func testOptions(dir string) Options {
	return Options{Dir: dir, SizeBytes: testPoolBytes, GrowBytes: 64 << 20, Log: slog.New(slog.DiscardHandler)}
}

// openPool opens a real btrfs pool, and sees to it that nothing of it stays.
func openPool(t *testing.T, dir string) *Pool {
	t.Helper()
	p, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, p) })
	if !p.Quota() {
		t.Fatalf("no quotas: %s", p.Reason())
	}
	return p
}

func unmount(t *testing.T, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Unmount(ctx); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, p.opts.Dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// leftovers lists mounts and loop devices that stand on dir.
func leftovers(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			all = append(all, line)
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range loops {
		if file, err := os.ReadFile(path); err == nil && strings.Contains(string(file), dir) {
			all = append(all, path)
		}
	}
	return strings.Join(all, " ")
}

func TestAPoolIsAllocatedNotSparse(t *testing.T) {
	p := openPool(t, t.TempDir())
	info, err := os.Stat(p.backing.image)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != testPoolBytes {
		t.Fatalf("%d bytes", info.Size())
	}
	// Writing and removing must not give blocks back to the disk either.
	dir, err := p.Create(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "f"), 16<<20)
	if err := p.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	syncPool(t, p)
	used, err := directories{}.usage(filepath.Dir(p.backing.image))
	if err != nil || used < testPoolBytes {
		t.Fatalf("%d bytes of disk hold a pool of %d (%v)", used, testPoolBytes, err)
	}
}

func TestAPoolGrowsWhenItFills(t *testing.T) {
	dir := t.TempDir()
	p := openPool(t, dir)
	if err := p.Close(); err != nil { // it grows only when we say so
		t.Fatal(err)
	}
	_, before := room(p.backing.mount)
	vol, err := p.Create(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	p.opts.GrowBytes = 512 << 20 // two of it are more than there is, so it grows on a disk with room for four
	if err := p.stayAhead(); err != nil {
		t.Fatal(err)
	}
	if _, after := room(p.backing.mount); after != before+512<<20 {
		t.Fatalf("%d bytes, before %d", after, before)
	}
	fill(t, filepath.Join(vol, "f"), 1<<20)
	unmount(t, p)
	p = openPool(t, dir)
	if _, total := room(p.backing.mount); total != before+512<<20 {
		t.Fatalf("reopened with %d bytes", total)
	}
}

func TestReopenFindsTheMountOfAKilledNode(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err := errors.Join(err, cmd.Process.Kill()); err != nil || line != "written\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_ = cmd.Wait() // it was killed
	p := openPool(t, dir)
	expectContent(t, p, "kept", "before the crash")
	if _, err := os.Lstat(p.backing.image + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("unfinished pool: %v", err)
	}

	// The machine restarts: nothing is mounted any more.
	unmount(t, p)
	p = openPool(t, dir)
	expectContent(t, p, "kept", "before the crash")
	vol, _ := p.Path("kept")
	if _, err := write(filepath.Join(vol, "more"), 12<<20); err == nil {
		t.Fatal("the quota was forgotten")
	}
}

func crash(dir string) {
	p, err := Open(testOptions(dir))
	if err == nil {
		var vol string
		if vol, err = p.Create(context.Background(), "kept", 8<<20); err == nil {
			err = os.WriteFile(filepath.Join(vol, "file"), []byte("before the crash"), 0o600)
		}
	}
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("written\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	select {}
}

func expectContent(t *testing.T, p *Pool, id, want string) {
	t.Helper()
	vol, ok := p.Path(id)
	if !ok {
		t.Fatalf("volume %s is gone", id)
	}
	if got, err := os.ReadFile(filepath.Join(vol, "file")); err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestTwoNodesHaveTwoPools(t *testing.T) {
	a, b := openPool(t, t.TempDir()), openPool(t, t.TempDir())
	for _, p := range []*Pool{a, b} {
		if _, err := p.Create(t.Context(), "same", 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Remove(t.Context(), "same"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Path("same"); !ok {
		t.Fatal("removed from the other pool too")
	}
}

func TestAPoolThatCannotBeMountedIsNoEmptyPool(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pool.img"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Open(testOptions(dir)); err == nil {
		t.Errorf("opened as %q", p.Reason())
		unmount(t, p)
	}
	if left := leftovers(t, dir); left != "" {
		t.Error(left)
	}
}

func TestWithoutMkfsVolumesAreDirectories(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	p, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	if p.Quota() || !strings.Contains(p.Reason(), "btrfs-progs") {
		t.Fatalf("quota %v, reason %q", p.Quota(), p.Reason())
	}
	vol, err := p.Create(t.Context(), "a", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(vol, "f"), 2<<20)
	if n, err := p.Usage("a"); err != nil || n < 2<<20 {
		t.Fatalf("usage %d, %v", n, err)
	}
	if err := p.TakeSnapshot(t.Context(), "a", "s"); !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "install btrfs-progs") {
		t.Fatalf("snapshot: %v", err)
	}
	if free, total := p.Free(); free <= 0 || total < free {
		t.Fatalf("free %d of %d", free, total)
	}
	unmount(t, p)
	t.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	if p, err = Open(testOptions(dir)); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Path("a"); !ok || p.Quota() {
		t.Fatalf("volumes lost when btrfs came: %v, quota %v", ok, p.Quota())
	}
	if err := p.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	unmount(t, p)
}
