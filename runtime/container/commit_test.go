package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// committed makes an image of what a script changes as root over another, and
// removes the computer it ran in.
func (n *node) committed(from, script string) string {
	n.t.Helper()
	spec := n.spec()
	spec.Image = from
	id := n.started(spec)
	n.says(id, "root", script)
	if err := n.Stop(n.t.Context(), 1, id, 0); err != nil {
		n.t.Fatal(err)
	}
	digest, err := n.Commit(n.t.Context(), 1, id, image.Config{Env: []string{"A=b"}}, "")
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.Remove(n.t.Context(), 1, id); err != nil {
		n.t.Fatal(err)
	}
	return digest
}

func TestAComputerOfACommittedImageHasWhatWasChanged(t *testing.T) {
	n := newNode(t, 0)
	first := n.committed("host", `set -e
mkdir -p /opt/tool /usr/local/lib/tool /etc/tool
echo one > /opt/tool/a; ln /opt/tool/a /opt/tool/b; ln -s a /opt/tool/c
echo two > /usr/local/lib/tool/a; chmod 4751 /usr/local/lib/tool/a
chown 33:44 /etc/tool; chmod 2770 /etc/tool
mkdir /opt/hidden; echo x > /opt/hidden/old; echo x > /opt/gone
rm /etc/fstab
echo only here > /workspace/mine`)
	second := n.committed(first, `set -e
rm /opt/gone; rm -r /opt/hidden; mkdir /opt/hidden; echo y > /opt/hidden/new
rm /usr/local/lib/tool/a; echo three > /opt/tool/d`)
	spec := n.spec()
	spec.Image = second
	id := n.started(spec)
	got := n.says(id, "root", `cd /opt; cat tool/a tool/b tool/c tool/d; stat -c '%h' tool/a; stat -c '%u:%g %a' /etc/tool; ls -d hidden/* gone /etc/fstab /usr/local/lib/tool/a 2>/dev/null; ls /workspace; hostname; cat /etc/hostname`)
	if want := "one\none\none\nthree\n2\n33:44 2770\nhidden/new\nhut\nhut"; got != want {
		t.Errorf("inside:\n%s\nwant:\n%s", got, want)
	}
	spec = n.spec()
	spec.Image = first
	id = n.started(spec)
	if got := n.says(id, "root", `stat -c '%u %a' /usr/local/lib/tool/a; cat /opt/gone; ls /opt/hidden`); got != "0 4751\nx\nold" {
		t.Errorf("the image below: %q", got)
	}
}

func TestCommitRefuses(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	if _, err := n.Commit(t.Context(), 1, id, image.Config{}, ""); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("while it runs: %v", err)
	}
	if _, err := n.Commit(t.Context(), 0, id, image.Config{}, ""); !errors.Is(err, runtime.ErrStaleEpoch) {
		t.Errorf("an older epoch: %v", err)
	}
	if _, err := n.Commit(t.Context(), 1, "0190a1b2-0000-7000-8000-000000000000", image.Config{}, ""); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("an unknown computer: %v", err)
	}
}

func TestAnImageOfManyLayersRuns(t *testing.T) {
	n := newNode(t, 0)
	digest := n.committed("host", "mkdir /opt/n")
	images := n.Images.(withOther).Store
	for i := range image.MaxLayers - 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("n", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		next, err := images.Commit(t.Context(), image.Change{Parent: digest, Trees: []image.Tree{{Path: dir, At: "."}}})
		if err != nil {
			t.Fatal(err)
		}
		digest = next
	}
	if _, err := images.Commit(t.Context(), image.Change{Parent: digest, Trees: []image.Tree{{Path: t.TempDir(), At: "."}}}); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), "100 layers") {
		t.Errorf("one too many: %v", err)
	}
	spec := n.spec()
	spec.Image = digest
	if got := n.says(n.started(spec), "", "ls -d /opt/n /n* | wc -l"); got != "100" {
		t.Errorf("%s of 100 layers are seen", got)
	}
}
