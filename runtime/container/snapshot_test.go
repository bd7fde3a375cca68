package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// take takes a snapshot that must succeed.
func (n *node) take(id runtime.ID, name string) runtime.Snapshot {
	n.t.Helper()
	s, err := n.Snapshot(n.t.Context(), n.epoch, id, name)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// restored makes and starts a computer from a snapshot.
func (n *node) restored(s runtime.Snapshot) runtime.ID {
	n.t.Helper()
	spec := n.spec()
	spec.From = s.Source
	return n.started(spec)
}

func (n *node) phase(id runtime.ID) runtime.Phase {
	n.t.Helper()
	st, err := n.Inspect(n.t.Context(), id)
	if err != nil {
		n.t.Fatal(err)
	}
	return st.Phase
}

// writer writes a number over many files in turn, of the layer and of the
// workspace, and then the next number.
const writer = `
import os
files = [os.open(("/root/%d" if i % 2 else "/workspace/%d") % i, os.O_WRONLY | os.O_CREAT) for i in range(64)]
turn = 0
while True:
    turn += 1
    for f in files:
        os.pwrite(f, turn.to_bytes(8, "little") * 4096, 0)
    open("/workspace/turn", "w").write(str(turn))
`

// reader says where the files are not as they were at one moment: all have the
// same number, or from some place on the one before.
const reader = `
turns = []
for i in range(64):
    data = open(("/root/%d" if i % 2 else "/workspace/%d") % i, "rb").read()
    turns += [int.from_bytes(data[at:at+8], "little") for at in range(0, len(data), 8)]
steps = [(i, a, b) for i, (a, b) in enumerate(zip(turns, turns[1:])) if a != b]
if len(steps) > 1 or any(a != b + 1 for _, a, b in steps):
    print("torn", len(turns), steps[:9])
elif turns[0] < 1:
    print("nothing was written")
`

// TestSnapshotsOfAWriterAreConsistent: a snapshot shows one moment of a
// computer that writes all the time.
func TestSnapshotsOfAWriterAreConsistent(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Resources.StorageBytes = 256 << 20
	id := n.started(spec)
	n.says(id, "root", "setsid python3 -c '"+writer+"' >/dev/null 2>&1 &")
	turn := func() string {
		_, text := n.sh(id, "", "cat turn")
		return text
	}
	var taken []runtime.Snapshot
	for i := range 12 {
		was := turn()
		until(t, "the writer goes on", func() bool { return turn() != was })
		s := n.take(id, fmt.Sprint("s", i))
		if s.Still <= 0 || s.Still > 10*time.Second {
			t.Errorf("it stood still for %v", s.Still)
		}
		taken = append(taken, s)
	}
	was := turn()
	until(t, "the writer goes on", func() bool { return turn() != was })
	if err := n.Remove(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	for _, s := range taken {
		spec := n.spec()
		spec.From, spec.Resources.StorageBytes = s.Source, 256<<20
		back := n.started(spec)
		if torn := n.says(back, "root", "python3 -c '"+reader+"'"); torn != "" {
			t.Errorf("%s, which took %v: %s", s.Name, s.Still, torn)
		}
		if err := n.Remove(t.Context(), 1, back); err != nil {
			t.Fatal(err)
		}
	}
}

// TestASnapshotBesideOtherActs: whatever is asked of a computer at the same
// time, a snapshot leaves it as that says.
func TestASnapshotBesideOtherActs(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	ctx := t.Context()
	for round, act := range []struct {
		name  string
		do    func() error
		after runtime.Phase
	}{
		{"pause", func() error { return n.Pause(ctx, 1, id) }, runtime.Frozen},
		{"resume", func() error { return n.Resume(ctx, 1, id) }, runtime.Running},
		{"thaw", func() error { return n.Thaw(ctx, 1, id) }, runtime.Running},
		{"stop", func() error { return n.Stop(ctx, 1, id, 0) }, runtime.Stopped},
		{"start", func() error { return n.Start(ctx, 1, id) }, runtime.Running},
	} {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if _, err := n.Snapshot(ctx, 1, id, fmt.Sprintf("s%d-%d", round, i)); err != nil {
					t.Errorf("beside %s: %v", act.name, err)
				}
			})
		}
		if err := act.do(); err != nil {
			t.Errorf("%s beside snapshots: %v", act.name, err)
		}
		all.Wait()
		if got := n.phase(id); got != act.after {
			t.Errorf("after %s it is %s", act.name, got)
		}
		if _, err := os.Lstat(n.path(id, stillFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %s it is marked: %v", act.name, err)
		}
	}
	n.says(id, "", "true")
}

func TestAThawOutlivesTheWarden(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	n.reached = func(step string) {
		if step != "taken" {
			return
		}
		st, err := n.Warden.Status(t.Context())
		if err != nil || syscall.Kill(st.PID, syscall.SIGKILL) != nil {
			t.Errorf("kill the warden: %v", err)
		}
	}
	n.take(id, "s")
	n.reached = nil
	n.says(id, "", "true")
	// A thaw that failed altogether is made up for.
	if err := errors.Join(os.WriteFile(n.path(id, stillFile), nil, 0o600), n.Warden.Freeze(t.Context(), string(id))); err != nil {
		t.Fatal(err)
	}
	// Also when a caller's own word came to nothing meanwhile.
	broken := errors.New("the warden is broken")
	if err := n.turn(t.Context(), 1, id, func(context.Context, string) error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	n.tellStuck()
	until(t, "it goes on", func() bool { return n.phase(id) == runtime.Running })
}

func TestAFailedSnapshotLeavesNothing(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	disk, err := n.Pool.Create(t.Context(), "away", 0)
	if err != nil {
		t.Fatal(err)
	}
	volume, _ := n.Pool.Path(string(id))
	n.reached = func(step string) { // the disk is gone for a moment
		if step == "frozen" {
			if err := os.Rename(volume, disk+"/x"); err != nil {
				t.Error(err)
			}
		}
		if step == "taken" {
			if err := os.Rename(disk+"/x", volume); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := n.Snapshot(t.Context(), 1, id, "s"); err == nil {
		t.Error("taken all the same")
	}
	n.reached = nil
	n.says(id, "", "true")
	if ids, err := n.Pool.Snapshotted(); err != nil || len(ids) != 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
	n.take(id, "s")
	if err := n.Pool.Remove(t.Context(), "away"); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutBtrfsASnapshotSaysHowToMendIt(t *testing.T) {
	n := closedNode(t)
	begun := filepath.Join(n.dir, "pool", "pool", "computers", "begun")
	if err := os.MkdirAll(begun, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(n.dir, "pool"), 0o711), os.Chmod(filepath.Join(n.dir, "pool", "pool"), 0o711)); err != nil {
		t.Fatal(err)
	}
	n.open(0)
	id := n.started(n.spec())
	_, err := n.Snapshot(t.Context(), 1, id, "s")
	if !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "install btrfs-progs") {
		t.Errorf("got %v", err)
	}
	if said := strings.Join(n.Abilities().Missing, "\n"); !strings.Contains(said, "snapshots need a btrfs pool") {
		t.Errorf("the banner says %q", said)
	}
	if all, err := n.Snapshots(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("listed: %v, %v", all, err)
	}
	n.says(id, "", "true")
}
