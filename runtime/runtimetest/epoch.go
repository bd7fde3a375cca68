package runtimetest

import (
	"context"
	"errors"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// mutation is a call that carries an epoch.
type mutation struct {
	name string
	act  func(ctx context.Context, epoch runtime.Epoch) error
}

// mutations are all such calls of the driver, on one computer, in an order in
// which each can succeed on a running one.
func (m *machine) mutations(id runtime.ID) []mutation {
	spec := m.suite.Spec
	spec.ID = id
	calls := []mutation{
		{"start", func(ctx context.Context, e runtime.Epoch) error { return m.Start(ctx, e, id) }},
	}
	calls = append(calls, m.abilityCalls(id)...)
	return append(calls,
		mutation{"stop", func(ctx context.Context, e runtime.Epoch) error { return m.Stop(ctx, e, id, grace) }},
		mutation{"rebase", func(ctx context.Context, e runtime.Epoch) error {
			d, ok := m.Driver.(runtime.Rebaser)
			if !ok {
				return m.Stop(ctx, e, id, grace)
			}
			err := d.Rebase(ctx, e, id, m.suite.Spec.Image)
			if errors.Is(err, runtime.ErrInvalid) {
				return nil // it runs: the epoch was let through
			}
			return err
		}},
		mutation{"remove", func(ctx context.Context, e runtime.Epoch) error { return m.Remove(ctx, e, id) }},
		mutation{"create", func(ctx context.Context, e runtime.Epoch) error { return m.Create(ctx, e, spec) }},
	)
}

func (m *machine) abilityCalls(id runtime.ID) (calls []mutation) {
	add := func(name string, act func(context.Context, runtime.Epoch) error) {
		calls = append(calls, mutation{name, act})
	}
	if d, ok := m.Driver.(runtime.Execer); ok {
		add("exec", func(ctx context.Context, e runtime.Epoch) error {
			_, err := d.Exec(ctx, e, id, runtime.Cmd{Argv: []string{"true"}})
			return err
		})
	}
	if d, ok := m.Driver.(runtime.Thawer); ok {
		add("thaw", func(ctx context.Context, e runtime.Epoch) error { return d.Thaw(ctx, e, id) })
	}
	if d, ok := m.Driver.(runtime.Networker); ok {
		add("egress", func(ctx context.Context, e runtime.Epoch) error { return d.SetEgress(ctx, e, id, runtime.Egress{}) })
	}
	if d, ok := m.Driver.(runtime.Resizer); ok {
		add("resize", func(ctx context.Context, e runtime.Epoch) error {
			return d.Resize(ctx, e, id, runtime.Resources{MemoryBytes: 96 << 20})
		})
	}
	if d, ok := m.Driver.(runtime.Snapshotter); ok {
		add("snapshot", func(ctx context.Context, e runtime.Epoch) error {
			_, err := d.Snapshot(ctx, e, id, "of-an-epoch")
			return err
		})
	}
	if d, ok := m.Driver.(runtime.Pauser); ok {
		add("pause", func(ctx context.Context, e runtime.Epoch) error { return d.Pause(ctx, e, id) })
		add("resume", func(ctx context.Context, e runtime.Epoch) error { return d.Resume(ctx, e, id) })
	}
	if d, ok := m.Driver.(runtime.Workspacer); ok {
		add("workspace", func(ctx context.Context, e runtime.Epoch) error {
			_, err := d.Workspace(ctx, e, id)
			return err
		})
	}
	return calls
}

func epochs(t *testing.T, m *machine) {
	id := m.running(t)
	epoch := runtime.Epoch(10)
	for _, call := range m.mutations(id) {
		if call.name == "create" {
			break // after remove there is no older epoch
		}
		must(t, "a newer start", m.Start(limited(t), epoch, id))
		before := m.status(t, id)
		if before.Epoch != epoch {
			t.Errorf("epoch is %d, want %d", before.Epoch, epoch)
		}
		if err := call.act(limited(t), epoch-1); !errors.Is(err, runtime.ErrStaleEpoch) {
			t.Errorf("%s in an older epoch: got %v, want ErrStaleEpoch", call.name, err)
		}
		if err := same(before, m.status(t, id)); err != nil {
			t.Errorf("a refused %s changed the computer: %v", call.name, err)
		}
		must(t, call.name+" in the same epoch", call.act(limited(t), epoch))
		if call.name == "pause" {
			must(t, "resume", m.Driver.(runtime.Pauser).Resume(limited(t), epoch, id))
		}
		epoch++
	}
	spec := m.spec()
	must(t, "create", m.Create(limited(t), 5, spec))
	m.removeAfter(t, spec.ID)
	if err := m.Create(limited(t), 4, spec); !errors.Is(err, runtime.ErrStaleEpoch) {
		t.Errorf("create in an older epoch: got %v, want ErrStaleEpoch", err)
	}
}

func doneContexts(t *testing.T, m *machine) {
	id := m.running(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	before := m.status(t, id)
	for _, call := range m.mutations(id) {
		if err := call.act(done, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context: got %v, want context.Canceled", call.name, err)
		}
		if err := same(before, m.status(t, id)); err != nil {
			t.Errorf("%s with a done context changed the computer: %v", call.name, err)
		}
	}
}
