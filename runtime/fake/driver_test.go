package fake_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
	"github.com/bothy-computer/bothy/runtime/runtimetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var room = runtime.Capacity{
	MemoryBytes: 8 << 30, MemoryFree: 8 << 30, StorageBytes: 8 << 30, MilliCPU: 2000, Images: []string{"host", "other"},
}

func TestConformanceOfRecords(t *testing.T) {
	runtimetest.Suite{
		Spec: runtime.Spec{Image: "host"}, OtherImage: "other", NoCommands: true,
		Open: func(t *testing.T) runtime.Driver { return fake.New(fake.Options{Room: room, Dir: t.TempDir()}) },
	}.Run(t)
}

func TestConformanceWithLocalCommands(t *testing.T) {
	runtimetest.Suite{
		Spec: runtime.Spec{Image: "host"}, OtherImage: "other",
		Open: func(t *testing.T) runtime.Driver {
			world := fake.NewWorld()
			world.SetStore("store")
			return fake.New(fake.Options{Room: room, Dir: t.TempDir(), Local: true, World: world})
		},
		Beside: func(t *testing.T, d runtime.Driver) runtime.Driver {
			return fake.New(fake.Options{Node: "beside", Room: room, Dir: t.TempDir(), Local: true, World: d.(*fake.Driver).World()})
		},
	}.Run(t)
}

const id runtime.ID = "computer-1"

// started is a driver with one running computer.
func started(t *testing.T, opts fake.Options, epoch runtime.Epoch) *fake.Driver {
	t.Helper()
	d := fake.New(opts)
	if err := d.Create(t.Context(), epoch, runtime.Spec{ID: id}); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), epoch, id); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWorldSeesTwoOwners(t *testing.T) {
	tests := map[string]struct {
		epoch  runtime.Epoch
		freeze bool
		want   int
	}{
		"a move after a freeze":      {epoch: 2, freeze: true},
		"the same epoch":             {epoch: 1, freeze: true, want: 1},
		"both run":                   {epoch: 2, want: 1},
		"both run in the same epoch": {epoch: 1, want: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			world := fake.NewWorld()
			first := started(t, fake.Options{Node: "a", World: world}, 1)
			if tt.freeze {
				first.Freeze()
			}
			started(t, fake.Options{Node: "b", World: world}, tt.epoch)
			if got := world.Violations(); len(got) != tt.want {
				t.Errorf("got %v, want %d", got, tt.want)
			}
		})
	}
}

