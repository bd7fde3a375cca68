package clustertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// TestADrainingLeaderStaysAVoter drains the leader: another one leads, nothing is
// placed on it, and it votes on, also after a restart.
func TestADrainingLeaderStaysAVoter(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	drained := c.Leader()
	at := c.Node(c.Follower())
	for _, id := range []string{"comp-a", "comp-b", "comp-c", "comp-d"} {
		newEnvironment(t, at, "env_"+id, id)
	}
	apply := func(cmd state.Command) {
		t.Helper()
		_, err := at.Apply(within(t, Patience), cmd)
		must(t, err)
	}
	apply(state.DrainNode{Node: c.Node(drained).ID})
	c.Eventually("another node leads", func() bool { return at.Leader() != "" && at.Leader() != c.Node(drained).ID })
	for _, id := range []state.ComputerID{"comp-a", "comp-b", "comp-c", "comp-d"} {
		p, err := at.Place(within(t, Patience), id)
		must(t, err)
		if p.Node == c.Node(drained).ID {
			t.Fatalf("%s was placed on the node that drains", id)
		}
	}
	c.Stop(drained)
	c.Start(drained)
	c.WaitReady(drained)
	c.Voters(at.Index, 3)
	if n := c.Record(at.Index, c.Node(drained).ID); !n.Draining() || at.Leader() == n.ID {
		t.Fatalf("after a restart: %+v; %s leads", n, at.Leader())
	}
	apply(state.UndrainNode{Node: c.Node(drained).ID})
}

// TestElsewhere asks where computers can go that their owner gives away.
func TestElsewhere(t *testing.T) {
	c := New(t, 2, Options{})
	newEnvironment(t, c.Node(0), "env_1", "comp-a")
	newEnvironment(t, c.Node(0), "env_2", "comp-b")
	for _, id := range []state.ComputerID{"comp-a", "comp-b"} {
		_, err := c.Node(0).Apply(within(t, Patience), state.Claim{Computer: id, Node: c.Node(0).ID})
		must(t, err)
	}
	to, err := c.Node(1).Elsewhere(within(t, Patience), "comp-a")
	if err != nil || to != c.Node(1).ID {
		t.Fatalf("to %s, %v", to, err)
	}
	_, err = c.Node(0).Apply(within(t, Patience), state.HandOver{Computer: "comp-a", Epoch: 1, To: to})
	must(t, err)
	_, err = c.Node(1).Apply(within(t, Patience), state.DrainNode{Node: c.Node(1).ID})
	must(t, err)
	_, err = c.Node(0).Elsewhere(within(t, Patience), "comp-b")
	if fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "one node gives it away, one node is draining") {
		t.Fatalf("nobody is there: %v", err)
	}
	if _, err := c.Node(0).Elsewhere(within(t, Patience), "none"); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
}

// TestADiskWithoutAStoreGoesElsewhere asks where a computer can go whose data is
// on a node that reaches no blob store. It is sent, and the next node dies: then
// it is placed where it came from, which drains.
func TestADiskWithoutAStoreGoesElsewhere(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	first := c.Node(c.Leader())
	newEnvironment(t, first, "env_1", "comp-a")
	apply := func(cmd state.Command) {
		t.Helper()
		_, err := first.Apply(within(t, Patience), cmd)
		must(t, err)
	}
	apply(state.Claim{Computer: "comp-a", Node: first.ID})
	apply(state.SetPhase{Computer: "comp-a", Epoch: 1, Phase: state.Stopped, HasData: true})
	apply(state.DrainNode{Node: first.ID})
	to, err := first.Elsewhere(within(t, Patience), "comp-a")
	if err != nil || to == first.ID {
		t.Fatalf("to %s, %v", to, err)
	}
	apply(state.GiveDisk{Computer: "comp-a", Epoch: 1, To: to, Sent: state.Sent{Name: "sent"}})
	for i := range 3 {
		if c.Node(i).ID == to {
			c.Stop(i)
		}
	}
	c.Eventually("its lease is over", func() bool { return !c.Record(first.Index, to).Leased() })
	p, err := first.Place(within(t, Patience), "comp-a")
	if err != nil || p.Node != first.ID || p.Epoch != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
}

// TestARemovedNodeFindsOut removes one node that runs and one that is away, which
// finds out when it comes back.
func TestARemovedNodeFindsOut(t *testing.T) {
	told := make(chan int, 4)
	c := New(t, 4, Options{Node: func(i int, o *cluster.Options) { o.OnRemoved = func() { told <- i } }})
	c.Voters(0, 3)
	away := c.Follower()
	here := c.Follower(away)
	c.Stop(away)
	at := c.Node(c.Leader(away))
	for _, i := range []int{away, here} {
		must(t, at.Remove(within(t, Patience), c.Node(i).ID))
	}
	must(t, c.open(c.Node(away), nil))
	for range 2 {
		select {
		case i := <-told:
			if i != away && i != here {
				t.Fatalf("node %d is a member", i)
			}
		case <-time.After(Patience):
			t.Fatal("a node that was removed does not find out")
		}
	}
}

// TestNodesThatJoinGetComputers has a fourth and a fifth node join a cluster that
// is written to all the time: they get their share of new computers, and no vote,
// since three are enough.
func TestNodesThatJoinGetComputers(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	at, made := c.Node(0), 0
	place := func(n int) map[state.NodeID]int {
		t.Helper()
		on := map[state.NodeID]int{}
		for range n {
			made++
			id := fmt.Sprintf("comp-%d", made)
			newEnvironment(t, at, "env_"+id, id)
			p, err := at.Place(within(t, Patience), state.ComputerID(id))
			must(t, err)
			on[p.Node]++
		}
		return on
	}
	place(9)
	stop := make(chan struct{})
	var wrote, failed atomic.Int64
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if newAgent(context.Background(), at, fmt.Sprint("agent_", i)) != nil {
				failed.Add(1)
			}
			wrote.Add(1)
		}
	})
	for i := range 2 {
		c.Add()
		c.WaitReady(3 + i)
	}
	c.Eventually("the new nodes hold leases", func() bool {
		return c.Record(0, c.Node(3).ID).Leased() && c.Record(0, c.Node(4).ID).Leased()
	})
	on := place(25)
	close(stop)
	writing.Wait()
	if on[c.Node(3).ID] < 3 || on[c.Node(4).ID] < 3 {
		t.Fatalf("placed %v", on)
	}
	if wrote.Load() == 0 || failed.Load() > 0 {
		t.Fatalf("%d of %d writes failed while nodes joined", failed.Load(), wrote.Load())
	}
	c.Voters(0, 3)
}
