package actors

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// stopGrace is how long a computer's processes may take to end by themselves.
	stopGrace = 10 * time.Second
	// firstRetry and maxRetry space the tries of an action that failed.
	firstRetry = time.Second
	maxRetry   = time.Minute
	// maxStartTries fail before those who wait are told and the computer is failed.
	maxStartTries = 3
)

// Messages to a computer's actor.
type (
	// look makes it compare wish with fact.
	look struct{}
	// wake asks for a running computer; the answer is a grant. With look it is
	// given only once the computer was brought to what its record says now.
	wake struct{ look bool }
	// lay asks for a computer that has a disk, running or not; the answer is a
	// grant.
	lay struct{}
	// missed tells it that the computer was found not to run: it looks before
	// it lets anybody act again.
	missed struct{}
	// used tells it that a session began (+1) or ended (-1).
	used struct{ delta int }
	// did is the outcome of an action.
	did struct {
		action action
		epoch  state.Epoch
		fact   runtime.Phase
		lost   string // by a start, see grant
		err    error
	}
	// seen is what was found on looking.
	seen struct {
		record    state.Computer
		owner     bool
		snapshots bool // are asked for
		fact      runtime.Phase
		status    runtime.Status
		err       error
	}
	// told says that the record knows of a start for a caller: from now on its
	// wish counts, which is to run unless its user asked for a stop meanwhile.
	told struct{}
	// idleCheck comes when the computer may have been unused for long enough.
	idleCheck struct{ since time.Time }
)

// grant lets its holder act on a running computer in an epoch.
type grant struct {
	epoch state.Epoch
	// lost says what is missing of the computer's newest disk, which is on
	// another node: "" for nothing.
	lost string
}

// computer compares wish with fact, performs one action, and looks again. It
// is the only one that acts on its computer, in its epoch.
type computer struct {
	cell    *cell
	id      state.ComputerID
	deps    *ownership
	log     *slog.Logger
	record  state.Computer // as last read
	fact    runtime.Phase  // as last seen; "" before the first look
	image   string         // that the machine has it run, or start next
	newness newness        // of the disk here
	lost    string         // see grant
	asked   asked          // as last read
	woke    bool           // started for a caller, and the wish does not say so yet

	busy    bool               // a look or an action is aside
	again   bool               // something changed while busy
	failed  int                // tries of the present action that failed
	tried   action             // that failed last
	retryAt time.Time          // when tried may be tried again, unless somebody waits for it
	waiting []func(any, error) // since before the last look
	late    []func(any, error) // since then: what was seen may be older than they are
	laying  []func(any, error) // those who need only its disk
	laid    bool               // the disk was made for them, and no record says so yet
	users   int
	since   time.Time // of the last use
	calloff func()    // of the timer that is set
	parting *parting  // it is to go to another node

	saves saves
}

// ownership is what every actor of owned things needs.
type ownership struct {
	cluster Cluster
	driver  Driver
	builder runtime.Builder // nil on a node that makes no images
	// registries are how accounts log in where images are pulled, and pulls holds
	// one for each that is under way.
	registries *Registries
	pulls      chan struct{}
	// rebuild has an environment's image built again, unless it is already.
	rebuild func(context.Context, state.Environment) error
	// way is to what users name outside.
	way      *http.Transport
	remote   *wire // to other nodes
	meter    *meter
	barriers *barriers
	savings  *savings
	metrics  *metrics
	log      *slog.Logger
	tracer   *trace.Tracer
	now      func() time.Time
	// held reports whether this node may act just now; every action asks.
	held func() error
	// lease returns a context that also ends when this node may no longer act.
	lease func(context.Context) (context.Context, context.CancelFunc)
}

// Driver is what actors need of a machine: the five verbs and a way in.
type Driver interface {
	runtime.Driver
	runtime.Execer
}

func newComputer(d *ownership, id state.ComputerID) func(*cell) behaviour {
	return func(c *cell) behaviour {
		return &computer{cell: c, id: id, deps: d, log: d.log.With("computer", string(id)), since: d.now()}
	}
}

func (c *computer) receive(msg any, answer func(any, error)) {
	switch m := msg.(type) {
	case look:
		c.look()
	case wake:
		c.wake(m, answer)
	case lay:
		c.laying = append(c.laying, answer)
		c.look()
	case missed:
		c.fact = ""
		c.look()
	case seen:
		c.saw(m)
	case did:
		c.done(m)
	case used:
		c.users = max(0, c.users+m.delta)
		c.since = c.deps.now()
		c.watchIdle()
	case told:
		c.woke = false
		c.look()
	case idleCheck:
		c.checkIdle(m)
	case save:
		c.save(answer)
	case saveDue:
		c.saves.calloff = nil
		c.save(nil)
	case unsafe:
		c.saves.want = true
		c.look()
	case saved:
		c.saved(m)
	case part:
		c.part(m, answer)
	}
}

