// Package runtimetest is the conformance suite of drivers: what every driver
// must do, and what one that has an ability must do with it.
//
// A driver's test calls Run, or fills a Suite to say more about itself. What
// a driver cannot show is printed by name at the start, never left out in
// silence.
package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// callLimit bounds every call of a driver in the suite.
	callLimit = time.Minute
	// grace is what a computer gets to end by itself.
	grace = 2 * time.Second
)

// Suite is what the tests need to know of a driver.
type Suite struct {
	// Open returns a driver over a machine without computers, and cleans up
	// after the test.
	Open func(t *testing.T) runtime.Driver
	// Reopen returns a second driver over the machine of the first, which is
	// used no more, as after the death of a node's process. nil: not shown.
	Reopen func(t *testing.T, d runtime.Driver) runtime.Driver
	// Beside returns the driver of another machine, without computers, that
	// reaches the blob store of a first. nil: saves are restored where they were
	// made alone.
	Beside func(t *testing.T, d runtime.Driver) runtime.Driver
	// Leftovers names what is left of a removed computer: mounts, cgroups,
	// files. nil: only the workspace is looked for.
	Leftovers func(t *testing.T, id runtime.ID) []string
	// Spec is what computers are made of; its ID is not used.
	Spec runtime.Spec
	// OtherImage is one that Spec does not name. "": not shown that a snapshot
	// is bound to its image, and that a computer can be put onto another.
	OtherImage string
	// StandsStill is set when a snapshot of a running computer takes time.
	StandsStill bool
	// NoCommands is set when Exec does not really run /bin/sh.
	NoCommands bool
	// Users are names that Cmd.User may have. nil: not shown.
	Users []string
}

// Run checks a driver that really runs commands in the image "host".
func Run(t *testing.T, open func(t *testing.T) runtime.Driver) {
	t.Helper()
	Suite{Open: open, Spec: runtime.Spec{Image: "host"}, Users: []string{"root", "node"}}.Run(t)
}

// Run checks the driver.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	s.declare(t)
	tests := []struct {
		name string
		test func(*testing.T, *machine)
	}{
		{"phases", phases},
		{"repeating is success", repeats},
		{"a start keeps the process", startKeepsProcess},
		{"unknown computers", unknown},
		{"unfit specs", unfit},
		{"list", list},
		{"older epochs are refused", epochs},
		{"done contexts", doneContexts},
		{"calls at once on one computer", together},
		{"calls at once on many computers", sideBySide},
		{"remove leaves nothing", leavesNothing},
		{"abilities", abilities},
		{"reopen", reopen},
		{"exec", execs},
		{"exec ends with its computer", execStops},
		{"files outlive a stop", filesOutlive},
		{"stop ends what ignores it", stopForces},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, &machine{suite: s, Driver: s.Open(t)}) })
	}
}

// declare prints what the driver can do and what is not shown of it.
func (s Suite) declare(t *testing.T) {
	t.Helper()
	d := s.Open(t)
	var can, missing []string
	note := func(ok bool, what string) {
		if ok {
			can = append(can, what)
		} else {
			missing = append(missing, what)
		}
	}
	_, execer := d.(runtime.Execer)
	note(execer && !s.NoCommands, "exec")
	_, ok := d.(runtime.Thawer)
	note(ok, "thaw")
	_, ok = d.(runtime.Networker)
	note(ok, "egress")
	_, ok = d.(runtime.Resizer)
	note(ok, "resize")
	_, ok = d.(runtime.Rebaser)
	note(ok, "rebase")
	_, ok = d.(runtime.Pauser)
	note(ok, "pause")
	_, ok = d.(runtime.Meterer)
	note(ok, "usage")
	_, ok = d.(runtime.Workspacer)
	note(ok, "workspace")
	_, ok = d.(runtime.Snapshotter)
	note(ok, "snapshots")
	saver, ok := d.(runtime.Saver)
	note(ok && saver.Store() != "", "saves")
	_, ok = d.(runtime.Sizer)
	note(ok, "capacity")
	note(s.Reopen != nil, "reopen")
	note(s.Beside != nil, "saves on another machine")
	note(s.Leftovers != nil, "leftovers on the machine")
	note(len(s.Users) > 0, "users")
	note(s.OtherImage != "", "snapshots bound to their image")
	t.Logf("shown: %s; NOT shown: %s", strings.Join(can, ", "), strings.Join(missing, ", "))
}

// machine is the driver under test with what the tests do often.
type machine struct {
	runtime.Driver
	suite Suite
}

// commands returns the driver's exec, or nil when commands do not really run.
func (m *machine) commands() runtime.Execer {
	execer, ok := m.Driver.(runtime.Execer)
	if !ok || m.suite.NoCommands {
		return nil
	}
	return execer
}

func (m *machine) spec() runtime.Spec {
	spec := m.suite.Spec
	spec.ID = runtime.ID(uuid.Must(uuid.NewV7()).String())
	return spec
}

// created makes a computer in epoch 1 and removes it after the test.
func (m *machine) created(t *testing.T) runtime.ID {
	t.Helper()
	spec := m.spec()
	must(t, "create", m.Create(limited(t), 1, spec))
	m.removeAfter(t, spec.ID)
	return spec.ID
}

func (m *machine) removeAfter(t *testing.T, id runtime.ID) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		if err := m.Remove(ctx, ^runtime.Epoch(0), id); err != nil {
			t.Errorf("remove after the test: %v", err)
		}
		if d, ok := m.Driver.(runtime.Snapshotter); ok {
			all, err := d.Snapshots(ctx, id)
			for _, s := range all {
				err = errors.Join(err, d.DropSnapshot(ctx, s.Source))
			}
			if err != nil {
				t.Errorf("drop snapshots after the test: %v", err)
			}
		}
	})
}

// running makes a computer in epoch 1 and starts it.
func (m *machine) running(t *testing.T) runtime.ID {
	t.Helper()
	id := m.created(t)
	must(t, "start", m.Start(limited(t), 1, id))
	return id
}

func (m *machine) status(t *testing.T, id runtime.ID) runtime.Status {
	t.Helper()
	status, err := m.Inspect(limited(t), id)
	must(t, "inspect", err)
	return status
}

func (m *machine) inPhase(t *testing.T, id runtime.ID, want runtime.Phase) runtime.Status {
	t.Helper()
	status := m.status(t, id)
	if status.Phase != want {
		t.Fatalf("phase is %s, want %s", status.Phase, want)
	}
	if runs := want == runtime.Running || want == runtime.Frozen; runs != (status.PID > 0) {
		t.Errorf("pid is %d while %s", status.PID, want)
	}
	return status
}

// limited is the test's context with the limit of one call.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// same compares what of a status a refused call must not change.
func same(a, b runtime.Status) error {
	if a.Epoch != b.Epoch || a.Phase != b.Phase || a.PID != b.PID || !reflect.DeepEqual(a.Spec, b.Spec) || a.Fresh != b.Fresh {
		return fmt.Errorf("was %+v, is %+v", a, b)
	}
	return nil
}
