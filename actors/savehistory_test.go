package actors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// lives is a computer whose one file holds a number that only grows, on nodes
// that come and go.
type lives struct {
	t      *testing.T
	rand   *rand.Rand
	houses []*house
	world  *fake.World
	id     state.ComputerID
	caller Caller
	env    state.EnvironmentID
	down   map[*house]bool
	lossy  atomic.Bool // answers to commands get lost
	next   int
	// low and high are what a read may find: the same, unless a write was not
	// answered, or a save was taken for a disk that was away.
	low, high int
	saved     int // what the newest save that was answered has at least
	told      []string
}

var errLostAnswer = fault.New(fault.Unavailable, "the answer was lost")

func newLives(t *testing.T, seed uint64) *lives {
	l := &lives{t: t, rand: rand.New(rand.NewPCG(seed, 7)), world: fake.NewWorld(), down: map[*house]bool{}}
	l.world.SetStore("bucket")
	records := actorstest.NewRecords(time.Now)
	for i := range 3 {
		h := openHouse(t, records, l.world, fmt.Sprint("n", i+1), nil)
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		var rolling sync.Mutex // commands are answered side by side
		h.node.Lose = func(cmd state.Command) error {
			switch cmd.(type) {
			case state.SaveDisk, state.DirtyDisk, state.RestoreDisk, state.KeepDisk, state.DiskKept:
				rolling.Lock()
				defer rolling.Unlock()
				if l.lossy.Load() && dice.IntN(4) == 0 {
					return errLostAnswer
				}
			}
			return nil
		}
		l.houses = append(l.houses, h)
	}
	c := l.houses[0].running(t)
	l.id, l.caller, l.env = c.ID, l.houses[0].caller, c.Environment
	waitFor(t, func() bool { return l.record().DataNode == c.Node })
	l.write()
	return l
}

func (l *lives) record() state.Computer { return l.houses[0].computer(l.t, l.id) }

