package clustertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// TestMajorityLost cuts a node off: it reads what it has and says that it is
// old, refuses to write, and stops acting; healed, it goes on.
func TestMajorityLost(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	must(t, newAgent(within(t, Patience), c.Node(0), "agent_before"))
	lone := c.Leader()
	n := c.Node(lone)
	c.Isolate(lone)
	begun := time.Now()
	_, err := n.Read(within(t, Patience))
	if !errors.Is(err, cluster.ErrNoLeader) || fault.Of(err) != fault.Unavailable {
		t.Fatalf("a read without a majority: %v", err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Fatalf("it took %v to say that there is no leader", took)
	}
	c.Eventually("reads are refused at once", func() bool {
		begun := time.Now()
		_, err := n.Read(within(t, Patience))
		return errors.Is(err, cluster.ErrNoLeader) && time.Since(begun) < 100*time.Millisecond
	})
	v, err := n.Stale()
	must(t, err)
	if _, err := v.Agent(Account, "agent_before"); err != nil {
		t.Fatalf("a stale read: %v", err)
	}
	v.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := newAgent(ctx, n, "agent_lost"); fault.Of(err) != fault.Unavailable {
		t.Fatalf("a write without a majority: %v", err)
	}
	c.Eventually("the lone node stops acting", func() bool { return !n.LeaseHeld() })
	must(t, newAgent(within(t, Patience), c.Node(c.Leader(lone)), "agent_after"))
	c.Heal()
	c.WaitReady(lone)
	v, err = n.Read(within(t, Patience))
	must(t, err)
	defer v.Close()
	if _, err := v.Agent(Account, "agent_after"); err != nil {
		t.Fatalf("after healing: %v", err)
	}
}

// TestOneWayCutIsSurvived cuts only what one follower sends; the cluster goes
// on and the follower catches up.
func TestOneWayCutIsSurvived(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	mute := c.Follower()
	for _, id := range c.IDs() {
		if id != c.Node(mute).ID {
			c.Links.Cut(c.Node(mute).ID, id)
		}
	}
	for i := range 3 {
		if i != mute {
			must(t, newAgent(within(t, Patience), c.Node(i), "agent_"+c.Node(i).Name))
		}
	}
	c.Heal()
	must(t, newAgent(within(t, Patience), c.Node(mute), "agent_mute"))
}

// TestStopAndStartAll restarts every node at once, on new ports: the records
// are there, and the nodes find each other again.
func TestStopAndStartInTurn(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	lives := map[state.NodeID]uint64{}
	for i := range 3 {
		must(t, newAgent(within(t, Patience), c.Node(i), "agent_"+c.Node(i).Name))
		lives[c.Node(i).ID] = c.Node(i).Incarnation()
	}
	for i := range 3 {
		c.Stop(i)
		c.Start(i)
		c.WaitReady(i)
		n := c.Node(i)
		if got := n.Incarnation(); got <= lives[n.ID] {
			t.Fatalf("node %d is in incarnation %d after %d", i, got, lives[n.ID])
		}
		v, err := n.Read(within(t, Patience))
		must(t, err)
		list, err := v.Agents(Account, state.Page{Limit: 10}, nil)
		v.Close()
		if err != nil || list.Total != 3 {
			t.Fatalf("node %d counts %d, %v", i, list.Total, err)
		}
		must(t, newAgent(within(t, Patience), n, "again_"+n.Name))
		must(t, deleteAgent(within(t, Patience), n, "again_"+n.Name))
	}
}

func deleteAgent(ctx context.Context, n *Node, id string) error {
	_, err := n.Apply(ctx, state.DeleteAgent{Account: Account, ID: state.AgentID(id)})
	return err
}

// TestLateNodeGetsASnapshot stops a follower until the log no longer reaches
// back to it, and starts it again; a new node gets the same.
func TestLateNodeGetsASnapshot(t *testing.T) {
	c := New(t, 3, Options{Node: func(_ int, o *cluster.Options) { o.SnapshotEntries, o.TrailingEntries = 16, 4 }})
	c.Voters(0, 3)
	late := c.Follower()
	c.Kill(late)
	n := c.Node(c.Leader(late))
	for i := range 60 {
		_, err := n.Apply(within(t, Patience), credit(fmt.Sprintf("rec_%d", i)))
		must(t, err)
	}
	for i := range 3 {
		if i != late {
			must(t, c.Node(i).Snapshot())
			must(t, c.Node(i).Snapshot())
		}
	}
	_, err := n.Apply(within(t, Patience), credit("rec_60"))
	must(t, err)
	c.Start(late)
	c.WaitReady(late)
	if got := balance(t, c.Node(late)); got != 61 {
		t.Fatalf("the late node counts %d", got)
	}
	_, err = c.Node(late).Apply(within(t, Patience), credit("rec_61"))
	must(t, err)
	added := c.Add()
	c.WaitReady(added.Index)
	if got := balance(t, added); got != 62 {
		t.Fatalf("the new node counts %d", got)
	}
}

// TestWatchersAreWoken watches a record through another node than it is made at.
func TestWatchersAreWoken(t *testing.T) {
	c := New(t, 2, Options{})
	all := c.Node(1).Watch(func(ch state.Change) bool { return ch.Noun == state.ChangedEnvironment })
	defer all.Close()
	one := c.Node(1).WatchRecord(state.ChangedEnvironment, "env_2")
	defer one.Close()
	for _, id := range []string{"env_1", "env_2"} {
		newEnvironment(t, c.Node(0), id, "comp_"+id)
	}
	for what, w := range map[string]*cluster.Watcher{"all": all, "one": one} {
		seen := map[string]bool{}
		c.Eventually("the watcher of "+what+" is woken", func() bool {
			select {
			case <-w.Wake():
			default:
				return false
			}
			changes, _ := w.Take()
			for _, ch := range changes {
				seen[ch.ID] = true
			}
			return seen["env_2"]
		})
		if seen["env_1"] == (what == "one") {
			t.Fatalf("the watcher of %s saw %v", what, seen)
		}
	}
}

func newEnvironment(t testing.TB, n *Node, env, computer string) {
	t.Helper()
	_, err := n.Apply(within(t, Patience), state.CreateEnvironment{
		Environment: state.Environment{ID: state.EnvironmentID(env), Account: Account, Name: env},
		Computer:    state.Computer{ID: state.ComputerID(computer), MemoryBytes: 1 << 20},
	})
	must(t, err)
}
