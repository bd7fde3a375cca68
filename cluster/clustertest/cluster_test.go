package clustertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// newAgent makes a record, through a node.
func newAgent(ctx context.Context, n *Node, id string) error {
	_, err := n.Apply(ctx, state.CreateAgent{Agent: state.Agent{ID: state.AgentID(id), Account: Account, Name: id}})
	return err
}

func TestOneNode(t *testing.T) {
	c := New(t, 1, Options{})
	n := c.Node(0)
	made, err := cluster.Apply[state.Made](within(t, Patience), n.Cluster, state.CreateAgent{Agent: state.Agent{ID: "agent_1", Account: Account, Name: "one"}})
	must(t, err)
	if made.Resource.ID != "agent_1" {
		t.Fatalf("the reply is %+v", made)
	}
	v, err := n.Read(within(t, Patience))
	must(t, err)
	defer v.Close()
	if a, err := v.Agent(Account, "agent_1"); err != nil || a.Name != "one" {
		t.Fatalf("read %+v, %v", a, err)
	}
	if !n.LeaseHeld() {
		t.Fatal("the lease is not held")
	}
}

// TestRecordsAreSeenEverywhereAtOnce creates through one node and reads through
// the others: no 404, no stale read, exact totals.
func TestRecordsAreSeenEverywhereAtOnce(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	for i := range 200 {
		id := fmt.Sprintf("agent_%03d", i)
		must(t, newAgent(within(t, Patience), c.Node(i%3), id))
		for k := range 3 {
			v, err := c.Node(k).Read(within(t, Patience))
			must(t, err)
			if _, err := v.Agent(Account, state.AgentID(id)); err != nil {
				t.Errorf("record %d through node %d: %v", i, k, err)
			}
			list, err := v.Agents(Account, state.Page{Limit: 1}, nil)
			if err != nil || list.Total != i+1 {
				t.Errorf("after record %d node %d counts %d, %v", i, k, list.Total, err)
			}
			v.Close()
		}
	}
}
