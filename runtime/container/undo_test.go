package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/image"
)

// traces names what the machine has of a computer besides its own directory.
func traces(id runtime.ID) (left []string) {
	for what, names := range machine() {
		for name := range names {
			if strings.Contains(name, string(id)) && !strings.HasSuffix(name, "/computers/"+string(id)) {
				left = append(left, what+" "+name)
			}
		}
	}
	return left
}

func TestAFailedStartIsUndone(t *testing.T) {
	broken := map[string]func(n *node) (mend func()){
		"no OCI runtime": func(n *node) func() {
			was := n.runc
			n.runc = "/bin/false"
			return func() { n.runc = was }
		},
		"a guest that ends at once": func(n *node) func() {
			was := n.guest
			n.guest = filepath.Join(n.dir, "no-guest")
			if err := os.WriteFile(n.guest, []byte("#!/bin/sh\necho guest is broken\nexit 1\n"), 0o755); err != nil {
				n.t.Fatal(err)
			}
			return func() { n.guest = was }
		},
		"no image": func(n *node) func() {
			was := n.Images
			n.Images = noImages{}
			return func() { n.Images = was }
		},
	}
	for name, breaks := range broken {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, 0)
			spec := n.spec()
			if err := n.Create(t.Context(), 1, spec); err != nil {
				t.Fatal(err)
			}
			before := len(traces(spec.ID))
			mend := breaks(n)
			err := n.Start(t.Context(), 1, spec.ID)
			if err == nil {
				t.Fatal("started all the same")
			}
			t.Logf("said: %v", err)
			if strings.Contains(name, "guest") && !strings.Contains(err.Error(), "guest is broken") {
				t.Error("what the guest wrote is not in the error")
			}
			if left := traces(spec.ID); len(left) != before {
				t.Errorf("left: %v", left)
			}
			if st, err := n.Inspect(t.Context(), spec.ID); err != nil || st.Phase != runtime.Created || !st.Fresh {
				t.Errorf("status %+v, %v", st, err)
			}
			mend()
			if err := n.Start(t.Context(), 1, spec.ID); err != nil {
				t.Fatal(err)
			}
			if got := n.says(spec.ID, "", "id -un"); got != "node" {
				t.Errorf("inside: %q", got)
			}
		})
	}
}

// noImages is a store that lost what it had.
type noImages struct{ Images }

func (noImages) Use(context.Context, string) (func(), error)          { return nil, runtime.ErrNoImage }
func (noImages) Commit(context.Context, image.Change) (string, error) { return "", runtime.ErrNoImage }
func (noImages) Resolve(context.Context, string) (string, error)      { return "", runtime.ErrNoImage }
func (noImages) Layers(context.Context, string) ([]image.Layer, error) {
	return nil, runtime.ErrNoImage
}
func (noImages) Info(context.Context, string) (image.Info, error) {
	return image.Info{}, runtime.ErrNoImage
}
func (noImages) List(context.Context) ([]image.Info, error) { return nil, nil }

func TestAnUnknownImageIsSaid(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	spec.Image = "nobody-made-this"
	if err := n.Create(t.Context(), 1, spec); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("got %v", err)
	}
	if left, err := n.ids(); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestWhatACrashLeftIsCleared(t *testing.T) {
	n := newNode(t, 0)
	keeps := n.started(n.spec())
	pid := n.pidOf(keeps)
	// A create that wrote no record, and a claim that renamed but wrote none.
	half, claimed := n.spec().ID, n.spec().ID
	for _, id := range []runtime.ID{half, claimed} {
		spec := n.spec()
		spec.ID = id
		if err := n.Create(t.Context(), 1, spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(n.path(half, recordFile)); err != nil {
		t.Fatal(err)
	}
	r, err := n.load(claimed)
	if err != nil {
		t.Fatal(err)
	}
	r.Spec.ID = blankPrefix + "x"
	if err := n.save(claimed, r); err != nil {
		t.Fatal(err)
	}
	n.leave()
	n.open(0)
	for _, id := range []runtime.ID{half, claimed} {
		if left := traces(id); left != nil {
			t.Errorf("left: %v", left)
		}
		if _, err := n.Inspect(t.Context(), id); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if now := n.pidOf(keeps); now != pid {
		t.Errorf("the whole one was %d and is %d", pid, now)
	}
	n.says(keeps, "", "true")
}

func TestSweepRemovesWhatNobodyKnows(t *testing.T) {
	n := newNode(t, 0)
	known, unknown := n.started(n.spec()), n.started(n.spec())
	orphan := n.group.Child("orphan")
	if err := orphan.Make(); err != nil {
		t.Fatal(err)
	}
	if _, err := idmap.Allocate(n.RangeDir, n.rangeName("orphan")); err != nil {
		t.Fatal(err)
	}
	foreign, err := idmap.Allocate(n.RangeDir, "other-node.orphan")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = idmap.Release(n.RangeDir, "other-node.orphan") })
	removed, err := n.Sweep(t.Context(), func(id runtime.ID) bool { return id == known })
	if err != nil || len(removed) != 1 || removed[0] != unknown {
		t.Fatalf("removed %v, %v", removed, err)
	}
	if _, ok, err := idmap.Lookup(n.RangeDir, n.rangeName("orphan")); ok || err != nil {
		t.Errorf("the orphan's ids are kept: %v", err)
	}
	if r, ok, err := idmap.Lookup(n.RangeDir, "other-node.orphan"); !ok || err != nil || r != foreign {
		t.Errorf("another node's ids: %v %v %v", r, ok, err)
	}
	groups, err := n.group.Children()
	if err != nil || len(groups) != 1 || groups[0] != string(known) {
		t.Errorf("cgroups %v, %v", groups, err)
	}
	n.says(known, "", "true")
}

func TestAFrozenComputerIsStoppedWithoutRunningOn(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	count := n.counting(id)
	moves(t, count)
	if err := n.Pause(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	was := count()
	if err := n.Stop(t.Context(), 1, id, 0); err != nil {
		t.Fatal(err)
	}
	if now := count(); now != was {
		t.Errorf("counted on from %d to %d", was, now)
	}
}
