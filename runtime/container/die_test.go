package container

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/warden"
)

// dieArg makes the test binary a node that kills itself at a step:
// dieArg DIR NODE ID STEP.
const dieArg = "die-for-the-test"

// restoredID is what a node is making when it dies.
const restoredID = "restored-by-the-dead"

// dieAt runs a computer, takes a snapshot of it and makes another from that, or
// from a save of it at a step of those.
func dieAt(dir, node string, id runtime.ID, step string) {
	fail := func(err error) {
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
	}
	guestBinary, scratch = os.Getenv("TEST_GUEST"), filepath.Join(dir, "scratch")
	d, _, err := openDriver(dir, node, 0, filepath.Join(dir, "store"))
	fail(err)
	ctx, small := context.Background(), runtime.Resources{StorageBytes: 64 << 20}
	fail(d.Create(ctx, 1, runtime.Spec{ID: id, Resources: small}))
	fail(d.Start(ctx, 1, id))
	d.reached = func(at string) {
		if at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it comes
		}
	}
	_, err = d.Snapshot(ctx, 1, id, "s")
	fail(err)
	from := runtime.Source{Computer: id, Name: "s"}
	spec := runtime.Spec{ID: restoredID, Resources: small, From: from}
	if strings.HasPrefix(step, "fetch") {
		_, err := d.SaveSnapshot(ctx, from, "")
		fail(err)
		spec.From, spec.Saved = runtime.Source{}, runtime.Save(from)
	}
	fail(d.Create(ctx, 1, spec))
	fail(errors.New("it came to its end without " + step))
}

// dead is a node whose process was killed at a step.
func dead(t *testing.T, step string) (*node, runtime.ID) {
	t.Helper()
	n := newNode(t, 0)
	n.leave()
	id := n.spec().ID
	cmd := exec.Command("/proc/self/exe", dieArg, n.dir, n.uuid, string(id), step)
	cmd.Env, cmd.Stderr = append(os.Environ(), "TEST_GUEST="+guestBinary), os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the node was not killed: %v", err)
	}
	return n, id
}

// TestKilledAtEachStepOfASnapshot: wherever the node's process dies, the
// computer goes on with the next one, and a snapshot is whole or not there.
func TestKilledAtEachStepOfASnapshot(t *testing.T) {
	for _, tt := range []struct {
		step  string
		found int // snapshots
		still bool
	}{{"marked", 0, false}, {"frozen", 0, true}, {"taken", 0, true}, {"thawed", 0, false}, {"kept", 1, false}} {
		t.Run(tt.step, func(t *testing.T) {
			n, id := dead(t, tt.step)
			if frozen, err := n.group.Child(string(id)).Frozen(); err != nil || frozen != tt.still {
				t.Fatalf("after the death it stands still: %v, %v", frozen, err)
			}
			n.open(0)
			if got := n.phase(id); got != runtime.Running {
				t.Fatalf("taken up again it is %s", got)
			}
			n.says(id, "", "true")
			all, err := n.Snapshots(t.Context(), "")
			if err != nil || len(all) != tt.found {
				t.Errorf("found %+v, %v", all, err)
			}
			left, err := filepath.Glob(filepath.Join(n.dir, "pool/pool/snapshots/*/.*"))
			if err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			n.says(n.restored(n.take(id, "s")), "", "true")
		})
	}
}

// TestADeadSnapshotIsNotThawedAgainstTheFence: past the deadline what it left
// standing stands with the others.
func TestADeadSnapshotIsNotThawedAgainstTheFence(t *testing.T) {
	n, id := dead(t, "frozen")
	if err := n.Warden.SetDeadline(t.Context(), warden.Now()); err != nil {
		t.Fatal(err)
	}
	n.open(0)
	if got := n.phase(id); got != runtime.Frozen {
		t.Fatalf("past the deadline it is %s", got)
	}
	s := n.take(id, "fenced") // what stands still can be kept
	if s.Still != 0 {
		t.Errorf("it stood still for %v", s.Still)
	}
	if err := n.Warden.SetDeadline(t.Context(), warden.NoDeadline); err != nil {
		t.Fatal(err)
	}
	if !n.letGoAll(t.Context()) { // as the driver does when it is told of one that is stuck
		t.Error("something is stuck")
	}
	if got := n.phase(id); got != runtime.Frozen {
		t.Fatalf("before anybody said so it is %s", got)
	}
	if err := n.Thaw(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	n.says(id, "", "true")
}

// TestTheFenceShutsDuringASnapshot: then the computer does not go on.
func TestTheFenceShutsDuringASnapshot(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	n.reached = func(step string) {
		if step == "taken" {
			if err := n.Warden.Fence(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	n.take(id, "s")
	n.reached = nil
	if err := n.Warden.SetDeadline(t.Context(), warden.NoDeadline); err != nil {
		t.Fatal(err)
	}
	if got := n.phase(id); got != runtime.Frozen {
		t.Fatalf("it is %s", got)
	}
	n.leave()
	n.open(0)
	if got := n.phase(id); got != runtime.Frozen {
		t.Fatalf("after a restart it is %s", got)
	}
	if err := n.Thaw(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	n.says(id, "", "true")
}

// TestKilledAtEachStepOfARestore: what was half-made is gone.
func TestKilledAtEachStepOfARestore(t *testing.T) {
	for _, step := range []string{"ranged", "restored", "shifted", "fetching", "fetched"} {
		t.Run(step, func(t *testing.T) {
			n, id := dead(t, step)
			n.open(0)
			if _, err := n.Inspect(t.Context(), restoredID); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("it is there: %v", err)
			}
			if volumes, err := n.Pool.List(); err != nil || !slices.Equal(volumes, []string{string(id)}) {
				t.Errorf("volumes are %v, %v", volumes, err)
			}
			if _, ok, err := idmap.Lookup(n.RangeDir, n.rangeName(restoredID)); ok || err != nil {
				t.Errorf("its ids are kept: %v, %v", ok, err)
			}
			n.says(n.restored(n.take(id, "s")), "", "true")
		})
	}
}
