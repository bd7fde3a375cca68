package runtimetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

func saves(t *testing.T, m *machine) {
	d := m.Driver.(runtime.Saver)
	if d.Store() == "" {
		t.Run("without a store", func(t *testing.T) { savesNowhere(t, m, d) })
		return
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, *machine, runtime.Saver)
	}{
		{"restore elsewhere", savesAndRestores},
		{"unsaved", tellsUnsaved},
		{"over another image", savesBare},
		{"refused", savesRefused},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, m, d) })
	}
}

func savesNowhere(t *testing.T, m *machine, d runtime.Saver) {
	_, err := d.SaveSnapshot(limited(t), m.snapshot(t, m.created(t), "s"), "")
	if !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("saved: %v", err)
	}
}

func (m *machine) snapshot(t *testing.T, id runtime.ID, name string) runtime.Source {
	t.Helper()
	taken, err := m.Driver.(runtime.Snapshotter).Snapshot(limited(t), 1, id, name)
	must(t, "snapshot", err)
	return taken.Source
}

// saved saves a computer as it is now.
func (m *machine) saved(t *testing.T, id runtime.ID, name, base string) runtime.Saved {
	t.Helper()
	d := m.Driver.(runtime.Saver)
	source := m.snapshot(t, id, name)
	made, err := d.SaveSnapshot(limited(t), source, base)
	must(t, "save", err)
	again, err := d.SaveSnapshot(limited(t), source, base)
	must(t, "the same again", err)
	if made.Save != runtime.Save(source) || made.Image == "" || made.MadeAt.IsZero() || made.Bytes < 0 || made.Read < 0 || made.Sent < 0 {
		t.Errorf("a save is %+v", made)
	}
	again.Read, again.Sent = made.Read, made.Sent
	if !again.MadeAt.Equal(made.MadeAt) {
		t.Errorf("the same again was made at %v, first it was %v", again.MadeAt, made.MadeAt)
	}
	if again.MadeAt = made.MadeAt; again != made {
		t.Errorf("the same again is %+v, first it was %+v", again, made)
	}
	must(t, "drop the snapshot", m.Driver.(runtime.Snapshotter).DropSnapshot(limited(t), source))
	return made
}

// begun makes a computer of a save.
func (m *machine) begun(t *testing.T, spec runtime.Spec, save runtime.Save) runtime.ID {
	t.Helper()
	spec.Saved = save
	must(t, "create from a save", m.Create(limited(t), 1, spec))
	m.removeAfter(t, spec.ID)
	must(t, "the same again", m.Create(limited(t), 1, spec))
	if st := m.inPhase(t, spec.ID, runtime.Created); st.Fresh || st.Spec.Saved != save {
		t.Errorf("made from a save it is %+v", st)
	}
	return spec.ID
}

// beside is another machine that reaches the same store, or this one.
func (m *machine) beside(t *testing.T) *machine {
	if m.suite.Beside == nil {
		return m
	}
	return &machine{suite: m.suite, Driver: m.suite.Beside(t, m.Driver)}
}

// holdsSaves expects the computers in the store to be with one, or without it.
func holdsSaves(t *testing.T, d runtime.Saver, id runtime.ID, want bool) {
	t.Helper()
	var all []runtime.ID
	must(t, "list computers", d.SavedComputers(limited(t), func(id runtime.ID) error {
		all = append(all, id)
		return nil
	}))
	if slices.Contains(all, id) != want {
		t.Errorf("saves are there of %v; of %s: %v", all, id, !want)
	}
}

