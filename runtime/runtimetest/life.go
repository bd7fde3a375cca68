package runtimetest

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

func phases(t *testing.T, m *machine) {
	id := m.created(t)
	if s := m.inPhase(t, id, runtime.Created); !s.Fresh || s.Epoch != 1 || s.ID != id || s.Spec.ID != id {
		t.Errorf("a new computer is %+v", s)
	}
	begun := time.Now().Add(-time.Second)
	must(t, "start", m.Start(limited(t), 2, id))
	if s := m.inPhase(t, id, runtime.Running); s.Fresh || s.Epoch != 2 || s.StartedAt.Before(begun) || s.Image == "" {
		t.Errorf("a started computer is %+v", s)
	}
	must(t, "stop", m.Stop(limited(t), 2, id, grace))
	if s := m.inPhase(t, id, runtime.Stopped); s.Fresh {
		t.Error("a stopped computer is fresh")
	}
	must(t, "start again", m.Start(limited(t), 3, id))
	m.inPhase(t, id, runtime.Running)
	must(t, "remove", m.Remove(limited(t), 3, id))
	if _, err := m.Inspect(limited(t), id); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("inspect after remove: %v, want ErrNotFound", err)
	}
}

func repeats(t *testing.T, m *machine) {
	spec := m.spec()
	m.removeAfter(t, spec.ID)
	twice := func(doing string, act func() error) {
		t.Helper()
		must(t, doing, act())
		must(t, doing+" again", act())
	}
	twice("create", func() error { return m.Create(limited(t), 1, spec) })
	twice("stop what never started", func() error { return m.Stop(limited(t), 1, spec.ID, grace) })
	twice("start", func() error { return m.Start(limited(t), 1, spec.ID) })
	must(t, "create what runs", m.Create(limited(t), 1, spec))
	m.inPhase(t, spec.ID, runtime.Running)
	twice("stop", func() error { return m.Stop(limited(t), 1, spec.ID, grace) })
	m.inPhase(t, spec.ID, runtime.Stopped)
	must(t, "create what stopped", m.Create(limited(t), 1, spec))
	m.inPhase(t, spec.ID, runtime.Stopped)
	twice("remove", func() error { return m.Remove(limited(t), 1, spec.ID) })
	must(t, "create after remove", m.Create(limited(t), 1, spec))
	if s := m.inPhase(t, spec.ID, runtime.Created); !s.Fresh {
		t.Error("a computer made anew is not fresh")
	}
}

func startKeepsProcess(t *testing.T, m *machine) {
	id := m.running(t)
	before := m.status(t, id)
	must(t, "start again", m.Start(limited(t), 2, id))
	after := m.status(t, id)
	if after.PID != before.PID || !after.StartedAt.Equal(before.StartedAt) {
		t.Errorf("a second start made another process: %+v, then %+v", before, after)
	}
}

func unknown(t *testing.T, m *machine) {
	id := m.spec().ID
	for _, call := range m.mutations(id) {
		switch call.name {
		case "create":
		case "remove":
			must(t, "remove what is unknown", call.act(limited(t), 1))
		default:
			if err := call.act(limited(t), 1); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", call.name, err)
			}
		}
	}
	if _, err := m.Inspect(limited(t), id); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("inspect: got %v, want ErrNotFound", err)
	}
}

func unfit(t *testing.T, m *machine) {
	for _, id := range []runtime.ID{"", "..", "../up", "a/b", "a\x00b"} {
		spec := m.spec()
		spec.ID = id
		if err := m.Create(limited(t), 1, spec); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("create %q: got %v, want ErrInvalid", id, err)
		}
	}
	spec := m.spec()
	spec.Image = "no-such-image"
	if err := m.Create(limited(t), 1, spec); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("create from no image: got %v, want ErrNoImage", err)
	}
	if _, err := m.Inspect(limited(t), spec.ID); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("inspect after a failed create: got %v, want ErrNotFound", err)
	}
}

func list(t *testing.T, m *machine) {
	want := map[runtime.ID]runtime.Phase{
		m.created(t): runtime.Created, m.running(t): runtime.Running, m.running(t): runtime.Stopped,
	}
	for id, phase := range want {
		if phase == runtime.Stopped {
			must(t, "stop", m.Stop(limited(t), 1, id, grace))
		}
	}
	all, err := m.List(limited(t))
	must(t, "list", err)
	if len(all) != len(want) {
		t.Errorf("%d computers are listed, want %d", len(all), len(want))
	}
	for _, got := range all {
		if err := same(m.status(t, got.ID), got); err != nil || want[got.ID] != got.Phase {
			t.Errorf("list and inspect differ, or the phase is wrong: %+v, %v", got, err)
		}
		must(t, "remove", m.Remove(limited(t), 1, got.ID))
	}
	all, err = m.List(limited(t))
	must(t, "list after remove", err)
	if len(all) != 0 {
		t.Errorf("removed computers are listed: %+v", all)
	}
}

func leavesNothing(t *testing.T, m *machine) {
	id := m.running(t)
	var root runtime.WorkspaceRoot
	if w, ok := m.Driver.(runtime.Workspacer); ok {
		var err error
		root, err = w.Workspace(limited(t), 1, id)
		must(t, "workspace", err)
		must(t, "write a file", os.WriteFile(root.Path+"/left", []byte("x"), 0o600))
	}
	must(t, "remove what runs", m.Remove(limited(t), 1, id))
	if root.Path != "" {
		if _, err := os.Lstat(root.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the workspace is still there: %v", err)
		}
	}
	if m.suite.Leftovers != nil {
		if left := m.suite.Leftovers(t, id); len(left) > 0 {
			t.Errorf("remove left %v", slices.Sorted(slices.Values(left)))
		}
	}
}

// reopen is what a node does that starts again: it finds what runs, and the
// epochs, and goes on.
func reopen(t *testing.T, m *machine) {
	if m.suite.Reopen == nil {
		t.Log("NOT shown: the suite has no Reopen")
		return
	}
	runs, stopped := m.running(t), m.created(t)
	must(t, "raise the epoch", m.Start(limited(t), 7, runs))
	before := m.status(t, runs)
	again := &machine{suite: m.suite, Driver: m.suite.Reopen(t, m.Driver)}
	m.Driver = again.Driver // what cleans up after the test uses the new one
	if err := same(before, again.status(t, runs)); err != nil {
		t.Errorf("a running computer changed: %v", err)
	}
	again.inPhase(t, stopped, runtime.Created)
	if err := again.Stop(limited(t), 6, runs, grace); !errors.Is(err, runtime.ErrStaleEpoch) {
		t.Errorf("an older epoch after a restart: got %v, want ErrStaleEpoch", err)
	}
	if again.commands() != nil {
		if exit, _, _ := again.sh(t, runs, 7, "exit 3"); exit.Code != 3 {
			t.Errorf("exec after a restart: %+v", exit)
		}
	}
	must(t, "stop after a restart", again.Stop(limited(t), 7, runs, grace))
}
