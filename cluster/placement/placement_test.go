package placement

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
)

const gib = 1 << 30

func node(id string, freeGiB int64, change ...func(*Node)) Node {
	n := Node{ID: state.NodeID(id), Leased: true, Known: true, FreeMemoryBytes: freeGiB * gib, FreeDiskBytes: 100 * gib}
	for _, f := range change {
		f(&n)
	}
	return n
}

func TestChoose(t *testing.T) {
	need := Need{Computer: "c", MemoryBytes: gib, DiskBytes: gib}
	with := func(f func(*Need)) Need { n := need; f(&n); return n }
	tests := map[string]struct {
		nodes []Node
		need  Need
		want  state.NodeID
		why   string
	}{
		"the one with the most free memory":   {[]Node{node("a", 4), node("b", 8)}, need, "b", ""},
		"claims in flight count":              {[]Node{node("a", 6), node("b", 8, func(n *Node) { n.ClaimedMemory = 4 * gib })}, need, "a", ""},
		"an image is worth a little room":     {[]Node{node("a", 7, func(n *Node) { n.Images = []uint64{9} }), node("b", 8)}, with(func(n *Need) { n.Image = 9 }), "a", ""},
		"but not any":                         {[]Node{node("a", 2, func(n *Node) { n.Images = []uint64{9} }), node("b", 8)}, with(func(n *Need) { n.Image = 9 }), "b", ""},
		"the zone counts":                     {[]Node{node("a", 7, func(n *Node) { n.Zone = "z" }), node("b", 8)}, with(func(n *Need) { n.Zone = "z" }), "a", ""},
		"a busy node is worth less":           {[]Node{node("a", 7), node("b", 8, func(n *Node) { n.LoadPercent = 100 })}, need, "a", ""},
		"its data's node is preferred":        {[]Node{node("a", 2), node("b", 8)}, with(func(n *Need) { n.Prefer = "a" }), "a", ""},
		"unless that has no room":             {[]Node{node("a", 0), node("b", 8)}, with(func(n *Need) { n.Prefer = "a" }), "b", ""},
		"a snapshot's node is the only one":   {[]Node{node("a", 2), node("b", 8)}, with(func(n *Need) { n.Only = "a" }), "a", ""},
		"even one that has just failed":       {[]Node{node("a", 2), node("b", 8)}, with(func(n *Need) { n.Only, n.Avoid = "a", "a" }), "a", ""},
		"and without room there, none":        {[]Node{node("a", 0), node("b", 8)}, with(func(n *Need) { n.Only = "a" }), "", "one node has not its data, one node has too little free memory"},
		"nor when it is draining":             {[]Node{node("a", 2, func(n *Node) { n.Draining = true }), node("b", 8), node("c", 8)}, with(func(n *Need) { n.Only = "a" }), "", "2 nodes have not its data, one node is draining"},
		"who restores a save must reach it":   {[]Node{node("a", 2, func(n *Node) { n.Store = "s" }), node("b", 8, func(n *Node) { n.Store = "t" }), node("c", 9)}, with(func(n *Need) { n.Store = "s" }), "a", ""},
		"who has the data need not":           {[]Node{node("a", 2, func(n *Node) { n.Store = "s" }), node("b", 1)}, with(func(n *Need) { n.Store, n.Prefer = "s", "b" }), "b", ""},
		"nobody reaches the save":             {[]Node{node("a", 2), node("b", 8)}, with(func(n *Need) { n.Store = "s" }), "", "2 nodes do not reach the blob store with its save"},
		"no lease, no computers":              {[]Node{node("a", 8, func(n *Node) { n.Leased = false })}, need, "", "one node has no lease"},
		"unless it has its newest data alone": {[]Node{node("a", 2, func(n *Node) { n.Draining = true }), node("b", 8)}, with(func(n *Need) { n.Only, n.Home = "a", "a" }), "a", ""},
		"nor do two":                          {[]Node{node("a", 8, func(n *Node) { n.Draining = true }), node("b", 8, func(n *Node) { n.Draining = true })}, need, "", "2 nodes are draining"},
		"nor who gives it away":               {[]Node{node("a", 8), node("b", 4)}, with(func(n *Need) { n.From = "a" }), "b", ""},
		"nor one that is full":                {[]Node{node("a", 8, func(n *Node) { n.Full = true })}, need, "", "one node has as much on the way to it as it may"},
		"a draining node takes nothing":       {[]Node{node("a", 8, func(n *Node) { n.Draining = true })}, need, "", "one node is draining"},
		"the node that failed is avoided":     {[]Node{node("a", 8), node("b", 4)}, with(func(n *Need) { n.Avoid = "a" }), "b", ""},
		"no memory anywhere":                  {[]Node{node("a", 0), node("b", 0)}, need, "", "2 nodes have too little free memory"},
		"no disk":                             {[]Node{node("a", 8, func(n *Node) { n.FreeDiskBytes = 0 })}, need, "", "one node has too little free disk"},
		"nothing known of the only node":      {[]Node{{ID: "a", Leased: true}}, need, "a", ""},
		"no nodes":                            {nil, need, "", "there are no nodes"},
		"reasons are counted together":        {[]Node{node("a", 0), node("b", 8, func(n *Node) { n.Leased = false })}, need, "", "one node has no lease, one node has too little free memory"},
		"without figures, fewer claims first": {[]Node{{ID: "a", Leased: true, Claims: 3}, {ID: "b", Leased: true, Claims: 1}}, need, "b", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, why, ok := Choose(tt.nodes, tt.need)
			if got != tt.want || why != tt.why || ok != (tt.want != "") {
				t.Errorf("got %q, %q, %v; want %q, %q", got, why, ok, tt.want, tt.why)
			}
		})
	}
}

