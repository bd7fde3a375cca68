package house

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestASlowDiskIsSlowUntilItIsQuickened syncs a few writes, twenty operations of
// which may be done in a second.
func TestASlowDiskIsSlowUntilItIsQuickened(t *testing.T) {
	const writes, operations = 20, 20
	l := &lot{name: fmt.Sprintf("bothytest%d", os.Getpid()), disk: filepath.Join(t.TempDir(), "disk")}
	if err := l.mount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.unmount(); err != nil {
			t.Error(err)
		}
	})
	n := &Node{Name: "n1", lot: l, cmd: exec.Command("sh", "-c", fmt.Sprintf("read go; dd if=/dev/zero of=%s/file bs=4k count=%d oflag=dsync 2>&1; read end", l.disk, writes))}
	begin, err := n.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Quicken(); err != nil {
			t.Error(err)
		}
		_ = begin.Close()
		_ = n.cmd.Wait() // its second read fails
	})
	if err := n.Slow(operations); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if _, err := begin.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := told.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// A burst goes before the limit counts, and each write is one operation at least.
	if took := time.Since(at); took < writes*time.Second/operations/2 {
		t.Errorf("%d writes were synced in %s, at %d operations in a second", writes, took, operations)
	}
	for range 2 { // it may be repeated
		if err := n.Quicken(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := n.brake()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
}
