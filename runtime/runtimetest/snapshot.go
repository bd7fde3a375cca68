package runtimetest

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

func snapshots(t *testing.T, m *machine) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *machine, runtime.Snapshotter)
	}{
		{"of every phase", snapshotsInPhases},
		{"restore", restores},
		{"outlive their computer", snapshotsOutlive},
		{"refused", snapshotsRefused},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, m, m.Driver.(runtime.Snapshotter)) })
	}
}

// snapshotsInPhases shows that a snapshot leaves its computer as it was.
func snapshotsInPhases(t *testing.T, m *machine, d runtime.Snapshotter) {
	id := m.created(t)
	take := func(name string, phase runtime.Phase) {
		t.Helper()
		before := m.inPhase(t, id, phase)
		first, err := d.Snapshot(limited(t), 1, id, name)
		must(t, "snapshot while "+string(phase), err)
		again, err := d.Snapshot(limited(t), 1, id, name)
		must(t, "the same again", err)
		if !sameSnapshot(first, again) {
			t.Errorf("the same name found %+v, first it was %+v", again, first)
		}
		if first.Computer != id || first.Name != name || first.Image == "" || first.MadeAt.IsZero() || first.Bytes < 0 {
			t.Errorf("a snapshot is %+v", first)
		}
		if (phase != runtime.Running && first.Still != 0) || (phase == runtime.Running && m.suite.StandsStill && first.Still <= 0) {
			t.Errorf("while %s it stood still for %v", phase, first.Still)
		}
		if err := same(before, m.inPhase(t, id, phase)); err != nil {
			t.Errorf("the snapshot changed the computer: %v", err)
		}
	}
	take("created", runtime.Created)
	must(t, "start", m.Start(limited(t), 1, id))
	take("running", runtime.Running)
	if p, ok := m.Driver.(runtime.Pauser); ok {
		must(t, "pause", p.Pause(limited(t), 1, id))
		take("frozen", runtime.Frozen)
	}
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	take("stopped", runtime.Stopped)
	all, err := d.Snapshots(limited(t), id)
	must(t, "list", err)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	if !slices.IsSorted(names) || len(names) < 3 {
		t.Errorf("listed are %v", names)
	}
}

func sameSnapshot(a, b runtime.Snapshot) bool {
	times := a.MadeAt.Equal(b.MadeAt)
	a.MadeAt = b.MadeAt // in another zone, or with another clock's reading
	return times && a == b
}

// from makes a computer out of a snapshot.
func (m *machine) from(t *testing.T, s runtime.Source) runtime.ID {
	t.Helper()
	spec := m.spec()
	spec.From = s
	must(t, "create from a snapshot", m.Create(limited(t), 1, spec))
	m.removeAfter(t, spec.ID)
	must(t, "the same again", m.Create(limited(t), 1, spec))
	if st := m.inPhase(t, spec.ID, runtime.Created); st.Fresh || st.Spec.From != s {
		t.Errorf("made from a snapshot it is %+v", st)
	}
	return spec.ID
}

// restores shows that a computer made from a snapshot has what was there then,
// and goes its own way.
func restores(t *testing.T, m *machine, d runtime.Snapshotter) {
	id := m.running(t)
	m.write(t, id, "file", "then")
	taken, err := d.Snapshot(limited(t), 1, id, "s")
	must(t, "snapshot", err)
	m.write(t, id, "file", "now")
	root, err := d.SnapshotWorkspace(limited(t), taken.Source)
	must(t, "look into a snapshot", err)
	if text, err := os.ReadFile(root.Path + "/file"); err != nil || string(text) != "then" {
		t.Errorf("the snapshot shows %q, %v", text, err)
	}
	first, second := m.from(t, taken.Source), m.from(t, taken.Source)
	if got := m.status(t, first).Image; got != taken.Image {
		t.Errorf("it stands on %s, the snapshot on %s", got, taken.Image)
	}
	m.reads(t, first, "file", "then")
	must(t, "start", m.Start(limited(t), 1, first))
	if m.commands() != nil {
		m.prints(t, first, 1, "cat file; echo mine > file; cat file", "thenmine\n")
	} else {
		m.write(t, first, "file", "mine\n")
	}
	m.reads(t, second, "file", "then")
	m.reads(t, id, "file", "now")
	must(t, "drop", d.DropSnapshot(limited(t), taken.Source))
	must(t, "drop again", d.DropSnapshot(limited(t), taken.Source))
	m.reads(t, first, "file", "mine\n")
	must(t, "start once it is dropped", m.Start(limited(t), 1, second))
	next, err := d.Snapshot(limited(t), 1, second, "s")
	must(t, "snapshot of what came from one", err)
	if next.Bytes < 0 || next.Image != taken.Image {
		t.Errorf("a snapshot of a snapshot is %+v", next)
	}
	m.reads(t, m.from(t, next.Source), "file", "then")
}

