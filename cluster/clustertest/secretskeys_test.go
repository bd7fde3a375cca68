package clustertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// entrust has node i seal a secret of the cluster and write it.
func (c *Nodes) entrust(i int, name, value string) {
	c.t.Helper()
	secrets, err := c.Node(i).Secrets()
	must(c.t, err)
	sealed, err := secrets.Seal(state.SecretSealedAs(name), []byte(value))
	must(c.t, err)
	_, err = c.Node(i).Apply(within(c.t, Patience), state.SetSecret{Secret: state.Secret{Name: name, Sealed: sealed}})
	must(c.t, err)
}

// opens checks that node i can read a secret, and tells which key sealed it.
func (c *Nodes) opens(i int, name, value string) string {
	c.t.Helper()
	secrets, err := c.Node(i).Secrets()
	must(c.t, err)
	v, err := c.Node(i).Read(within(c.t, Patience))
	must(c.t, err)
	defer v.Close()
	record, ok, err := v.Secret(name)
	must(c.t, err)
	plain, err := secrets.Open(state.SecretSealedAs(name), record.Sealed)
	if !ok || err != nil || string(plain) != value {
		c.t.Fatalf("node %d reads %q of %s, found %v: %v", i, plain, name, ok, err)
	}
	return state.SecretsKeyOf(record.Sealed)
}

// secretsKeys is the record as node i has it.
func (c *Nodes) secretsKeys(i int) state.SecretsKeys {
	c.t.Helper()
	v, err := c.Node(i).Stale()
	must(c.t, err)
	defer v.Close()
	k, _, err := v.SecretsKeys()
	must(c.t, err)
	return k
}

// rotated waits until node i knows that a key has replaced all others.
func (c *Nodes) rotated(i int, key string) {
	c.t.Helper()
	c.Within(2*Patience, "the rotation ends", func() bool {
		k := c.secretsKeys(i)
		return k.Current == key && k.Phase == state.Rotated
	})
}

// heldOnDisk reports whether node i's directory names a secrets key.
func (c *Nodes) heldOnDisk(i int, key string) bool {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Node(i).Dir, "cluster.json"))
	must(c.t, err)
	return strings.Contains(string(b), key)
}

// A new secrets key reaches every node, through the loss of the leader in the
// middle: one that was away all the while, and one that comes later. Nothing
// sealed is lost, and the old key is nowhere afterwards.
func TestTheSecretsKeyIsReplaced(t *testing.T) {
	const values = 400 // several steps of a leader
	timing := Timing()
	timing.Settle = time.Second
	c := New(t, 4, Options{Timing: &timing})
	c.Voters(0, 3)
	leader := c.Leader()
	away := -1
	for i, n := range c.all() { // the others must go on without it and without the leader
		if !c.votes(leader, n) {
			away = i
		}
	}
	c.entrust(0, "first", "v")
	old := c.opens(1, "first", "v")
	for n := range values {
		c.entrust(leader, fmt.Sprintf("s%04d", n), fmt.Sprint(n))
	}
	c.Kill(away)

	other := c.Follower(away)
	k, err := c.Node(other).RotateSecrets(within(t, Patience))
	must(t, err)
	if _, err := c.Node(leader).RotateSecrets(within(t, Patience)); !fault.Is(err, fault.Conflict) {
		t.Fatalf("rotated again while it goes on: %v", err)
	}
	c.entrust(other, "during", "v")
	if key := c.opens(leader, "during", "v"); key != k.Current {
		t.Fatalf("the node that rotated seals with %s, not %s", key, k.Current)
	}
	c.Eventually("some values are sealed anew", func() bool { return c.secretsKeys(other).Resealed > 0 })
	c.Kill(leader)
	t.Logf("the leader fell when %d values were sealed anew", c.secretsKeys(other).Resealed)
	c.rotated(other, k.Current)
	if done := c.secretsKeys(other); done.Resealed != values+1 || len(done.Keys) != 1 || done.Unreadable != 0 {
		t.Fatalf("%+v", done)
	}

	c.Start(leader)
	c.Start(away)
	c.WaitReady(leader)
	c.WaitReady(away)
	later := c.Add().Index
	for _, i := range []int{away, leader, later} {
		c.WaitReady(i)
		for name, value := range map[string]string{"first": "v", "during": "v", "s0000": "0", fmt.Sprintf("s%04d", values-1): fmt.Sprint(values - 1)} {
			if key := c.opens(i, name, value); key != k.Current {
				t.Fatalf("%s is sealed with %s, not %s", name, key, k.Current)
			}
		}
		c.Eventually("the old key is on no disk", func() bool { return !c.heldOnDisk(i, old) && c.heldOnDisk(i, k.Current) })
	}

	// A second one, for which every node has to have taken up the first.
	again, err := c.Node(later).RotateSecrets(within(t, Patience))
	must(t, err)
	c.rotated(away, again.Current)
	for i := range c.Len() {
		if key := c.opens(i, "s0001", "1"); key != again.Current {
			t.Fatalf("node %d reads what %s sealed, not %s", i, key, again.Current)
		}
		c.Eventually("the first key is on no disk", func() bool { return !c.heldOnDisk(i, k.Current) })
	}
}
