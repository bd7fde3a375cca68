package container

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
)

func TestAWarmComputerBecomesWhatIsAskedFor(t *testing.T) {
	n := newNode(t, 1)
	until(t, "a warm computer", func() bool { return n.Stock().Ready == 1 })
	if all, err := n.List(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("blank computers are listed: %+v, %v", all, err)
	}
	spec := n.spec()
	spec.Hostname, spec.Resources.PIDs = "claimed", 32
	if err := n.Create(t.Context(), 3, spec); err != nil {
		t.Fatal(err)
	}
	st, err := n.Inspect(t.Context(), spec.ID)
	if err != nil || st.Phase != runtime.Created || st.PID != 0 || !st.Fresh || st.Epoch != 3 {
		t.Fatalf("claimed, not started: %+v, %v", st, err)
	}
	if _, err := n.Exec(t.Context(), 3, spec.ID, runtime.Cmd{Argv: []string{"true"}}); err == nil {
		t.Error("a computer that was not started runs commands")
	}
	if err := n.Start(t.Context(), 3, spec.ID); err != nil {
		t.Fatal(err)
	}
	if s := n.Stock(); s.Claimed != 1 {
		t.Fatalf("not claimed: %+v", s)
	}
	n.epoch = 3
	if got := n.says(spec.ID, "", "hostname; cat /etc/hostname; grep -c claimed /etc/hosts; ls -A /workspace; id -un"); got != "claimed\nclaimed\n1\nnode" {
		t.Errorf("inside: %q", got)
	}
	if exit, _ := n.sh(spec.ID, "", "for i in $(seq 100); do sleep 2 & done; wait"); exit.Code == 0 {
		t.Error("a hundred processes where 32 are allowed")
	}
	if err := n.Stop(t.Context(), 3, spec.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), 3, spec.ID); err != nil {
		t.Fatal(err)
	}
	if got := n.says(spec.ID, "", "hostname"); got != "claimed" {
		t.Errorf("in its second life: %q", got)
	}
	until(t, "the stock is refilled", func() bool { return n.Stock().Ready == 1 })
}

func TestBlankComputersOutliveTheDriver(t *testing.T) {
	n := newNode(t, 2)
	until(t, "two warm computers", func() bool { return n.Stock().Ready == 2 })
	names := func() (out []string) {
		for _, b := range n.warm.ready {
			out = append(out, b.Container)
		}
		slices.Sort(out)
		return out
	}
	before := names()
	n.leave()
	n.open(2)
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("blank before %v, after %v", before, after)
	}
	n.leave()
	n.open(0)
	until(t, "a node without warm computers gives them back", func() bool {
		left, err := n.ids()
		return err == nil && len(left) == 0
	})
}

// TestTimeToFirstCommand prints what a user waits for. The bounds are wide: the
// figures that count are those of bench, on a machine at rest.
func TestTimeToFirstCommand(t *testing.T) {
	for name, tt := range map[string]struct {
		warm  int
		bound time.Duration
	}{"cold": {0, 5 * time.Second}, "warm": {MaxWarm, 5 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, tt.warm)
			var all []time.Duration
			for range 12 {
				until(t, "stock", func() bool { return n.Stock().Ready == tt.warm })
				begin := time.Now()
				id := n.started(n.spec())
				n.says(id, "", "true")
				all = append(all, time.Since(begin))
				if err := n.Remove(t.Context(), 1, id); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(all)
			t.Logf("create to first command: p50 %v, worst %v", all[len(all)/2], all[len(all)-1])
			if all[len(all)/2] > tt.bound {
				t.Error("far too slow")
			}
		})
	}
}

// TestANodeReturnsWhileItsComputersAreFrozen is a restart past the deadline:
// it must not wait for what cannot move, and a blank is as good as before.
func TestANodeReturnsWhileItsComputersAreFrozen(t *testing.T) {
	n := newNode(t, 1)
	until(t, "a warm computer", func() bool { return n.Stock().Ready == 1 })
	id := n.started(n.spec())
	until(t, "another warm computer", func() bool { return n.Stock().Ready == 1 })
	half := n.spec().ID
	if err := os.Mkdir(n.path(half), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := n.Warden.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.leave()
	begin := time.Now()
	n.open(1)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("opened after %v", took)
	}
	if st, err := n.Inspect(t.Context(), id); err != nil || st.Phase != runtime.Frozen {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := n.Warden.SetDeadline(t.Context(), warden.NoDeadline); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	n.says(id, "", "true")
	n.says(n.started(n.spec()), "", "true")
	if s := n.Stock(); s.Claimed != 1 {
		t.Errorf("the frozen blank was not claimed: %+v", s)
	}
	if _, err := n.Sweep(t.Context(), func(runtime.ID) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.path(half)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a computer is left: %v", err)
	}
}
