package cluster

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
)

const minute = time.Minute

// row reads servers from words such as "a:leader" "b:voter,dead" "c:non"
// "d:new" "e:voter,leaving".
func row(words ...string) (out []server) {
	for _, w := range words {
		s := server{ID: state.NodeID(w[:1]), Member: true, InRaft: true, CaughtUp: true}
		for _, is := range splitWords(w[2:]) {
			switch is {
			case "leader":
				s.Voter, s.Leader = true, true
			case "voter":
				s.Voter = true
			case "non":
			case "new":
				s.InRaft = false
			case "dead":
				s.Silent, s.CaughtUp = 2*minute, false
			case "silent":
				s.Silent, s.CaughtUp = 10*time.Second, false
			case "behind":
				s.CaughtUp = false
			case "leaving":
				s.Member = false
			case "draining":
				s.Draining = true
			default:
				panic(is)
			}
		}
		out = append(out, s)
	}
	return out
}

func splitWords(s string) (out []string) {
	word := ""
	for _, r := range s + "," {
		if r == ',' {
			out, word = append(out, word), ""
		} else {
			word += string(r)
		}
	}
	return out
}

func TestNextStep(t *testing.T) {
	tests := map[string]struct {
		servers []server
		want    step
	}{
		"one node votes alone":                           {row("a:leader"), step{}},
		"a new node is added":                            {row("a:leader", "b:new"), step{stepAdd, "b"}},
		"of two nodes one votes":                         {row("a:leader", "b:non"), step{}},
		"of three nodes three vote, one at a time":       {row("a:leader", "b:non", "c:non"), step{stepPromote, "b"}},
		"the third follows":                              {row("a:leader", "b:voter", "c:non"), step{stepPromote, "c"}},
		"one that is behind waits":                       {row("a:leader", "b:non,behind", "c:non"), step{stepPromote, "c"}},
		"one that is silent is not promoted":             {row("a:leader", "b:voter", "c:non,silent"), step{}},
		"a draining voter keeps its vote":                {row("a:leader", "b:voter,draining", "c:voter", "d:non"), step{}},
		"a draining leader has another one lead":         {row("a:leader,draining", "b:voter,draining", "c:voter"), step{stepYield, "c"}},
		"not one that is behind":                         {row("a:leader,draining", "b:voter,behind", "c:voter,silent"), step{}},
		"nor one without a vote":                         {row("a:leader,draining", "b:non"), step{}},
		"one that drains is promoted last":               {row("a:leader", "b:non,draining", "c:non"), step{stepPromote, "c"}},
		"but it is":                                      {row("a:leader", "b:voter", "c:non,draining"), step{stepPromote, "c"}},
		"four nodes have three voters":                   {row("a:leader", "b:voter", "c:voter", "d:non"), step{}},
		"seven have five":                                {row("a:leader", "b:voter", "c:voter", "d:non", "e:non", "f:non", "g:non"), step{stepPromote, "d"}},
		"a dead voter gets a replacement first":          {row("a:leader", "b:voter", "c:voter,dead", "d:non"), step{stepPromote, "d"}},
		"and is demoted then":                            {row("a:leader", "b:voter", "c:voter,dead", "d:voter"), step{stepDemote, "c"}},
		"one silent for a moment is not replaced":        {row("a:leader", "b:voter", "c:voter,silent", "d:non"), step{}},
		"without a caught-up non-voter nothing happens":  {row("a:leader", "b:voter", "c:voter,dead", "d:non,behind"), step{}},
		"without a live majority nothing happens":        {row("a:leader", "b:voter,dead", "c:voter,dead", "d:non"), step{}},
		"back to two nodes, one voter: the first demote": {row("a:leader", "b:voter", "c:voter,leaving"), step{stepDemote, "c"}},
		"then the other":                                 {row("a:leader", "b:voter"), step{stepDemote, "b"}},
		"a leaving voter is replaced first":              {row("a:leader", "b:voter", "c:voter,leaving", "d:non"), step{stepPromote, "d"}},
		"a leaving voter goes then":                      {row("a:leader", "b:voter", "c:voter,leaving", "d:voter"), step{stepDemote, "c"}},
		"a leaving non-voter is removed":                 {row("a:leader", "b:non,leaving"), step{stepRemove, "b"}},
		"a leaving leader has another vote first":        {row("a:leader,leaving", "b:non"), step{stepPromote, "b"}},
		"a leaving leader hands over":                    {row("a:leader,leaving", "b:voter"), step{stepTransfer, "a"}},
		"the last node cannot leave":                     {row("a:leader,leaving"), step{}},
		"three voters, the leader leaves":                {row("a:leader,leaving", "b:voter", "c:voter"), step{stepTransfer, "a"}},
		"a dead voter that left is demoted":              {row("a:leader", "b:voter", "c:voter,dead,leaving"), step{stepDemote, "c"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := nextStep(tt.servers, minute); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestStepsSettle does what nextStep says until it says nothing, from any
// beginning, and checks that every step leaves a live majority and that the
// end is what the rules ask for.
func TestStepsSettle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		servers := []server{{ID: "a", Member: true, InRaft: true, Voter: true, Leader: true, CaughtUp: true, Draining: rapid.Bool().Draw(rt, "leader drains")}}
		for i := range rapid.IntRange(0, 9).Draw(rt, "others") {
			s := server{ID: state.NodeID(fmt.Sprint(i)), Member: rapid.IntRange(0, 4).Draw(rt, "member") > 0}
			s.InRaft = !s.Member || rapid.Bool().Draw(rt, "in raft")
			s.Voter = s.InRaft && rapid.Bool().Draw(rt, "voter")
			if rapid.IntRange(0, 3).Draw(rt, "health") == 0 {
				s.Silent = 2 * minute
			}
			s.CaughtUp = s.Silent == 0
			s.Draining = rapid.IntRange(0, 3).Draw(rt, "draining") == 0
			servers = append(servers, s)
		}
		well := healthy(servers)
		for n := 0; ; n++ {
			st := nextStep(servers, minute)
			if st.Do == stepNone {
				break
			}
			if n > 40 {
				rt.Fatalf("the steps do not end: %+v", servers)
			}
			before := healthy(servers)
			servers = take(servers, st)
			if before && !healthy(servers) {
				rt.Fatalf("%+v leaves no live majority: %+v", st, servers)
			}
		}
		if well {
			settled(rt, servers)
		}
	})
}

func healthy(servers []server) bool {
	var voters []server
	for _, s := range servers {
		if s.Voter && s.InRaft {
			voters = append(voters, s)
		}
	}
	return majority(voters, 0, 0)
}

// take does a step.
func take(servers []server, st step) (out []server) {
	for _, s := range servers {
		s.Leader = s.Leader && st.Do != stepYield || st.Do == stepYield && s.ID == st.Node
		if s.ID == st.Node {
			switch st.Do {
			case stepAdd:
				s.InRaft = true
			case stepPromote:
				s.Voter = true
			case stepDemote:
				s.Voter = false
			case stepRemove:
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// settled checks what the rules ask for where nothing stands in the way.
func settled(rt *rapid.T, servers []server) {
	members, voters, liveMembers := 0, 0, 0
	for _, s := range servers {
		if s.Member {
			members++
			if s.live() {
				liveMembers++
			}
		}
		if s.Voter {
			voters++
		}
		if s.Member && !s.InRaft {
			rt.Fatalf("%s was not added", s.ID)
		}
	}
	for _, s := range servers { // a leave waits while its vote is needed
		if !s.Member && s.InRaft && s.live() && liveMembers >= votersFor(members) {
			rt.Fatalf("%s was not removed: %+v", s.ID, servers)
		}
	}
	if want := votersFor(members); liveMembers >= want && voters != want {
		rt.Fatalf("%d voters of %d members, want %d: %+v", voters, members, want, servers)
	}
}
