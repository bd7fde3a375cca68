package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// TestARestoredComputerIsWhole: what a snapshot holds is as its owner made it,
// although it has other ids on this machine and its computer is gone.
func TestARestoredComputerIsWhole(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	look := `cd /root && stat -c '%n %F %U:%G %a %h' own tool dir link hard pipe /workspace/w && readlink link && getcap capable
test ! -e /usr/bin/env && test ! -e /etc/skel && ls /etc/pam.d && cat /workspace/w && grep node: /etc/passwd && cat own`
	n.says(id, "root", `cd /root; cp /bin/true tool; chmod 6755 tool; cp /bin/true capable; setcap cap_net_raw+ep capable
mkdir dir; chmod 3771 dir; chown 33:7 dir; ln -s /etc/shadow link; echo text > own; ln own hard; mkfifo pipe; chown node:node own
rm /usr/bin/env; rm -r /etc/skel /etc/pam.d; mkdir /etc/pam.d; echo only > /etc/pam.d/one; usermod -s /bin/sh node 2>/dev/null || sed -i 's#^\(node:.*:\)[^:]*$#\1/bin/sh#' /etc/passwd
echo w > /workspace/w; chmod u+s /workspace/w`)
	want := n.says(id, "root", look)
	old, err := n.load(id)
	if err != nil {
		t.Fatal(err)
	}
	s := n.take(id, "s")
	other := n.started(n.spec()) // has other ids, and keeps them
	spec := n.spec()
	spec.From, spec.Hostname = s.Source, "other-hut"
	back := n.started(spec)
	if err := n.Remove(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	again := n.restored(s) // may get the ids that were given back
	for _, id := range []runtime.ID{back, again} {
		if got := n.says(id, "root", look); got != want {
			t.Errorf("restored:\n%s\nbefore:\n%s", got, want)
		}
		n.says(id, "node", "echo mine >> /workspace/w; test $(stat -c %u /root) = 0")
	}
	if got := n.says(back, "root", "hostname; cat /etc/hostname; grep 127.0.1.1 /etc/hosts"); got != "other-hut\nother-hut\n127.0.1.1 other-hut" {
		t.Errorf("it is named %q", got)
	}
	r, err := n.load(back)
	if err != nil || r.Range == old.Range {
		t.Errorf("its ids are %+v, %v; the source's were %+v", r.Range, err, old.Range)
	}
	n.says(other, "", "true")
}

// TestANestedSubvolumeIsAnEmptyDirectory: any user can make one in a directory
// of their own. A snapshot does not hold it, and what is restored works there.
func TestANestedSubvolumeIsAnEmptyDirectory(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	n.says(id, "", `cd /workspace && python3 -c '
import fcntl, os, struct
fcntl.ioctl(os.open(".", os.O_RDONLY), 0x5000940e, bytearray(struct.pack("q4088s", 0, b"nested")))
' && echo inside > nested/file`)
	back := n.restored(n.take(id, "s"))
	if got := n.says(back, "", "ls -A nested; echo new > nested/file && stat -c %U nested && rm -r nested && ls -A"); got != "node" {
		t.Errorf("restored: %q", got)
	}
	if got := n.says(id, "", "cat nested/file"); got != "inside" {
		t.Errorf("the source's: %q", got)
	}
}

func TestARestoredComputerHasAQuota(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec()) // 64 MiB
	n.says(id, "", "head -c 32M /dev/urandom > held")
	s := n.take(id, "s")
	if s.Bytes < 32<<20 || s.Bytes > 40<<20 {
		t.Errorf("it holds %d bytes", s.Bytes)
	}
	back := n.restored(s)
	use, err := n.Usage(t.Context(), back)
	if err != nil || use.StorageBytes < 32<<20 || use.StorageBytes > 40<<20 {
		t.Errorf("it uses %d bytes, %v", use.StorageBytes, err)
	}
	room := func() int { // MiB that can still be written
		exit, _ := n.sh(back, "", "rm -f more; sync; head -c 100M /dev/zero > more; code=$?; sync; exit $code")
		if exit.Code == 0 {
			t.Error("it wrote past its quota")
		}
		mib, err := strconv.Atoi(n.says(back, "", "du -m more | cut -f1"))
		if err != nil {
			t.Fatal(err)
		}
		n.says(back, "", "rm more")
		return mib
	}
	if mib := room(); mib < 16 || mib > 33 {
		t.Errorf("beside 32 of 64 MiB it wrote %d", mib)
	}
	if err := n.Stop(t.Context(), 1, back, 0); err != nil {
		t.Fatal(err)
	}
	if err := n.Resize(t.Context(), 1, back, runtime.Resources{StorageBytes: 96 << 20}); err != nil {
		t.Fatal(err)
	}
	n.leave()
	n.open(0)
	if err := n.Start(t.Context(), 1, back); err != nil {
		t.Fatal(err)
	}
	if mib := room(); mib < 48 || mib > 65 {
		t.Errorf("beside 32 of 96 MiB it wrote %d", mib)
	}
	next := n.take(back, "next")
	if next.Bytes < 32<<20 || next.Bytes > 48<<20 {
		t.Errorf("the second holds %d bytes", next.Bytes)
	}
	// As full as can be, it starts all the same.
	n.sh(back, "", "head -c 100M /dev/zero > more")
	full := n.take(back, "full")
	spec := n.spec()
	spec.From, spec.Resources.StorageBytes = full.Source, 96<<20
	n.says(n.started(spec), "", "rm more held && echo room > again && sync again")
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
