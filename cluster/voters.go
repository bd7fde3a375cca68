package cluster

import (
	"cmp"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// server is a node as the voter rules see it.
type server struct {
	ID       state.NodeID
	Member   bool          // has a record, and is not leaving
	InRaft   bool          // in raft's configuration
	Voter    bool          // votes in it
	Leader   bool          // leads: it is the one that decides
	Silent   time.Duration // since it last answered the leader; 0 answers now
	CaughtUp bool          // has applied what was committed a moment ago
	Draining bool          // may vote, and should not lead
}

// step is one change of raft's configuration.
type step struct {
	Do   stepKind
	Node state.NodeID
}

type stepKind string

const (
	stepNone     stepKind = ""
	stepAdd      stepKind = "add"      // as a non-voter
	stepPromote  stepKind = "promote"  // a non-voter votes
	stepDemote   stepKind = "demote"   // a voter no longer votes
	stepRemove   stepKind = "remove"   // from the configuration
	stepTransfer stepKind = "transfer" // the leader gives up: it is to go
	stepYield    stepKind = "yield"    // the leader drains: this voter leads
)

// votersFor is how many of n members vote. Two would stop as soon as one does,
// and more than five make each write wait for more disks and stand no more
// faults worth having.
func votersFor(n int) int {
	switch {
	case n < 3:
		return 1
	case n < 7:
		return 3
	default:
		return 5
	}
}

// live is a server that answers; dead one that has been silent for long enough
// to be replaced.
const liveWithin = 2 * time.Second

func (s server) live() bool { return s.Leader || s.Silent <= liveWithin }

// nextStep is the one change that brings the voters nearer to the rules, or
// none. It never makes a change after which the live voters are no majority.
//
//	a member unknown to raft              add it as a non-voter
//	too few voters, or one dead too long  promote a caught-up live non-voter
//	too many voters                       demote: leaving first, dead next, the leader last
//	the leader is to go                   it transfers the leadership
//	no member any more, does not vote     remove it
//	the leader drains                     a caught-up live voter that does not leads
func nextStep(servers []server, dead time.Duration) step {
	for _, s := range servers {
		if s.Member && !s.InRaft {
			return step{stepAdd, s.ID}
		}
	}
	members, voters := 0, []server{}
	for _, s := range servers {
		if s.Member {
			members++
		}
		if s.InRaft && s.Voter {
			voters = append(voters, s)
		}
	}
	want, good := votersFor(members), 0
	for _, v := range voters {
		if v.Member && (v.live() || v.Silent < dead) {
			good++
		}
	}
	if !majority(voters, 0, 0) {
		return step{} // nothing is changed while the voters are not well
	}
	if good < want && len(voters) < want+1 {
		if s, ok := candidate(servers); ok && majority(voters, 1, 1) {
			return step{stepPromote, s.ID}
		}
	}
	if s := shed(voters, want, good, dead); s.Do != stepNone {
		return s
	}
	for _, s := range servers {
		if !s.Member && s.InRaft && !s.Voter && !s.Leader {
			return step{stepRemove, s.ID}
		}
	}
	return yield(servers)
}

// yield has another voter lead in place of one that drains. With all of them
// draining one has to.
func yield(servers []server) step {
	leads := slices.ContainsFunc(servers, func(s server) bool { return s.Leader && s.Draining })
	i := slices.IndexFunc(servers, func(s server) bool {
		return s.Member && s.Voter && !s.Leader && !s.Draining && s.live() && s.CaughtUp
	})
	if !leads || i < 0 {
		return step{}
	}
	return step{stepYield, servers[i].ID}
}

// majority reports whether the live voters, with so many more live and so many
// more in all, are a majority.
func majority(voters []server, moreLive, more int) bool {
	live := moreLive
	for _, v := range voters {
		if v.live() {
			live++
		}
	}
	return live > (len(voters)+more)/2
}

// candidate is a non-voter that could vote at once; one that drains, and may be
// stopped soon, only where there is no other.
func candidate(servers []server) (found server, ok bool) {
	for _, s := range servers {
		if s.Member && s.InRaft && !s.Voter && s.live() && s.CaughtUp && (!ok || found.Draining && !s.Draining) {
			found, ok = s, true
		}
	}
	return found, ok
}

// shed chooses the voter that should not vote, if there is one.
func shed(voters []server, want, good int, dead time.Duration) step {
	rank := func(s server) int { // lowest goes first
		switch {
		case !s.Member && !s.live():
			return 0
		case !s.Member:
			return 1
		case s.Silent >= dead:
			return 2
		case !s.live():
			return 3
		case s.Leader:
			return 5
		default:
			return 4
		}
	}
	order := slices.SortedFunc(slices.Values(voters), func(a, b server) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.ID, a.ID))
	})
	for _, v := range order {
		leaving := !v.Member && good > 0 // somebody else can vote
		if len(voters) <= want && !leaving {
			continue
		}
		if v.Leader && !leaving || len(voters) == 1 {
			continue
		}
		if v.Leader {
			return step{stepTransfer, v.ID}
		}
		rest := slices.DeleteFunc(slices.Clone(voters), func(s server) bool { return s.ID == v.ID })
		if majority(rest, 0, 0) {
			return step{stepDemote, v.ID}
		}
	}
	return step{}
}
