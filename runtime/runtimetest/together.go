package runtimetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// callers act at once on one computer, so many times each.
	callers       = 6
	roundsOfCalls = 3
	// neighbours are computers that are made, started and removed at once.
	neighbours = 6
)

// together starts and stops one computer from many sides: every call is
// success, and what is true afterwards is what the last call says.
func together(t *testing.T, m *machine) {
	id := m.created(t)
	spec := m.status(t, id).Spec
	ctx := limited(t)
	atOnce(t, callers, func(caller int) error {
		for range roundsOfCalls {
			if err := m.Create(ctx, 1, spec); err != nil {
				return fmt.Errorf("create: %w", err)
			}
			act := func() error { return m.Start(ctx, 1, id) }
			if caller%2 == 1 {
				act = func() error { return m.Stop(ctx, 1, id, grace) }
			}
			if err := act(); err != nil {
				return err
			}
			if status, err := m.Inspect(ctx, id); err != nil || !slices.Contains(allPhases, status.Phase) {
				return fmt.Errorf("inspect in between: %+v, %w", status, err)
			}
		}
		return nil
	})
	must(t, "start", m.Start(ctx, 1, id))
	m.inPhase(t, id, runtime.Running)
	must(t, "stop", m.Stop(ctx, 1, id, grace))
	m.inPhase(t, id, runtime.Stopped)
}

var allPhases = []runtime.Phase{runtime.Created, runtime.Running, runtime.Frozen, runtime.Stopped}

func sideBySide(t *testing.T, m *machine) {
	ids := make([]runtime.ID, neighbours)
	for i := range ids {
		ids[i] = m.spec().ID
		m.removeAfter(t, ids[i])
	}
	ctx := limited(t)
	atOnce(t, neighbours, func(i int) error { return m.lives(ctx, ids[i]) })
	all, err := m.List(ctx)
	must(t, "list", err)
	if len(all) != 0 {
		t.Errorf("left over: %+v", all)
	}
}

// lives is one computer's whole life.
func (m *machine) lives(ctx context.Context, id runtime.ID) error {
	spec := m.suite.Spec
	spec.ID = id
	if err := m.Create(ctx, 1, spec); err != nil {
		return err
	}
	if err := m.Start(ctx, 1, id); err != nil {
		return err
	}
	if commands := m.commands(); commands != nil {
		exit, err := commands.Exec(ctx, 1, id, runtime.Cmd{Argv: []string{"/bin/sh", "-c", "exit 4"}})
		if err != nil || exit.Code != 4 {
			return fmt.Errorf("exec: %+v, %w", exit, err)
		}
	}
	return m.Remove(ctx, 1, id)
}

// atOnce runs n callers side by side and reports each failure.
func atOnce(t *testing.T, n int, call func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := call(i); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	all.Wait()
}
