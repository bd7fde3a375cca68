// Package placement chooses the node for a computer. It is a pure function of
// what is known about the nodes: the leader gathers that and proposes the
// claim, which the records accept or refuse.
package placement

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Node is a node as a place for computers. What it has free is a hint, some
// seconds old; Claimed is what was given to it since.
type Node struct {
	ID              state.NodeID
	Zone            string
	Store           string // id of the blob store that it reaches; "" is none
	Leased          bool   // holds its lease
	Draining        bool   // takes no new work
	Full            bool   // has as much on the way to it as it may
	Known           bool   // has said what it has free
	FreeMemoryBytes int64  // as it said
	FreeDiskBytes   int64
	LoadPercent     int      // of its cpus
	Images          []uint64 // that it has, as ImageKey names them
	Claims          int      // given to it and not seen in its figures yet
	ClaimedMemory   int64    // bytes, of those
	ClaimedDisk     int64
}

// Need is what a computer asks of a node.
type Need struct {
	Computer    state.ComputerID
	MemoryBytes int64
	DiskBytes   int64
	Image       uint64       // as ImageKey names it; 0 is any
	Zone        string       // preferred; "" is any
	Prefer      state.NodeID // has its data already; "" is none
	Only        state.NodeID // has its data, or the snapshot it begins as, which no other can read; "" is any
	Home        state.NodeID // has its newest data alone, so that a drain does not refuse it; "" is none
	Store       string       // blob store that its disk comes from on a node that is not Prefer; "" is none
	Avoid       state.NodeID // has just failed it, and is not Only; "" is none
	From        state.NodeID // gives it away; "" is none
}

// Why a node is not chosen.
const (
	NoData   = "has not its data"
	NoStore  = "does not reach the blob store with its save"
	NoLease  = "has no lease"
	Draining = "is draining"
	Full     = "has as much on the way to it as it may"
	Giver    = "gives it away"
	Avoided  = "has just failed"
	NoMemory = "has too little free memory"
	NoDisk   = "has too little free disk"
)

// Choose returns the best node for a need, or false and why no node will do.
// It is the same for the same arguments, in any order.
func Choose(nodes []Node, need Need) (state.NodeID, string, bool) {
	var fit []Node
	reasons := map[string]int{}
	for _, n := range nodes {
		if why := unfit(n, need); why != "" {
			reasons[why]++
			continue
		}
		if n.ID == need.Prefer {
			return n.ID, "", true
		}
		fit = append(fit, n)
	}
	if len(fit) == 0 {
		return "", explain(reasons), false
	}
	best := slices.MaxFunc(fit, func(a, b Node) int { return compare(a, b, need) })
	return best.ID, "", true
}

// unfit says why a node cannot take the computer, or "".
func unfit(n Node, need Need) string {
	switch {
	case need.Only != "" && n.ID != need.Only:
		return NoData
	case !n.Leased:
		return NoLease
	case n.ID == need.From:
		return Giver
	case need.Store != "" && n.Store != need.Store && n.ID != need.Prefer:
		return NoStore
	case n.Draining && n.ID != need.Home:
		return Draining
	case n.Full:
		return Full
	case n.ID == need.Avoid && n.ID != need.Only:
		return Avoided
	case n.Known && n.FreeMemoryBytes-n.ClaimedMemory < need.MemoryBytes:
		return NoMemory
	case n.Known && n.FreeDiskBytes-n.ClaimedDisk < need.DiskBytes:
		return NoDisk
	}
	return ""
}

func explain(reasons map[string]int) string {
	if len(reasons) == 0 {
		return "there are no nodes"
	}
	var parts []string
	for _, why := range []string{NoData, NoLease, Giver, NoStore, Draining, Full, Avoided, NoMemory, NoDisk} {
		switch n := reasons[why]; {
		case n == 1:
			parts = append(parts, "one node "+why)
		case n > 1:
			parts = append(parts, plural(n)+" nodes "+plurals.Replace(why))
		}
	}
	return strings.Join(parts, ", ")
}

// plurals turns a reason of one node into one of several.
var plurals = strings.NewReplacer("has ", "have ", "is ", "are ", "does ", "do ")

func plural(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return "many"
}

// imageWorth and zoneWorth are how much free memory, in percent of the most
// that any node has, it is worth to have the image or to be in the zone.
const (
	imageWorth = 0.30
	zoneWorth  = 0.20
	loadWorth  = 0.20
	claimWorth = 0.01
)

// compare orders two nodes that would both do. Without figures the one with
// fewer recent claims wins; ties go by a hash of node and computer, so that
// computers spread evenly.
func compare(a, b Node, need Need) int {
	most := float64(max(a.FreeMemoryBytes, b.FreeMemoryBytes, 1))
	score := func(n Node) float64 {
		s := float64(n.FreeMemoryBytes-n.ClaimedMemory)/most - loadWorth*float64(min(n.LoadPercent, 200))/100 - claimWorth*float64(n.Claims)
		if need.Image != 0 && slices.Contains(n.Images, need.Image) {
			s += imageWorth
		}
		if need.Zone != "" && n.Zone == need.Zone {
			s += zoneWorth
		}
		return s
	}
	return cmp.Or(
		cmp.Compare(score(a), score(b)),
		cmp.Compare(b.Claims, a.Claims),
		cmp.Compare(hash(a.ID, need.Computer), hash(b.ID, need.Computer)),
		cmp.Compare(a.ID, b.ID),
	)
}

func hash(n state.NodeID, c state.ComputerID) uint64 {
	return xxhash.Sum64String(string(n) + "/" + string(c))
}
