package container

import (
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// TestHalfARebaseIsFinishedBeforeItsLayerIsUsed: a node that dies in a rebase
// leaves a record of the new image and the layer of the old one.
func TestHalfARebaseIsFinishedBeforeItsLayerIsUsed(t *testing.T) {
	n := newNode(t, 0)
	next := n.committed("host", "echo next > /opt/image")
	half := func() runtime.ID {
		t.Helper()
		id := n.started(n.spec())
		n.says(id, "root", "echo old > /root/layer; echo kept > /workspace/kept")
		if err := n.Stop(t.Context(), 1, id, 0); err != nil {
			t.Fatal(err)
		}
		r, err := n.load(id)
		if err != nil {
			t.Fatal(err)
		}
		r.Image, r.Spec.Image, r.Prepared, r.Bare = next, next, false, true
		if err := n.save(id, r); err != nil {
			t.Fatal(err)
		}
		return id
	}
	const look = "cat /opt/image; ls /root/layer 2>/dev/null; cat /workspace/kept /opt/laid 2>/dev/null; true"
	t.Run("a snapshot", func(t *testing.T) {
		id := half()
		spec := n.spec()
		spec.Image, spec.From = "", n.take(id, "s").Source
		if got := n.says(n.started(spec), "root", look); got != "next\nkept" {
			t.Errorf("restored: %q", got)
		}
		if r, err := n.load(id); err != nil || r.Bare {
			t.Errorf("the record: %+v, %v", r, err)
		}
	})
	t.Run("a commit", func(t *testing.T) {
		digest, err := n.Commit(t.Context(), 1, half(), image.Config{}, "")
		if err != nil {
			t.Fatal(err)
		}
		spec := n.spec()
		spec.Image = digest
		if got := n.says(n.started(spec), "root", look); got != "next" {
			t.Errorf("of the image: %q", got)
		}
	})
	t.Run("files that are laid", func(t *testing.T) {
		id := half()
		if err := n.Lay(t.Context(), 1, id, "", []image.Entry{{Path: "/opt/laid", Data: "laid", Mode: 0o644}}); err != nil {
			t.Fatal(err)
		}
		if err := n.Start(t.Context(), 1, id); err != nil {
			t.Fatal(err)
		}
		if got := n.says(id, "root", look); got != "next\nkept\nlaid" {
			t.Errorf("inside: %q", got)
		}
	})
}