func snapshotsOutlive(t *testing.T, m *machine, d runtime.Snapshotter) {
	id := m.running(t)
	m.write(t, id, "file", "kept")
	taken, err := d.Snapshot(limited(t), 1, id, "s")
	must(t, "snapshot", err)
	must(t, "remove", m.Remove(limited(t), 1, id))
	if m.suite.Reopen != nil {
		m.Driver = m.suite.Reopen(t, m.Driver)
		d = m.Driver.(runtime.Snapshotter)
	}
	for _, asked := range []runtime.ID{id, ""} {
		all, err := d.Snapshots(limited(t), asked)
		must(t, "list", err)
		if !slices.ContainsFunc(all, func(s runtime.Snapshot) bool { return sameSnapshot(s, taken) }) {
			t.Errorf("of %q are listed %+v, without %+v", asked, all, taken)
		}
	}
	m.reads(t, m.from(t, taken.Source), "file", "kept")
	must(t, "drop", d.DropSnapshot(limited(t), taken.Source))
	if all, err := d.Snapshots(limited(t), id); err != nil || len(all) != 0 {
		t.Errorf("dropped, and listed: %+v, %v", all, err)
	}
}

func snapshotsRefused(t *testing.T, m *machine, d runtime.Snapshotter) {
	if _, err := d.SnapshotWorkspace(limited(t), runtime.Source{Computer: m.spec().ID, Name: "none"}); !errors.Is(err, runtime.ErrNoSnapshot) {
		t.Errorf("looking into no snapshot: %v", err)
	}
	id := m.created(t)
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "a b", "a\x00"} {
		if _, err := d.Snapshot(limited(t), 1, id, name); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("named %q: got %v, want ErrInvalid", name, err)
		}
	}
	m.write(t, id, "file", string(make([]byte, 4<<20)))
	taken, err := d.Snapshot(limited(t), 1, id, "s")
	must(t, "snapshot", err)
	if taken.Bytes < 4<<20 {
		t.Errorf("%d bytes hold a file of %d", taken.Bytes, 4<<20)
	}
	for name, tt := range map[string]struct {
		change func(*runtime.Spec)
		want   error
	}{
		"an unknown name":     {func(s *runtime.Spec) { s.From.Name = "other" }, runtime.ErrNoSnapshot},
		"an unknown computer": {func(s *runtime.Spec) { s.From.Computer = "nobody" }, runtime.ErrNoSnapshot},
		"no name":             {func(s *runtime.Spec) { s.From.Name = "" }, runtime.ErrInvalid},
		"too little storage":  {func(s *runtime.Spec) { s.Resources.StorageBytes = 2 << 20 }, runtime.ErrInvalid},
		"another image":       {func(s *runtime.Spec) { s.Image = m.suite.OtherImage }, runtime.ErrOtherImage},
	} {
		if name == "another image" && m.suite.OtherImage == "" {
			continue
		}
		spec := m.spec()
		spec.From = taken.Source
		tt.change(&spec)
		if err := m.Create(limited(t), 1, spec); !errors.Is(err, tt.want) {
			t.Errorf("from %s: got %v, want %v", name, err, tt.want)
		}
		if _, err := m.Inspect(limited(t), spec.ID); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("from %s: a computer is there: %v", name, err)
		}
		if m.suite.Leftovers != nil {
			if left := m.suite.Leftovers(t, spec.ID); len(left) > 0 {
				t.Errorf("from %s: left %v", name, left)
			}
		}
	}
}

// write puts a file into a workspace from outside.
func (m *machine) write(t *testing.T, id runtime.ID, name, text string) {
	t.Helper()
	root, err := m.Driver.(runtime.Workspacer).Workspace(limited(t), 1, id)
	must(t, "workspace", err)
	must(t, "write", os.WriteFile(root.Path+"/"+name, []byte(text), 0o644))
	must(t, "own", os.Chown(root.Path+"/"+name, root.UID, root.GID))
}

func (m *machine) reads(t *testing.T, id runtime.ID, name, want string) {
	t.Helper()
	root, err := m.Driver.(runtime.Workspacer).Workspace(limited(t), 1, id)
	must(t, "workspace", err)
	text, err := os.ReadFile(root.Path + "/" + name)
	if err != nil || string(text) != want {
		t.Errorf("%s of %s is %.40q, %v, want %.40q", name, id, text, err, want)
	}
	info, err := os.Lstat(root.Path + "/" + name)
	must(t, "look at a file", err)
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != root.UID || int(st.Gid) != root.GID {
		t.Errorf("%s of %s belongs to %d:%d, want %d:%d", name, id, st.Uid, st.Gid, root.UID, root.GID)
	}
}
