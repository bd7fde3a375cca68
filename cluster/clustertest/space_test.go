package clustertest

import (
	"errors"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// TestFullDiskRefusesWrites asks for more free disk than there is: writes are
// refused with a clear error, deletions and reads go on.
func TestFullDiskRefusesWrites(t *testing.T) {
	c := New(t, 1, Options{Node: func(_ int, o *cluster.Options) { o.MinFreeBytes = 1 << 60 }})
	n := c.Node(0)
	c.Eventually("writes are refused", func() bool {
		err := newAgent(within(t, Patience), n, "agent_1")
		return errors.Is(err, cluster.ErrFull) && fault.Of(err) == fault.Full
	})
	v, err := n.Read(within(t, Patience))
	must(t, err)
	defer v.Close()
	if _, err := v.Account(Account, time.Now()); err != nil {
		t.Fatalf("a read on a full disk: %v", err)
	}
	if err := deleteAgent(within(t, Patience), n, "none"); fault.Of(err) != fault.NotFound {
		t.Fatalf("a deletion on a full disk: %v", err)
	}
	if !n.LeaseHeld() {
		t.Fatal("the lease was lost with the room")
	}
}

// TestNodesSpeakForThemselves sends the leader commands that are not the sender's to send.
func TestNodesSpeakForThemselves(t *testing.T) {
	c := New(t, 2, Options{})
	other, self := c.Node(0), c.Node(1)
	propose := func(id state.CommandID, cmd state.Command) error {
		p, err := state.Propose(id, 0, cmd)
		must(t, err)
		body, err := state.Encode([]state.Proposal{p})
		must(t, err)
		_, err = self.Transport().Call(within(t, Patience), c.Node(c.Leader()).ID, "cluster/propose", body)
		return err
	}
	own := state.CommandID{Node: self.ID, Incarnation: self.Incarnation(), Counter: 1 << 40}
	for what, err := range map[string]error{
		"as another node":        propose(state.CommandID{Node: other.ID, Incarnation: 1, Counter: 1 << 40}, credit("rec_1")),
		"without an incarnation": propose(state.CommandID{Node: self.ID}, credit("rec_2")),
		"the leader's own":       propose(own, state.ExpireLease{Node: other.ID}),
	} {
		if fault.Of(err) != fault.Forbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, propose(own, credit("rec_3")))
}