// idle lets the actor go once its computer is down and nothing is going on; the
// next change of its record, or the next caller, makes it anew.
func (c *computer) idle() bool {
	return !c.busy && len(c.waiting)+len(c.late)+len(c.laying) == 0 && c.users == 0 && !c.laid && c.calloff == nil && c.fact != runtime.Running && c.parting == nil && c.saves.idle()
}

func (c *computer) stopped() {
	if c.calloff != nil {
		c.calloff()
	}
	stopping := fault.New(fault.Unavailable, "the computer's owner is stopping").WithRetry(retryMailbox)
	c.refuseAll(stopping)
	c.saves.end(stopping)
	c.parted(stopping)
}

// look finds out wish and fact aside.
func (c *computer) look() {
	if c.busy {
		c.again = true
		return
	}
	c.busy, c.again = true, false
	c.waiting, c.late = append(c.waiting, c.late...), nil
	c.cell.do(func(ctx context.Context) any {
		record, owner, err := c.deps.owned(c.id)
		if err != nil || !owner {
			return seen{record: record, owner: owner, err: err}
		}
		snapshots, err := c.deps.snapshotsAsked(record)
		if err != nil {
			return seen{record: record, owner: owner, err: err}
		}
		status, fact, err := inspect(ctx, c.deps.driver, c.id)
		return seen{record, owner, snapshots, fact, status, err}
	})
}

// snapshotsAsked reports whether snapshots of the computer are to be made: each
// has an operation that is open.
func (d *ownership) snapshotsAsked(c state.Computer) (bool, error) {
	if c.Operations == 0 {
		return false, nil
	}
	pending, err := applied(d.cluster, func(v *state.View) ([]state.Snapshot, error) { return v.PendingSnapshots(c.ID) })
	return len(pending) > 0, err
}

// owned reads the record and whether this node owns it.
func (d *ownership) owned(id state.ComputerID) (state.Computer, bool, error) {
	v := d.cluster.Stale()
	defer v.Close()
	c, ok, err := v.AnyComputer(id)
	return c, ok && c.Node == d.cluster.Self() && c.Phase != state.Deleted, err
}

func inspect(ctx context.Context, d Driver, id state.ComputerID) (runtime.Status, runtime.Phase, error) {
	status, err := d.Inspect(ctx, runtime.ID(id))
	if errors.Is(err, runtime.ErrNotFound) {
		return status, absent, nil
	}
	return status, status.Phase, err
}

func (c *computer) saw(m seen) {
	c.busy = false
	if m.err != nil {
		c.log.Warn("look at computer", "err", m.err)
		c.refuseAll(m.err)
		c.parted(m.err)
		return
	}
	c.saves.looked(c.record, m.record, c.fact, m.fact)
	c.record = m.record
	if !m.owner {
		moved := fault.New(fault.Moved, "computer %s belongs to another node", c.id)
		c.refuseAll(moved)
		c.saves.end(moved)
		c.deps.savings.left(c.id)
		c.parted(nil)
		return
	}
	c.fact, c.image = m.fact, m.status.Spec.Image
	c.newness = newnessOf(m.record, c.deps.cluster.Self(), m.fact, m.status)
	c.asked = asked{snapshots: m.snapshots, egress: m.fact != absent && c.deps.egressDiffers(m.status, m.record)}
	c.answerLaying()
	c.act()
}

// act does the one next thing, or records that nothing is left to do.
func (c *computer) act() {
	wish := c.record.Wish
	if wish != state.WishStopped {
		c.woke = false
	} else if c.woke || len(c.waiting) > 0 && c.wakeable() {
		wish, c.woke = state.WishRunning, true
	}
	what := besides(c.orLay(next(wish, c.fact)), c.fact, c.record, c.asked)
	switch what = c.orGive(first(what, wish, c.newness)); what {
	case nothing:
		c.settle()
	default:
		if left := c.retryAt.Sub(c.deps.now()); left > 0 && what == c.tried && c.failed >= maxStartTries && len(c.waiting) == 0 && c.record.Operations == 0 {
			c.set(left, look{}) // the record of the failure made it look again; nobody asks for more
			return
		}
		c.perform(what)
	}
}

// wakeable reports whether a caller may start a computer whose wish is
// stopped: one that its user stopped stays stopped, unless a run needs it.
func (c *computer) wakeable() bool {
	return c.record.IdleStopped || c.record.Phase == state.Provisioning || c.record.Live > 0
}

