package container

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// tiny is the smallest image that Debian's packages make, with a display that
// only says how it was called.
var tiny = image.Recipe{
	Name: "tiny",
	Files: fstest.MapFS{"usr/libexec/show": {Data: []byte(`#!/bin/sh
[ ! -e /workspace/broken ] || { echo "no screen"; exit 3; }
echo "$(id -un) $HOME $1" >> /workspace/shown
`)}},
	Config: image.Config{Desktop: "/usr/libexec/show", Env: []string{"FROM=recipe"}},
}

// TestAComputerOfDebiansPackages bootstraps for real, from where this machine
// gets its packages.
func TestAComputerOfDebiansPackages(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Image = "tiny"
	id := n.started(spec)
	if got := n.says(id, "", `. /etc/os-release; echo "$ID $FROM $(id -un) $(cat /etc/hostname)"`); got != "debian recipe node hut" {
		t.Errorf("inside: %q", got)
	}
	if got := n.says(id, "root", "dpkg -s bash | grep Status; stat -c '%u %a' /bin/su /root; touch /usr/bin/mine && echo may"); got !=
		"Status: install ok installed\n0 4755\n0 700\nmay" {
		t.Errorf("root inside: %q", got)
	}
	if sources := n.says(id, "", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true"); !strings.Contains(sources, "main") {
		t.Errorf("no package sources inside: %q", sources)
	}
	st, err := n.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := n.Images.Resolve(t.Context(), "tiny"); err != nil || again != st.Image {
		t.Errorf("made again: %s and %s, %v", st.Image, again, err)
	}

	for range 2 {
		if port, err := n.Display(t.Context(), 1, id); err != nil || port != image.DisplayPort {
			t.Fatalf("display at %d, %v", port, err)
		}
	}
	if got := n.says(id, "", "cat /workspace/shown"); got != "node /home/node 5901\nnode /home/node 5901" {
		t.Errorf("the display was called as %q", got)
	}
	n.says(id, "", "touch /workspace/broken")
	if _, err := n.Display(t.Context(), 1, id); !errors.Is(err, runtime.ErrUnready) || !strings.Contains(err.Error(), "no screen") {
		t.Errorf("a display that fails: %v", err)
	}
	if _, err := n.Display(t.Context(), 0, id); !errors.Is(err, runtime.ErrStaleEpoch) {
		t.Errorf("a display for an old owner: %v", err)
	}
}

func TestAnImageWithoutADesktop(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	if _, err := n.Display(t.Context(), 1, id); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := n.Display(t.Context(), 1, "unknown"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}
