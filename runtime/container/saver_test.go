package container

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// stored is a node with a blob store.
func stored(t *testing.T, at string) *node {
	t.Helper()
	n := closedNode(t)
	n.store = at
	n.open(0)
	return n
}

// saves takes a snapshot, saves it, and drops it.
func (n *node) saves(id runtime.ID, name, base string) runtime.Saved {
	n.t.Helper()
	s := n.take(id, name)
	made, err := n.SaveSnapshot(n.t.Context(), s.Source, base)
	if err := errors.Join(err, n.DropSnapshot(n.t.Context(), s.Source)); err != nil {
		n.t.Fatal(err)
	}
	return made
}

// change changes a large file in ways that a disk may show as little: in place,
// by a piece of another place of it, by a hole, and at its end.
const change = `
import fcntl, os, struct
f = os.open("/workspace/big", os.O_RDWR)
for i in range(40):
    os.pwrite(f, os.urandom(4096), (i * 7919 * 4096 + 100) % (40 << 20))
fcntl.ioctl(f, 0x4020940d, struct.pack("qQQQ", f, 3 << 20, 1 << 20, 17 << 20)) # FICLONERANGE
os.pwrite(f, b"more", 41 << 20)
os.ftruncate(os.open("/workspace/cut", os.O_RDWR), 5 << 20)
`

// TestASaveReadsWhatChanged: of a large file that was changed in place, that
// alone; and what comes back is what was there.
func TestASaveReadsWhatChanged(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	n, other := stored(t, store), stored(t, store)
	spec := n.spec()
	spec.Resources.StorageBytes = 256 << 20
	id := n.started(spec)
	n.says(id, "node", "cd /workspace; head -c 40M /dev/urandom > big; head -c 8M /dev/urandom > cut; for i in $(seq 300); do echo $i > small$i; done; sync")
	first := n.saves(id, "s1", "")
	if first.Read < 48<<20 || first.Sent < 48<<20 || first.Sent > first.Bytes*11/10 {
		t.Errorf("the first save: %+v", first)
	}
	n.says(id, "node", "python3 -c '"+change+"'")
	second := n.saves(id, "s2", "s1")
	if second.Read < 160<<10 || second.Read > 4<<20 || second.Sent > 4<<20 {
		t.Errorf("after a change of 40 pages: %+v", second)
	}
	third := n.saves(id, "s3", "s2")
	if third.Read > 64<<10 {
		t.Errorf("after nothing changed: %+v", third)
	}
	n.says(id, "node", "cd /workspace; fallocate -p -o 2M -l 1M big && mv small7 small77 && rm small8 && echo new > small9")
	fourth := n.saves(id, "s4", "s3")
	if fourth.Read > 2<<20 || fourth.Sent > 2<<20 {
		t.Errorf("after a hole: %+v", fourth)
	}
	const sums = "cd /workspace && find . -type f | sort | xargs sha256sum | sha256sum && stat -c '%n %s %U' big cut small77 && du -k big"
	want := n.says(id, "node", sums)
	if err := n.SweepSaves(t.Context(), id, []string{"s4"}); err != nil {
		t.Fatal(err)
	}
	moved := spec
	moved.Saved = fourth.Save
	other.started(moved)
	if got := other.says(id, "node", sums); got != want {
		t.Errorf("on another node:\n%s\nbefore:\n%s", got, want)
	}
}

// TestARestoredComputerIsSavedWithoutReading: what came from a save is known.
func TestARestoredComputerIsSavedWithoutReading(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	n, other := stored(t, store), stored(t, store)
	spec := n.spec()
	id := n.started(spec)
	n.says(id, "node", "cd /workspace; head -c 10M /dev/urandom > big; ln big big2; ln -s big link; mkdir d; chmod 700 d; echo x > d/x")
	first := n.saves(id, "s1", "")
	spec.Saved = first.Save
	if err := other.Create(t.Context(), 1, spec); err != nil {
		t.Fatal(err)
	}
	if unsaved, err := other.Unsaved(t.Context(), id, "s1"); err != nil || unsaved {
		t.Errorf("restored it is unsaved: %v, %v", unsaved, err)
	}
	again := other.saves(id, "s2", "s1")
	if again.Read != 0 || again.Sent > 64<<10 {
		t.Errorf("the save of what was restored: %+v", again)
	}
	if err := other.Start(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	if unsaved, err := other.Unsaved(t.Context(), id, "s2"); err != nil || !unsaved {
		t.Errorf("started it is not unsaved: %v, %v", unsaved, err)
	}
	after := other.saves(id, "s3", "s2")
	if after.Read > 1<<20 || after.Sent > 1<<20 {
		t.Errorf("the save of what was started: %+v", after)
	}
}

// TestAFullComputerComesBack: also when what it holds takes more than before,
// because two files are one on the disk no more.
func TestAFullComputerComesBack(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	n, other := stored(t, store), stored(t, store)
	spec := n.spec() // 64 MiB
	id := n.started(spec)
	n.sh(id, "node", "cd /workspace; head -c 30M /dev/urandom > a; cp --reflink=always a b; sync; head -c 100M /dev/zero > c; sync")
	made := n.saves(id, "s1", "")
	spec.Saved = made.Save
	if err := other.Create(t.Context(), 1, spec); err != nil {
		t.Fatalf("of %+v: %v", made, err)
	}
	if err := other.Start(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	other.says(id, "node", "cd /workspace; cmp a b && rm c b && echo room > d && sync")
	spec = n.spec()
	id = n.started(spec)
	n.says(id, "node", "cd /workspace; head -c 30M /dev/urandom > a; sync; for i in $(seq 6); do cp --reflink=always a more$i; done")
	much := n.saves(id, "s", "")
	spec = n.spec()
	spec.Saved = much.Save
	if err := other.Create(t.Context(), 1, spec); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("of copies that take no room: %v", err)
	}
}

// TestIndexesGoWithTheirComputers: also those that a node's end left.
func TestIndexesGoWithTheirComputers(t *testing.T) {
	n := stored(t, filepath.Join(t.TempDir(), "store"))
	id := n.started(n.spec())
	n.saves(id, "s1", "")
	for _, name := range []string{"nobody", "nobody.new", string(id) + ".new"} {
		if err := os.WriteFile(filepath.Join(n.saved(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.leave()
	n.open(0)
	left, err := filepath.Glob(filepath.Join(n.saved(), "*"))
	if err != nil || len(left) != 1 || left[0] != n.index(id) {
		t.Errorf("after a restart are %q, %v", left, err)
	}
	if err := n.Remove(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(n.saved(), "*")); err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
