package cluster

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
)

func TestMoveArrives(t *testing.T) {
	since := time.Unix(1000, 0)
	m := move{to: state.Placement{Node: "b", Epoch: 2}, since: since}
	on := func(change func(*state.Computer)) state.Computer {
		c := state.Computer{Node: "b", Epoch: 2, Live: 1, Phase: state.Running, StartedAt: since.Add(-time.Minute)}
		change(&c)
		return c
	}
	tests := map[string]struct {
		c    state.Computer
		want bool
	}{
		"still shown as its last owner left it": {on(func(*state.Computer) {}), false},
		"starting":                              {on(func(c *state.Computer) { c.Phase = state.Starting }), false},
		"started by its new owner":              {on(func(c *state.Computer) { c.StartedAt = since.Add(time.Second) }), true},
		"failed":                                {on(func(c *state.Computer) { c.Phase = state.Failed }), true},
		"moved on":                              {on(func(c *state.Computer) { c.Epoch = 3 }), true},
		"nothing runs on it any more":           {on(func(c *state.Computer) { c.Live = 0 }), true},
	}
	for name, tt := range tests {
		if got := m.arrived(tt.c); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBusyNodesAreFull(t *testing.T) {
	moving := map[state.ComputerID]move{}
	for i := range maxMoves {
		moving[state.ComputerID(rune('a'+i))] = move{to: state.Placement{Node: "b"}}
	}
	moving["other"] = move{to: state.Placement{Node: "c"}}
	if full := busy(moving); !full["b"] || full["c"] {
		t.Fatalf("full: %v", full)
	}
}

func TestClaimsSpreadAndFade(t *testing.T) {
	clock := &fakeClock{}
	cs := newClaims(clock)
	nodes := func() []placement.Node {
		return []placement.Node{
			{ID: "a", Leased: true, Known: true, FreeMemoryBytes: 8 << 10, FreeDiskBytes: 8 << 10},
			{ID: "b", Leased: true, Known: true, FreeMemoryBytes: 8 << 10, FreeDiskBytes: 8 << 10},
		}
	}
	place := func(id string) state.NodeID {
		to, _, _ := cs.choose(nodes(), placement.Need{Computer: state.ComputerID(id), MemoryBytes: 8<<10 - 1})
		return to
	}
	first, second := place("one"), place("two")
	if first == second || place("three") != "" {
		t.Fatalf("placed on %s and %s, and a third found room", first, second)
	}
	cs.undo(second, "two")
	if got := place("four"); got != second {
		t.Fatalf("after a claim was undone: %q", got)
	}
	clock.boot += claimShows + 1
	if got := place("five"); got == "" {
		t.Fatal("claims that the nodes' figures show by now are still counted")
	}
}
