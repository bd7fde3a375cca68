package clustertest

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// newBuild and oldBuild are the command sets of two builds: the older one does not
// know how nodes are drained.
const newBuild = state.CommandVersion

func oldBuild() int { return state.VersionOf(state.DrainNode{}) - 1 }

// builds runs each node with a build that speaks some command set.
type builds struct {
	*Nodes
	speak map[int]int        // by a node's number
	ended map[int]chan error // what a node's replica ended with; has room for one
}

func newBuilds(t *testing.T, n int) *builds {
	t.Helper()
	b := &builds{speak: map[int]int{}, ended: map[int]chan error{}}
	for i := range n + 1 {
		b.speak[i], b.ended[i] = oldBuild(), make(chan error, 1)
	}
	timing := Timing()
	timing.Sweep = 50 * time.Millisecond
	b.Nodes = New(t, n, Options{Timing: &timing, Node: func(i int, o *cluster.Options) {
		o.Addrs.Commands = b.speak[i]
		o.Fatal = func(err error) {
			select {
			case b.ended[i] <- err:
			default:
			}
		}
	}})
	b.Voters(0, 3)
	return b
}

// restart starts a node with another build.
func (b *builds) restart(i, speaks int) {
	b.t.Helper()
	b.Stop(i)
	b.speak[i] = speaks
	b.Start(i)
	b.WaitReady(i)
}

// version is what a node's own records say.
func (b *builds) version(i int) int {
	b.t.Helper()
	v, err := b.Node(i).Stale()
	must(b.t, err)
	defer v.Close()
	c, _, err := v.Cluster()
	must(b.t, err)
	return c.Version
}

func (b *builds) hasAgent(i int, id state.AgentID) bool {
	b.t.Helper()
	v, err := b.Node(i).Stale()
	must(b.t, err)
	defer v.Close()
	_, err = v.Agent(Account, id)
	return err == nil
}

// newer is a command that the old build cannot read.
func (b *builds) newer(i int) error {
	_, err := b.Node(i).Apply(within(b.t, Patience), state.DrainNode{Node: b.Node(0).ID})
	return err
}

// isOldBuild checks a refusal: its code, and the words that say what to do.
func isOldBuild(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil || !fault.Is(err, fault.Unsupported) {
		t.Fatalf("%v; want a refusal of an old build", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

// TestNewCommandsWaitForTheLastOldBuild upgrades a cluster node by node. What the
// old build cannot read is not proposed before the last of it is gone, whoever
// leads; then it is, and no old build comes back.
func TestNewCommandsWaitForTheLastOldBuild(t *testing.T) {
	b := newBuilds(t, 4)
	spare := b.spare()
	last := 0
	for _, i := range []int{spare, 1, 2, 3} {
		if b.speak[i] == newBuild {
			continue
		}
		b.restart(i, newBuild)
		last = i
		for at := range 4 {
			isOldBuild(t, b.newer(at), "drain-node needs", "upgrade")
		}
		must(t, newAgent(within(t, Patience), b.Node(i), "agent_"+b.Node(i).Name))
	}
	for i := range 4 {
		b.Eventually("it has what came last, so what was refused would be there too", func() bool { return b.hasAgent(i, state.AgentID("agent_"+b.Node(last).Name)) })
		if b.Record(i, b.Node(0).ID).Draining() || b.version(i) != oldBuild() {
			t.Fatalf("%s is at version %d", b.Node(i).Name, b.version(i))
		}
	}
	b.raisesWithout(spare)
	b.refusesOldBuilds(spare)
}

// spare is the node that has no vote.
func (b *builds) spare() int {
	b.t.Helper()
	s, err := b.Node(0).Status(within(b.t, Patience))
	must(b.t, err)
	for _, n := range s.Nodes {
		if !n.Voter {
			return b.index(n.ID)
		}
	}
	b.t.Fatal("every node votes")
	return -1
}

// raisesWithout upgrades the last node while the spare one, which was upgraded
// before, is away, and has that one come back as it was.
func (b *builds) raisesWithout(spare int) {
	t := b.t
	t.Helper()
	other := 1 + spare%3 // a third one
	b.Stop(spare)
	b.restart(0, newBuild)
	b.Eventually("the version is raised", func() bool { return b.version(0) == newBuild && b.version(other) == newBuild })
	must(t, b.newer(other))
	// It hands on the lead to one that the node which was away knows the address of.
	b.Eventually("another node leads", func() bool { l := b.Node(other).Leader(); return l != "" && l != b.Node(0).ID })
	b.speak[spare] = oldBuild()
	b.Start(spare)
	select {
	case why := <-b.ended[spare]:
		isOldBuild(t, why, "build", "too old")
	case <-time.After(Patience):
		t.Fatal("an old build goes on in a cluster that is past it")
	}
	if b.Node(spare).Ready() {
		t.Error("an old build has a lease in a cluster that is past it")
	}
	b.restart(spare, newBuild)
	b.Eventually("it is as the others", func() bool { return b.version(spare) == newBuild })
	must(t, b.newer(spare))
}

// refusesOldBuilds tries to run an old build on newer records, and to join with one.
func (b *builds) refusesOldBuilds(spare int) {
	b.t.Helper()
	b.Stop(spare)
	b.speak[spare] = oldBuild()
	isOldBuild(b.t, b.open(b.Node(spare), nil), "this build is too old", "Start this node with")
	b.speak[spare] = newBuild
	b.Start(spare)

	name := "late"
	_, err := b.TryAdd(name)
	isOldBuild(b.t, err, "the build of node "+name, "too old", "start it with the build")
	b.speak[4] = newBuild
	if _, err := b.TryAdd(name); err != nil {
		b.t.Errorf("upgraded, it may join: %v", err)
	}
}