// TestChooseFitsAndDoesNotDependOnOrder holds for any nodes and need.
func TestChooseFitsAndDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var nodes []Node
		for i := range rapid.IntRange(0, 12).Draw(rt, "nodes") {
			nodes = append(nodes, node(fmt.Sprint(i), rapid.Int64Range(0, 8).Draw(rt, "free"), func(n *Node) {
				n.Leased, n.Draining = rapid.Bool().Draw(rt, "leased"), rapid.Bool().Draw(rt, "draining")
				n.ClaimedMemory = rapid.Int64Range(0, 8).Draw(rt, "claimed") * gib
				n.Known = rapid.Bool().Draw(rt, "known")
			}))
		}
		need := Need{Computer: "c", MemoryBytes: rapid.Int64Range(0, 8).Draw(rt, "need") * gib}
		got, _, ok := Choose(nodes, need)
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		again, _, _ := Choose(nodes, need)
		if got != again {
			rt.Fatalf("%s, and in another order %s", got, again)
		}
		fit := 0
		for _, n := range nodes {
			fits := n.Leased && !n.Draining && (!n.Known || n.FreeMemoryBytes-n.ClaimedMemory >= need.MemoryBytes)
			if fits {
				fit++
			}
			if n.ID == got && !fits {
				rt.Fatalf("chose %+v for %+v", n, need)
			}
		}
		if ok != (fit > 0) {
			rt.Fatalf("ok is %v with %d nodes that fit", ok, fit)
		}
	})
}

// TestEqualNodesShareEvenly places many computers on nodes that are alike.
func TestEqualNodesShareEvenly(t *testing.T) {
	nodes := []Node{node("a", 64), node("b", 64), node("c", 64)}
	count := map[state.NodeID]int{}
	for i := range 600 {
		id, _, _ := Choose(nodes, Need{Computer: state.ComputerID(fmt.Sprint("c", i))})
		count[id]++
	}
	for id, n := range count {
		if n < 150 || n > 250 {
			t.Errorf("node %s got %d of 600", id, n)
		}
	}
}