func TestScript(t *testing.T) {
	broken := errors.New("broken")
	d := started(t, fake.Options{}, 1)
	d.Script().Add(fake.Rule{Op: fake.Stop, Err: broken, Times: 1})
	if err := d.Stop(t.Context(), 1, id, 0); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	if s, err := d.Inspect(t.Context(), id); err != nil || s.Phase != runtime.Running {
		t.Errorf("a failed stop acted: %+v, %v", s, err)
	}
	d.Script().Add(fake.Rule{Op: fake.Stop, Err: broken, Times: 1, Late: true})
	if err := d.Stop(t.Context(), 1, id, 0); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	if s, err := d.Inspect(t.Context(), id); err != nil || s.Phase != runtime.Stopped {
		t.Errorf("a late failure did not act: %+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.Script().Add(fake.Rule{Op: fake.Start, Hold: make(chan struct{})})
	time.AfterFunc(time.Millisecond, cancel)
	if err := d.Start(ctx, 1, id); !errors.Is(err, context.Canceled) {
		t.Errorf("a held start: got %v, want context.Canceled", err)
	}
	d.Script().Clear()
	if err := d.Start(t.Context(), 1, id); err != nil {
		t.Error(err)
	}
}

func TestSnapshotsFollowTheScript(t *testing.T) {
	broken := errors.New("broken")
	d := started(t, fake.Options{}, 1)
	d.Script().Add(fake.Rule{Op: fake.Snapshot, Err: broken, Times: 1})
	if _, err := d.Snapshot(t.Context(), 1, id, "s"); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	if all, err := d.Snapshots(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("a failed snapshot is listed: %+v, %v", all, err)
	}
	d.Script().Add(fake.Rule{Op: fake.Snapshot, Err: broken, Times: 1, Late: true})
	if _, err := d.Snapshot(t.Context(), 1, id, "s"); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	all, err := d.Snapshots(t.Context(), id)
	if err != nil || len(all) != 1 {
		t.Fatalf("after a late failure are listed %+v, %v", all, err)
	}
	d.Script().Add(fake.Rule{Op: fake.DropSnapshot, Err: broken, Times: 1})
	if err := d.DropSnapshot(t.Context(), all[0].Source); !errors.Is(err, broken) {
		t.Errorf("got %v, want broken", err)
	}
	if made, err := d.Snapshot(t.Context(), 1, id, "s"); err != nil || made != all[0] {
		t.Errorf("asked again: %+v, %v, want %+v", made, err, all[0])
	}
}

func TestCommandsPrintTheirArguments(t *testing.T) {
	d := started(t, fake.Options{}, 3)
	var out bytes.Buffer
	exit, err := d.Exec(t.Context(), 3, id, runtime.Cmd{Argv: []string{"echo", "a b"}, Stdout: &out})
	if err != nil || exit.Code != 0 || out.String() != "echo a b\n" {
		t.Errorf("got %+v %q %v", exit, &out, err)
	}
	d.Script().Run(func(context.Context, runtime.ID, runtime.Cmd) (runtime.Exit, error) {
		return runtime.Exit{Code: 9}, nil
	})
	if exit, err := d.Exec(t.Context(), 3, id, runtime.Cmd{Argv: []string{"x"}}); err != nil || exit.Code != 9 {
		t.Errorf("a scripted command: got %+v, %v", exit, err)
	}
	if calls := d.World().Of(id); len(calls) != 4 || calls[3].Op != fake.Exec || calls[3].Argv[0] != "x" {
		t.Errorf("the history is %+v", calls)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d := fake.New(fake.Options{Room: runtime.Capacity{MemoryBytes: 100}})
	for _, n := range []runtime.ID{"a", "b"} {
		if err := d.Create(t.Context(), 1, runtime.Spec{ID: n, Resources: runtime.Resources{MemoryBytes: 60}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Start(t.Context(), 1, "a"); err != nil {
		t.Error(err)
	}
	if err := d.Start(t.Context(), 1, "b"); !errors.Is(err, runtime.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if err := d.Stop(t.Context(), 1, "a", 0); err != nil {
		t.Error(err)
	}
	if err := d.Start(t.Context(), 1, "b"); err != nil {
		t.Error(err)
	}
}

func TestSavesFollowTheScript(t *testing.T) {
	world := fake.NewWorld()
	d := started(t, fake.Options{World: world}, 1)
	s, err := d.Snapshot(t.Context(), 1, id, "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SaveSnapshot(t.Context(), s.Source, ""); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("without a store: %v", err)
	}
	world.SetStore("store")
	d.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Err: runtime.ErrNoStore, Times: 1})
	if _, err := d.SaveSnapshot(t.Context(), s.Source, ""); !errors.Is(err, runtime.ErrNoStore) || len(world.Saves()) != 0 {
		t.Errorf("a store that is away: %v, %v", err, world.Saves())
	}
	d.Script().Add(fake.Rule{Op: fake.SaveSnapshot, Err: runtime.ErrNoStore, Times: 1, Late: true})
	if _, err := d.SaveSnapshot(t.Context(), s.Source, ""); !errors.Is(err, runtime.ErrNoStore) || len(world.Saves()) != 1 {
		t.Errorf("an answer that was lost: %v, %v", err, world.Saves())
	}
	if made, err := d.SaveSnapshot(t.Context(), s.Source, ""); err != nil || made != world.Saves()[0] {
		t.Errorf("asked again: %+v, %v", made, err)
	}
}
