package placement

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
)

func resident(id, on string, memory int64, up bool) Resident {
	return Resident{Need: Need{Computer: state.ComputerID(id), MemoryBytes: memory}, Node: state.NodeID(on), Up: up}
}

func TestRebalance(t *testing.T) {
	place := func(id string, change ...func(*Node)) Node {
		n := Node{ID: state.NodeID(id), Leased: true}
		for _, c := range change {
			c(&n)
		}
		return n
	}
	var six []Resident
	for i := range 6 {
		six = append(six, resident(fmt.Sprint("c", i), "a", 100, true))
	}
	six[3].Trouble, six[4].Trouble = 2, 2
	tests := map[string]struct {
		nodes     []Node
		residents []Resident
		most      int
		want      []Move
	}{
		"one node":                       {[]Node{place("a")}, six, 9, nil},
		"a new node gets its half":       {[]Node{place("a"), place("b")}, six, 9, []Move{{"c0", "a", "b"}, {"c1", "a", "b"}, {"c2", "a", "b"}}},
		"no more than asked for":         {[]Node{place("a"), place("b")}, six, 1, []Move{{"c0", "a", "b"}}},
		"two new nodes":                  {[]Node{place("a"), place("b"), place("c")}, six, 9, []Move{{"c0", "a", "c"}, {"c1", "a", "b"}, {"c2", "a", "c"}, {"c5", "a", "b"}}},
		"one that drains gets nothing":   {[]Node{place("a"), place("b", func(n *Node) { n.Draining = true })}, six, 9, nil},
		"one without room gets nothing":  {[]Node{place("a"), place("b", func(n *Node) { n.Known = true })}, six, 9, nil},
		"nor one that cannot restore":    {[]Node{place("a"), place("b")}, []Resident{{Need: Need{Computer: "c", MemoryBytes: 1, Store: "s"}, Node: "a", Up: true}, resident("d", "a", 1, true)}, 9, []Move{{"d", "a", "b"}}},
		"what cannot even out stays":     {[]Node{place("a"), place("b")}, []Resident{resident("c", "a", 100, true)}, 9, nil},
		"those that are down count less": {[]Node{place("a"), place("b")}, []Resident{resident("c", "a", 1600, false), resident("d", "b", 100, true)}, 9, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Rebalance(tt.nodes, tt.residents, tt.most); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRebalanceComesToRest does the moves and asks again: there are none, each
// computer moved once at most, and no move made the fullest node fuller.
func TestRebalanceComesToRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var nodes []Node
		for i := range rapid.IntRange(1, 6).Draw(rt, "nodes") {
			nodes = append(nodes, Node{ID: state.NodeID(fmt.Sprint("n", i)), Leased: rapid.IntRange(0, 5).Draw(rt, "leased") > 0})
		}
		var residents []Resident
		for i := range rapid.IntRange(0, 40).Draw(rt, "residents") {
			on := rapid.SampledFrom(nodes).Draw(rt, "on").ID
			residents = append(residents, resident(fmt.Sprint("c", i), string(on), int64(rapid.IntRange(1, 64).Draw(rt, "memory")), rapid.Bool().Draw(rt, "up")))
		}
		fullest := func() (most int64) {
			load := map[state.NodeID]int64{}
			for _, r := range residents {
				load[r.Node] += r.weight()
				most = max(most, load[r.Node])
			}
			return most
		}
		before := fullest()
		moved := map[state.ComputerID]bool{}
		for _, m := range Rebalance(nodes, residents, 1000) {
			i := slices.IndexFunc(residents, func(r Resident) bool { return r.Computer == m.Computer })
			if moved[m.Computer] || residents[i].Node != m.From || m.From == m.To {
				rt.Fatalf("%+v", m)
			}
			moved[m.Computer], residents[i].Node = true, m.To
		}
		if fullest() > before {
			rt.Fatalf("the fullest node has %d; it had %d", fullest(), before)
		}
		if again := Rebalance(nodes, residents, 1000); len(again) > 0 {
			for _, m := range again {
				if !moved[m.Computer] {
					rt.Fatalf("it does not come to rest: %v", again)
				}
			}
		}
	})
}
