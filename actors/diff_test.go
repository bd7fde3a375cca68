package actors

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

func diffOf(t *testing.T, h *house, s Started) state.Diff {
	t.Helper()
	d, err := applied(h.node, func(v *state.View) (state.Diff, error) {
		d, _, err := v.RunDiff(h.caller.Account, s.Run.ID)
		return d, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWithoutSnapshotsChangesAreToldWithoutDiffs(t *testing.T) {
	h := open(t)
	h.driver.Script().Add(fake.Rule{Op: fake.Snapshot, Err: runtime.ErrUnsupported})
	follow(t, h, send(t, h, "```bash\necho one > old.txt\n```\n"))
	s := send(t, h, "```bash\necho two >> old.txt; echo new > new.txt\n```\n")
	follow(t, h, s)
	d := diffOf(t, h, s)
	if !strings.Contains(d.Note, "keeps no snapshots") || len(d.Files) != 2 {
		t.Fatalf("%+v", d)
	}
	if f := d.Files[0]; f.Path != "new.txt" || f.Change != "created" || f.Additions != 1 {
		t.Errorf("%+v", f)
	}
	if f := d.Files[1]; f.Path != "old.txt" || f.Change != "modified" || f.Omitted != "unknown" || f.Unified != "" {
		t.Errorf("%+v", f)
	}
}

func TestARunsSnapshotLastsAsLongAsTheRun(t *testing.T) {
	h := open(t)
	s := send(t, h, "```bash\necho x > x; while [ ! -e go ]; do sleep 0.05; done\n```\n")
	kept := func() []runtime.Snapshot {
		all, err := h.driver.Snapshots(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	waitFor(t, func() bool {
		done, err := h.Computers.Files(t.Context(), h.caller, s.Thread.Computer, FileOp{Verb: workspace.Exists, Path: "x"})
		return err == nil && *done.Exists
	})
	if len(kept()) != 1 {
		t.Fatal("the run has no snapshot")
	}
	v := h.node.Stale()
	defer v.Close()
	if err := h.sweepSnapshots(t.Context(), v); err != nil || len(h.strays) != 0 {
		t.Fatalf("a live run's snapshot counts as a stray: %v, %v", h.strays, err)
	}
	if err := h.Threads.Cancel(t.Context(), h.caller, s.Thread.ID); err != nil {
		t.Fatal(err)
	}
	follow(t, h, s)
	if d := diffOf(t, h, s); len(d.Files) != 1 || d.Files[0].Path != "x" {
		t.Errorf("a cancelled run changed %+v", d)
	}
	if left := kept(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}
