package actors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// travels are lives on nodes without a blob store, which send the computer's disk
// to each other.
type travels struct {
	lives
	mu   sync.Mutex
	late map[*house]state.Command // gifts whose answer was lost, and that may be recorded yet
}

func newTravels(t *testing.T, seed uint64) *travels {
	houses, _ := storeless(t)
	l := &travels{late: map[*house]state.Command{}}
	l.lives = lives{t: t, rand: rand.New(rand.NewPCG(seed, 7)), houses: houses, world: houses[0].driver.World(), down: map[*house]bool{}}
	for i, h := range houses {
		h.departures.retry = 0
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		h.node.Lose = func(cmd state.Command) error { return l.unclear(dice, h, cmd, false) }
		h.node.Fail = func(cmd state.Command) error { return l.unclear(dice, h, cmd, true) }
	}
	c := houses[0].running(t)
	l.id, l.caller, l.env = c.ID, houses[0].caller, c.Environment
	waitFor(t, func() bool { return l.record().DataNode == c.Node })
	l.write()
	return l
}

// unclear has the answer to a command be lost that was applied, or that may be
// applied later.
func (l *travels) unclear(dice *rand.Rand, h *house, cmd state.Command, before bool) error {
	switch cmd.(type) {
	case state.GiveDisk, state.RestoreDisk, state.ReturnDisk, state.KeepDisk, state.DiskKept:
	default:
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lossy.Load() || dice.IntN(4) > 0 {
		return nil
	}
	if _, gift := cmd.(state.GiveDisk); gift && before {
		l.late[h] = cmd
	}
	return errLostAnswer
}

// give has the owner give the computer to another node, and waits until it has
// tried.
func (l *travels) give() {
	h := l.owner()
	if h == nil {
		return
	}
	to := l.houses[l.rand.IntN(len(l.houses))]
	if to == h || l.down[to] {
		return
	}
	if err := h.Drains.leave(placement.Move{Computer: l.id, From: h.node.Self(), To: to.node.Self()}); err != nil {
		l.say("%s does not give it to %s: %v", h.node.Self(), to.node.Self(), err)
		return
	}
	why := ""
	waitFor(l.t, func() bool {
		for _, d := range h.departures.list() {
			if why = d.Why; d.Step != DepartureStays {
				return false
			}
		}
		return true
	})
	l.say("%s gave it to %s: %q; then %+v", h.node.Self(), to.node.Self(), why, l.record().Sent)
}

// arrive has a gift be recorded, if it may be, whose answer was lost before.
func (l *travels) arrive() {
	l.mu.Lock()
	late := l.late
	l.late = map[*house]state.Command{}
	l.mu.Unlock()
	for h, cmd := range late {
		_, err := h.node.Apply(l.t.Context(), cmd)
		l.say("%s has given it late: %v", h.node.Self(), err)
	}
}

// end has a node go, and so all that it has not been answered.
func (l *travels) end() {
	l.fall()
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := range l.late {
		if l.down[h] {
			delete(l.late, h)
		}
	}
}

// place gives the computer to one of the nodes that have all of it, if one is up.
func (l *travels) place() {
	if l.owner() != nil {
		return
	}
	c := l.record()
	var have []*house
	for _, h := range l.houses {
		if self := h.node.Self(); !l.down[h] && (self == c.DataNode || c.Sent.Name != "" && self == c.Sent.Node) {
			have = append(have, h)
		}
	}
	if len(have) == 0 {
		return
	}
	to := have[l.rand.IntN(len(have))]
	l.say("it goes to %s, sent as %+v, data on %s", to.node.Self(), c.Sent, c.DataNode)
	if _, err := to.node.Apply(l.t.Context(), state.Claim{Computer: l.id, Node: to.node.Self(), Seen: c.Epoch}); err != nil && !fault.Is(err, fault.Conflict) {
		l.fatal("claim: %v", err)
	}
}

func (l *travels) trouble() {
	ops := []fake.Op{fake.SendSnapshot, fake.Snapshot, fake.DropSnapshot, fake.Create, fake.Remove, fake.ForgetSent}
	h, op := l.houses[l.rand.IntN(len(l.houses))], ops[l.rand.IntN(len(ops))]
	h.driver.Script().Clear()
	h.driver.Script().Add(fake.Rule{Op: op, Times: 1 + l.rand.IntN(3), Late: l.rand.IntN(2) == 0, Err: errors.Join(runtime.ErrNoInbox)})
	l.say("%s will fail at %s", h.node.Self(), op)
}

// tend is an inbox's look at what came to nothing, as if long ago.
func (l *travels) tend() {
	h := l.houses[l.rand.IntN(len(l.houses))]
	if l.down[h] {
		return
	}
	long := &System{o: h.o, log: h.log}
	long.o.Now = func() time.Time { return time.Now().Add(2 * inboxAge) }
	if err := long.tendInbox(l.t.Context()); err != nil {
		l.say("%s tends its inbox: %v", h.node.Self(), err)
	}
}

// TestNoDiskIsLeftBehind plays what users and nodes do in any order while the
// computer goes from node to node: what was written and acknowledged is read,
// wherever it is, as long as one node is up that had all of it.
func TestNoDiskIsLeftBehind(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newTravels(t, seed)
			l.play(seed, 60, l.write, l.write, l.read, l.read, l.give, l.give, l.give, l.arrive, l.end, l.comeBack, l.comeBack, l.trouble, l.tend,
				func() { l.wish(true) }, func() { l.wish(false) }, l.look)
		})
	}
}
