package container

import (
	"errors"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// sweepNow sweeps images without regard to their age.
func (n *node) sweepNow() {
	n.t.Helper()
	_, err := n.Images.Sweep(n.t.Context(), image.Sweeping{Used: func() ([]string, error) { return n.usedImages(n.t.Context()) }})
	if err != nil {
		n.t.Error(err)
	}
}

func (n *node) hasImage(digest string) bool {
	_, err := n.Images.Layers(n.t.Context(), digest)
	return err == nil
}

func TestTheImagesOfComputersAndSnapshotsStay(t *testing.T) {
	n := newNode(t, 0)
	n.newImages()
	digest := n.committed("host", "echo a > /opt/a")
	spec := n.spec()
	spec.Image = digest
	id := n.started(spec)
	n.sweepNow()
	if !n.hasImage(digest) {
		t.Fatal("swept below a computer")
	}
	kept, err := n.Snapshot(t.Context(), 1, id, "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Remove(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	n.sweepNow()
	if !n.hasImage(digest) {
		t.Fatal("swept below a snapshot")
	}
	if err := n.DropSnapshot(t.Context(), kept.Source); err != nil {
		t.Fatal(err)
	}
	if _, err := n.SweepImages(t.Context(), nil); err != nil || !n.hasImage(digest) {
		t.Fatalf("a new image was swept: %v", err)
	}
	n.sweepNow()
	if n.hasImage(digest) {
		t.Fatal("it stayed")
	}
}

// TestNoComputerLosesItsImageToASweep: a Create beside sweeps has its image, or
// says that there is none.
func TestNoComputerLosesItsImageToASweep(t *testing.T) {
	n := newNode(t, 0)
	n.newImages()
	for range 5 {
		digest := n.committed("host", "echo a > /opt/a")
		spec := n.spec()
		spec.Image = digest
		var both sync.WaitGroup
		both.Go(func() {
			for range 20 {
				n.sweepNow()
			}
		})
		err := n.Create(t.Context(), 1, spec)
		both.Wait()
		if made := err == nil; made != n.hasImage(digest) || !made && !errors.Is(err, runtime.ErrNoImage) {
			t.Fatalf("create: %v; its image is there: %v", err, n.hasImage(digest))
		}
		if err := n.Remove(t.Context(), 1, spec.ID); err != nil {
			t.Fatal(err)
		}
		n.sweepNow()
	}
}