// settle answers those who wait, and records the fact if it is news.
func (c *computer) settle() {
	c.failed = 0
	if c.fact == runtime.Running {
		c.release()
	} else {
		c.refuse(resting(c.record))
	}
	data := newest(c.fact, c.record, c.deps.cluster.Self())
	image := ""
	if c.fact == runtime.Running {
		image = c.image
	}
	if phase := phaseOf(c.fact, c.record.Phase); phase != c.record.Phase || c.woke || data && c.record.DataNode != c.deps.cluster.Self() ||
		image != "" && image != c.record.RunImage {
		c.note(state.SetPhase{Phase: phase, HasData: data, Woke: c.woke, Laid: c.laid && c.record.Phase == state.Provisioning, Image: image})
	}
	c.laid = c.laid && c.record.Phase == state.Provisioning // until the record says so
	if c.again {
		c.look()
	}
	c.watchIdle()
	c.watchSaves()
}

// resting is why a computer that stays down lets nobody in.
func resting(c state.Computer) error {
	why := "the computer is stopped; start it first"
	if c.Phase == state.Failed && c.Error != "" {
		why = "the computer has failed; start it again first: " + c.Error
	}
	return fault.New(fault.Conflict, "%s", why).WithCode(state.CodeNotRunning)
}

// release lets those who wait act.
func (c *computer) release() {
	for _, answer := range c.waiting {
		answer(grant{epoch: c.record.Epoch, lost: c.lost}, nil)
	}
	c.waiting = nil
}

func (c *computer) refuse(err error) {
	for _, answer := range append(c.waiting, c.laying...) {
		answer(nil, err)
	}
	c.waiting, c.laying = nil, nil
}

// refuseAll refuses those too who came since the last look.
func (c *computer) refuseAll(err error) {
	c.waiting, c.late = append(c.waiting, c.late...), nil
	c.refuse(err)
}

// wake parks a caller until the computer runs; of one that is known to run
// nothing is asked again.
func (c *computer) wake(m wake, answer func(any, error)) {
	c.since = c.deps.now()
	if !m.look && c.fact == runtime.Running && (c.woke || c.record.Wish == state.WishRunning) && !c.busy {
		answer(grant{epoch: c.record.Epoch, lost: c.lost}, nil)
		return
	}
	c.late = append(c.late, answer)
	c.look()
}

// note proposes an owner's command about this computer; that it was refused
// shows at the next look.
func (c *computer) note(cmd state.SetPhase) {
	cmd.Computer, cmd.Epoch = c.id, c.record.Epoch
	c.cell.do(func(ctx context.Context) any {
		_, err := c.deps.cluster.Apply(ctx, cmd)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("record computer", "phase", cmd.Phase, "err", err)
		}
		if cmd.Woke && err == nil {
			return told{}
		}
		return nil
	})
}

// done takes in the outcome of an action: it looks again, or tries again later.
func (c *computer) done(m did) {
	c.busy = false
	if m.epoch != c.record.Epoch {
		c.look()
		return
	}
	if m.err == nil {
		c.failed = 0
		if m.action == start {
			c.lost = m.lost
		}
		if m.action == forget {
			c.deps.savings.left(c.id)
			c.forgetSaves()
			return
		}
		if m.action == snap {
			c.saves.want = true
		}
		c.look()
		return
	}
	if m.action == give { // it stays as it was
		c.parted(translate(m.err))
		c.look()
		return
	}
	c.failed++
	wait := min(firstRetry<<min(c.failed-1, 10), maxRetry)
	c.tried, c.retryAt = m.action, c.deps.now().Add(wait)
	c.log.Warn("computer action failed", "action", m.action, "try", c.failed, "err", m.err)
	if errors.Is(m.err, runtime.ErrStaleEpoch) || fault.Is(m.err, fault.Moved) || fault.Is(m.err, fault.Payment) || c.failed >= maxStartTries {
		c.refuse(translate(m.err))
		if m.action == create && c.record.Sent.Name != "" && c.failed >= maxStartTries {
			c.giveBack(translate(m.err))
		} else if m.action == start || m.action == create && !c.laid || m.action == adopt || m.action == setAside {
			c.note(state.SetPhase{Phase: state.Failed, Error: translate(m.err).Error()})
		}
	}
	c.set(wait, look{})
}

// set replaces the actor's one timer.
func (c *computer) set(d time.Duration, msg any) {
	if c.calloff != nil {
		c.calloff()
	}
	c.calloff = c.cell.after(d, msg)
}
