package clustertest

import (
	"context"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Eventually waits until a fact holds, and fails the test when it does not in time.
func (c *Nodes) Eventually(what string, fact func() bool) {
	c.t.Helper()
	c.Within(Patience, what, fact)
}

// Within is Eventually with a limit of its own. It returns how long it took.
func (c *Nodes) Within(limit time.Duration, what string, fact func() bool) time.Duration {
	c.t.Helper()
	begun := time.Now()
	for {
		if fact() {
			return time.Since(begun)
		}
		if time.Since(begun) > limit {
			c.t.Fatalf("after %v: not so: %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// WaitReady waits until a node has its lease and a leader.
func (c *Nodes) WaitReady(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := c.Node(i).WaitReady(ctx); err != nil {
		c.t.Fatalf("node %s: %v", c.Node(i).Name, err)
	}
}

// Leader waits until a running node leads and others agree, and returns its number.
func (c *Nodes) Leader(except ...int) int {
	c.t.Helper()
	found := -1
	c.Eventually("some node leads", func() bool {
		for _, n := range c.all() {
			if n.Cluster != nil && !contains(except, n.Index) && n.Cluster.Leader() == n.ID {
				found = n.Index
				return true
			}
		}
		return false
	})
	return found
}

// Follower returns a running node that does not lead.
func (c *Nodes) Follower(except ...int) int {
	c.t.Helper()
	leader := c.Leader()
	for _, n := range c.all() {
		if n.Cluster != nil && n.Index != leader && !contains(except, n.Index) {
			return n.Index
		}
	}
	c.t.Fatal("no follower is running")
	return -1
}

// Voters waits until the node that is asked sees so many voters.
func (c *Nodes) Voters(i, want int) {
	c.t.Helper()
	c.Eventually("the number of voters", func() bool { return c.countVoters(i) == want })
}

func (c *Nodes) countVoters(i int) int {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	s, err := c.Node(i).Status(ctx)
	if err != nil {
		return -1
	}
	n := 0
	for _, node := range s.Nodes {
		if node.Voter {
			n++
		}
	}
	return n
}

// Record returns a node's record as node i has it, stale or not.
func (c *Nodes) Record(i int, id state.NodeID) state.Node {
	c.t.Helper()
	v, err := c.Node(i).Stale()
	if err != nil {
		c.t.Fatal(err)
	}
	defer v.Close()
	n, _, err := v.FindNode(id)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func contains(all []int, i int) bool {
	for _, x := range all {
		if x == i {
			return true
		}
	}
	return false
}