// savesAndRestores shows that a save has what was there then, on whichever
// machine, and that others stay whole when one goes.
func savesAndRestores(t *testing.T, m *machine, d runtime.Saver) {
	other := m.beside(t)
	if store := other.Driver.(runtime.Saver).Store(); store != d.Store() {
		t.Errorf("the store is %q here and %q beside", d.Store(), store)
	}
	id := m.running(t)
	m.write(t, id, "kept", "always")
	m.write(t, id, "file", "first")
	first := m.saved(t, id, "s1", "")
	holdsSaves(t, d, id, true)
	m.write(t, id, "file", "second")
	second := m.saved(t, id, "s2", "s1")
	m.write(t, id, "file", "third")
	must(t, "remove", m.Remove(limited(t), 1, id))

	copied := other.begun(t, other.spec(), first.Save)
	other.reads(t, copied, "file", "first")
	moved := m.suite.Spec
	moved.ID = id // as a computer that goes on elsewhere
	other.begun(t, moved, second.Save)
	if st := other.status(t, id); st.Bared || st.Image != second.Image {
		t.Errorf("restored it is %+v", st)
	}
	other.reads(t, id, "file", "second")
	must(t, "start what was restored", other.Start(limited(t), 1, id))
	if other.commands() != nil {
		other.prints(t, id, 1, "cat kept file", "alwayssecond")
	}
	third := other.saved(t, id, "s3", "s2")
	swept := other.Driver.(runtime.Saver)
	for range 2 {
		must(t, "sweep", swept.SweepSaves(limited(t), id, []string{"s3"}))
	}
	spec := m.spec()
	spec.Saved = second.Save
	if err := m.Create(limited(t), 1, spec); !errors.Is(err, runtime.ErrNoSave) {
		t.Errorf("create from a save that was swept: %v", err)
	}
	last := m.begun(t, m.spec(), third.Save)
	m.reads(t, last, "file", "second")
	m.reads(t, last, "kept", "always")
	for range 2 {
		must(t, "forget", swept.ForgetSaves(limited(t), id))
	}
	holdsSaves(t, d, id, false)
}

func tellsUnsaved(t *testing.T, m *machine, d runtime.Saver) {
	id := m.created(t)
	tells := func(save string, want bool) {
		t.Helper()
		got, err := d.Unsaved(limited(t), id, save)
		must(t, "unsaved", err)
		if got != want {
			t.Errorf("unsaved since %q: %v, want %v", save, got, want)
		}
	}
	m.write(t, id, "file", "one")
	tells("s1", true)
	m.saved(t, id, "s1", "")
	tells("s1", false)
	tells("other", true)
	m.write(t, id, "file", "two")
	tells("s1", true)
	m.saved(t, id, "s2", "s1")
	tells("s2", false)
	tells("s1", true)
	if _, err := d.Unsaved(limited(t), m.spec().ID, "s1"); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("of no computer: %v", err)
	}
}

// savesBare shows that over another image the workspace alone comes back.
func savesBare(t *testing.T, m *machine, _ runtime.Saver) {
	if m.suite.OtherImage == "" {
		return
	}
	id := m.running(t)
	m.write(t, id, "file", "text")
	made := m.saved(t, id, "s", "")
	spec := m.spec()
	spec.Image = m.suite.OtherImage
	back := m.begun(t, spec, made.Save)
	if st := m.status(t, back); !st.Bared || st.Image == made.Image {
		t.Errorf("over another image it is %+v", st)
	}
	m.reads(t, back, "file", "text")
}

func savesRefused(t *testing.T, m *machine, d runtime.Saver) {
	id := m.created(t)
	if _, err := d.SaveSnapshot(limited(t), runtime.Source{Computer: id, Name: "none"}, ""); !errors.Is(err, runtime.ErrNoSnapshot) {
		t.Errorf("save of no snapshot: %v", err)
	}
	m.write(t, id, "file", string(make([]byte, 4<<20)))
	made := m.saved(t, id, "s", "")
	for name, tt := range map[string]struct {
		change func(*runtime.Spec)
		want   error
	}{
		"an unknown name":     {func(s *runtime.Spec) { s.Saved.Name = "other" }, runtime.ErrNoSave},
		"an unknown computer": {func(s *runtime.Spec) { s.Saved.Computer = "nobody" }, runtime.ErrNoSave},
		"no name":             {func(s *runtime.Spec) { s.Saved.Name = "" }, runtime.ErrInvalid},
		"a way out":           {func(s *runtime.Spec) { s.Saved.Name = "../s" }, runtime.ErrInvalid},
		"a snapshot too":      {func(s *runtime.Spec) { s.From = runtime.Source(made.Save) }, runtime.ErrInvalid},
		"too little storage":  {func(s *runtime.Spec) { s.Resources.StorageBytes = 2 << 20 }, runtime.ErrInvalid},
	} {
		spec := m.spec()
		spec.Saved = made.Save
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
