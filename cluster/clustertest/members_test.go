package clustertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

func TestWipedDirectoryUnderAnOldNameIsRefused(t *testing.T) {
	c := New(t, 2, Options{})
	c.Kill(1)
	if _, err := c.TryAdd(c.Node(1).Name); fault.Of(err) != fault.Conflict {
		t.Fatalf("an empty directory under the name of a member: %v", err)
	}
	refused := &Node{Name: "anew", Dir: filepath.Join(c.dir, "3-"+c.Node(1).Name)} // TryAdd's
	if err := c.open(refused, nil); !errors.Is(err, cluster.ErrHalfJoined) {
		t.Fatalf("a directory that was not let in, without a token: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(c.Node(1).Dir, "raft")))
	if err := c.open(c.Node(1), nil); !errors.Is(err, cluster.ErrLogGone) {
		t.Fatalf("an identity without its log: %v", err)
	}
}

func TestDeadVoterIsReplaced(t *testing.T) {
	c := New(t, 4, Options{})
	c.Voters(0, 3)
	leader := c.Leader()
	dead := -1
	for i, n := range c.all() {
		if i != leader && c.votes(leader, n) {
			dead = i
			break
		}
	}
	c.Kill(dead)
	c.Eventually("another votes in place of the dead one", func() bool {
		i := c.Leader(dead)
		return !c.votes(i, c.Node(dead)) && c.countVoters(i) == 3
	})
	must(t, newAgent(within(t, Patience), c.Node(c.Leader(dead)), "agent_1"))
	c.Start(dead)
	c.WaitReady(dead)
	c.Voters(c.Leader(), 3)
}

// votes reports whether node i sees n as a voter.
func (c *Nodes) votes(i int, n *Node) bool {
	s, err := c.Node(i).Status(within(c.t, Patience))
	if err != nil {
		return false
	}
	for _, row := range s.Nodes {
		if row.ID == n.ID {
			return row.Voter
		}
	}
	return false
}

func TestLeave(t *testing.T) {
	c := New(t, 4, Options{})
	c.Voters(0, 3)
	leader := c.Leader()
	must(t, c.Node(leader).Leave(within(t, Patience)))
	gone := c.Node(leader)
	c.Stop(leader)
	next := c.Leader(leader)
	c.Voters(next, 3)
	if rec := c.Record(next, gone.ID); rec.ID != "" {
		t.Fatalf("the node that left still has a record: %+v", rec)
	}
	if err := c.open(gone, nil); err == nil {
		defer c.Stop(leader)
		c.Eventually("a node that left serves no more", func() bool { return !gone.Ready() })
	}
	must(t, newAgent(within(t, Patience), c.Node(next), "agent_1"))
}

func TestTheLastNodesLeave(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	dead := c.Follower()
	c.Kill(dead)
	rest := c.Leader(dead)
	must(t, c.Node(rest).Remove(within(t, Patience), c.Node(dead).ID))
	c.Voters(rest, 1)
	other := c.Follower(dead)
	must(t, c.Node(other).Leave(within(t, Patience)))
	c.Stop(other)
	last := c.Leader(dead, other)
	if err := c.Node(last).Leave(within(t, Patience)); fault.Of(err) != fault.Conflict {
		t.Fatalf("the last node leaves: %v", err)
	}
	c.WaitReady(last)
	must(t, newAgent(within(t, Patience), c.Node(last), "agent_1"))
}

func TestTokenIsUsedOnce(t *testing.T) {
	c := New(t, 1, Options{})
	token, err := c.Node(0).NewToken(within(t, Patience))
	must(t, err)
	for i, want := range []fault.Kind{"", fault.Unauthorized} {
		n := &Node{Index: i + 1, Name: "m" + string(rune('1'+i)), Dir: filepath.Join(c.dir, "m"+string(rune('1'+i)))}
		err := c.open(n, &token)
		if err == nil {
			defer func() { must(t, n.identity.Close()) }()
			defer func() { must(t, n.Close()) }()
		}
		if want == "" {
			must(t, err)
		} else if fault.Of(err) != want {
			t.Fatalf("a token used twice: %v", err)
		}
	}
}

// TestANodeIsFoundWhereRumourHasIt has a voter come back at another address while one
// more is away. The third alone has the newest records, so it has to lead, by the vote
// of one whose old address they tell and whose new one they cannot: nobody leads.
func TestANodeIsFoundWhereRumourHasIt(t *testing.T) {
	var at sync.Map // where each node is, as gossip tells
	c := New(t, 3, Options{Node: func(_ int, o *cluster.Options) {
		at.Store(o.Identity.Node(), o.Addrs.Peer)
		o.Resolve = func(id state.NodeID) (string, bool) {
			addr, ok := at.Load(id)
			return fmt.Sprint(addr), ok
		}
	}})
	c.Voters(0, 3)
	c.Stop(0)
	must(t, newAgent(within(t, Patience), c.Node(1), "agent_before"))
	c.Kill(2)
	c.Start(0)
	c.WaitReady(0)
	must(t, newAgent(within(t, Patience), c.Node(0), "agent_after"))
}
