package placement

import (
	"cmp"
	"slices"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Resident is a computer where it is now.
type Resident struct {
	Need
	Node    state.NodeID
	Up      bool
	Trouble int // what a move costs who uses it; the least goes first
}

// Move is one computer's way from where it is to where it is better placed.
type Move struct {
	Computer state.ComputerID `cbor:"1,keyasint"`
	From     state.NodeID     `cbor:"2,keyasint"`
	To       state.NodeID     `cbor:"3,keyasint"`
}

// slackPercent is by how much of the mean two nodes may differ before anything
// moves between them, so that nothing goes to and fro.
const slackPercent = 20

// coldShare is which part of its size a computer that is down counts for: it will
// be wanted again, most of them not at once.
const coldShare = 16

// weight is what a resident counts for where it is, in bytes of memory.
func (r Resident) weight() int64 {
	if r.Up {
		return max(r.MemoryBytes, 1)
	}
	return max(r.MemoryBytes/coldShare, 1)
}

// Rebalance chooses at most so many moves that bring the nodes nearer to having
// equal shares of all computers' memory: from the fullest node to the emptiest
// that can take one, as long as they differ by more than the slack and by more
// than the move would turn around. It is the same for the same arguments, in any
// order.
func Rebalance(nodes []Node, residents []Resident, most int) []Move {
	var places []Node
	for _, n := range nodes {
		if n.Leased && !n.Draining && !n.Full {
			places = append(places, n)
		}
	}
	slices.SortFunc(places, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	load, total := map[state.NodeID]int64{}, int64(0)
	for _, r := range residents {
		load[r.Node] += r.weight()
		total += r.weight()
	}
	if len(places) < 2 {
		return nil
	}
	slack := total / int64(len(places)) * slackPercent / 100
	left := slices.Clone(residents)
	slices.SortFunc(left, func(a, b Resident) int {
		return cmp.Or(cmp.Compare(a.Trouble, b.Trouble), cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.Computer, b.Computer))
	})
	var moves []Move
	for len(moves) < most {
		i, to := better(places, left, load, slack)
		if i < 0 {
			break
		}
		r := left[i]
		left = slices.Delete(left, i, i+1)
		load[r.Node] -= r.weight()
		load[places[to].ID] += r.weight()
		places[to].ClaimedMemory += r.MemoryBytes
		places[to].ClaimedDisk += r.DiskBytes
		moves = append(moves, Move{r.Computer, r.Node, places[to].ID})
	}
	return moves
}

// better finds the next move: which resident, and to which place; -1 for none.
func better(places []Node, left []Resident, load map[state.NodeID]int64, slack int64) (resident, to int) {
	byLoad := make([]int, len(places)) // the fullest first
	for i := range places {
		byLoad[i] = i
	}
	slices.SortStableFunc(byLoad, func(a, b int) int { return cmp.Compare(load[places[b].ID], load[places[a].ID]) })
	for _, from := range byLoad {
		for _, to := range slices.Backward(byLoad) {
			gap := load[places[from].ID] - load[places[to].ID]
			if gap <= slack {
				break // nor is it more with the next
			}
			for i, r := range left {
				need := r.Need
				need.From, need.Prefer, need.Only = r.Node, "", ""
				if r.Node == places[from].ID && 2*r.weight() <= gap && unfit(places[to], need) == "" {
					return i, to
				}
			}
		}
	}
	return -1, -1
}