func (l *lives) say(format string, args ...any) {
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

func (l *lives) fatal(format string, args ...any) {
	l.t.Helper()
	for _, line := range l.told {
		l.t.Log(line)
	}
	l.t.Fatalf(format, args...)
}

// owner is the node that may act on the computer; nil is none.
func (l *lives) owner() *house {
	c := l.record()
	for _, h := range l.houses {
		if h.node.Self() == c.Node && !l.down[h] {
			return h
		}
	}
	return nil
}

func (l *lives) write() {
	h := l.owner()
	if h == nil {
		return
	}
	l.next++
	_, err := h.Computers.Files(l.t.Context(), l.caller, l.id, text("f", strconv.Itoa(l.next)))
	l.say("%s writes %d: %v", h.node.Self(), l.next, err)
	if l.high = l.next; err == nil {
		l.low = l.next
	}
}

func (l *lives) read() {
	h := l.owner()
	if h == nil {
		return
	}
	got, err := h.Computers.Files(l.t.Context(), l.caller, l.id, FileOp{Verb: workspace.ReadText, Path: "f"})
	if err != nil {
		l.say("%s reads nothing: %v", h.node.Self(), err)
		return
	}
	n, err := strconv.Atoi(*got.Content)
	l.say("%s reads %d of %d to %d", h.node.Self(), n, l.low, l.high)
	if err != nil || n < l.low || n > l.high {
		l.fatal("it reads %q (%v), and should find %d to %d", *got.Content, err, l.low, l.high)
	}
	l.low, l.high = n, n
}

func (l *lives) wish(run bool) {
	h := l.owner()
	if h == nil {
		return
	}
	act := h.Computers.Stop
	if run {
		act = h.Computers.Start
	}
	_, err := act(l.t.Context(), l.caller, l.id)
	l.say("%s is asked to run it %v: %v", h.node.Self(), run, err)
}

// rest stops it and has it saved.
func (l *lives) rest() {
	l.wish(false)
	l.save()
}

func (l *lives) save() {
	h := l.owner()
	if h == nil {
		return
	}
	least := l.low
	_, err := h.Computers.Save(l.t.Context(), l.caller, l.id)
	l.say("%s saves: %v", h.node.Self(), err)
	if err == nil {
		l.saved = least
	}
}

func (l *lives) fall() {
	h := l.houses[l.rand.IntN(len(l.houses))]
	if h == l.houses[0] || l.down[h] { // one stays, to ask
		h = l.owner()
	}
	up := 0
	for _, one := range l.houses {
		if !l.down[one] {
			up++
		}
	}
	if h == nil || up == 1 {
		return
	}
	var by *house
	for _, one := range l.houses {
		if one != h && !l.down[one] {
			by = one
		}
	}
	l.say("%s falls", h.node.Self())
	h.falls(l.t, by)
	l.down[h] = true
}

func (l *lives) comeBack() {
	for _, h := range l.houses {
		if !l.down[h] {
			continue
		}
		l.say("%s comes back", h.node.Self())
		if err := h.node.Return(); err != nil {
			l.fatal("return: %v", err)
		}
		delete(l.down, h)
		l.reconcile(h)
		return
	}
}

// look is a node's look at its machine, as one that may act has it from time to time.
func (l *lives) look() {
	if h := l.houses[l.rand.IntN(len(l.houses))]; !l.down[h] {
		l.reconcile(h)
	}
}

func (l *lives) reconcile(h *house) {
	if err := h.Reconcile(l.t.Context()); err != nil {
		l.say("%s reconciles: %v", h.node.Self(), err)
	}
}

// place gives the computer to a node as the placer would, or has its user take
// the last save.
func (l *lives) place() {
	if l.owner() != nil {
		return
	}
	c := l.record()
	var up []*house
	var data *house
	for _, h := range l.houses {
		if l.down[h] {
			continue
		}
		if up = append(up, h); h.node.Self() == c.DataNode {
			data = h
		}
	}
	to := up[l.rand.IntN(len(up))]
	switch {
	case data != nil:
		to = data
	case c.Restores():
	case c.Saved.Name == "" || l.rand.IntN(2) == 0:
		return // it waits for its node
	default:
		if _, err := to.node.Apply(l.t.Context(), state.RecoverComputer{Account: l.caller.Account, Computer: l.id}); err != nil {
			l.fatal("recover: %v", err)
		}
		l.say("its user takes the last save, which has %d at least", l.saved)
		l.low = min(l.low, l.saved)
	}
	l.say("it goes to %s, saved as %+v, data on %s", to.node.Self(), c.Saved, c.DataNode)
	if _, err := to.node.Apply(l.t.Context(), state.Claim{Computer: l.id, Node: to.node.Self(), Seen: c.Epoch}); err != nil {
		l.fatal("claim: %v", err)
	}
}

// trouble has the next call of a kind fail at one node, perhaps once it has acted.
func (l *lives) trouble() {
	ops := []fake.Op{fake.SaveSnapshot, fake.Snapshot, fake.DropSnapshot, fake.Create, fake.Remove, fake.SweepSaves}
	h, op := l.houses[l.rand.IntN(len(l.houses))], ops[l.rand.IntN(len(ops))]
	h.driver.Script().Clear()
	h.driver.Script().Add(fake.Rule{Op: op, Times: 1, Late: l.rand.IntN(2) == 0, Err: errors.Join(runtime.ErrNoStore)})
	l.say("%s will fail at %s", h.node.Self(), op)
}

// play does steps in any order, half the seeds with answers lost; then everybody comes
// back, and what was written is read.
func (l *lives) play(seed uint64, count int, steps ...func()) {
	l.lossy.Store(seed%2 == 1)
	for range count {
		steps[l.rand.IntN(len(steps))]()
		l.place()
	}
	l.lossy.Store(false)
	for _, h := range l.houses {
		h.driver.Script().Clear()
	}
	for l.comeBack(); len(l.down) > 0; {
		l.comeBack()
	}
	l.place()
	l.wish(true)
	l.read()
	if v := l.world.Violations(); len(v) > 0 {
		l.fatal("%v", v)
	}
}

// TestNoSaveIsEverOlderThanWhatItStandsFor plays what users, nodes and stores do
// in any order: what was written and acknowledged is read, but for what a user
// gave up who took the last save, and that has all that was saved on demand.
func TestNoSaveIsEverOlderThanWhatItStandsFor(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLives(t, seed)
			l.play(seed, 80, l.write, l.write, l.read, l.read, l.save, l.fall, l.fall, l.comeBack, l.trouble,
				func() { l.wish(true) }, func() { l.wish(false) }, l.rest, l.look)
		})
	}
}
