package container

import (
	"strconv"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

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
