package actors

import (
	"context"
	"errors"
	"log/slog"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Messages to a thread's actor.
type (
	// attend makes it look at its thread's run.
	attend struct{}
	// ended says that the work on a run is over, in the epoch it was begun in.
	ended struct {
		run   state.RunID
		epoch state.Epoch
		err   error
	}
)

// thread does its thread's one run, while this node owns the computer. The
// work goes on aside; the actor begins it once in an epoch and passes on the
// wish to cancel.
type thread struct {
	cell   *cell
	id     state.ThreadID
	deps   *workshop
	log    *slog.Logger
	run    state.RunID // being worked on, or ""
	epoch  state.Epoch
	cancel context.CancelCauseFunc
}

// errCancelled is why a run's context ends when its user asked for that.
var errCancelled = errors.New("cancelled by user")

// errSuperseded is why it ends when the run is another owner's now.
var errSuperseded = errors.New("another owner goes on")

func newThread(w *workshop, id state.ThreadID) func(*cell) behaviour {
	return func(c *cell) behaviour {
		return &thread{cell: c, id: id, deps: w, log: w.log.With("thread", string(id))}
	}
}

func (t *thread) receive(msg any, answer func(any, error)) {
	switch m := msg.(type) {
	case attend:
		answer(nil, t.attend())
	case ended:
		t.ended(m)
	}
}

func (t *thread) idle() bool { return t.run == "" }

func (t *thread) stopped() {
	if t.cancel != nil {
		t.cancel(errSuperseded)
	}
}

// job is a run and the computer it belongs to, as the records have them.
type job struct {
	run      state.Run
	computer state.Computer
	ok       bool
}

// attend begins the thread's run if it is this node's to do, and tells a run
// that goes on what changed about it.
func (t *thread) attend() error {
	j, err := t.find()
	if err != nil {
		return err
	}
	mine := j.ok && j.computer.Node == t.deps.cluster.Self()
	if t.run != "" {
		switch {
		case !mine || j.run.ID != t.run || j.computer.Epoch != t.epoch:
			t.cancel(errSuperseded)
		case j.run.Cancel:
			t.cancel(errCancelled)
		}
		return nil // its end looks again
	}
	if !mine || j.run.Status.Over() {
		return nil
	}
	if err := t.deps.held(); err != nil {
		return err
	}
	return t.begin(j)
}

func (t *thread) find() (job, error) {
	return applied(t.deps.cluster, func(v *state.View) (j job, err error) {
		th, ok, err := v.AnyThread(t.id)
		if err != nil || !ok || th.Run == "" {
			return j, err
		}
		if j.run, ok, err = v.AnyRun(th.Run); err != nil || !ok {
			return j, err
		}
		j.computer, j.ok, err = v.AnyComputer(j.run.Computer)
		return j, err
	})
}

// begin starts the work on a run, unless its computer is given away just now:
// its next owner, or this one if it stays, is told of the run again.
func (t *thread) begin(j job) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	leaves, leave, ok := t.deps.barriers.enter(j.computer.ID, func(why error) { cancel(why) })
	if !ok {
		cancel(errLeaves)
		return nil
	}
	t.run, t.epoch, t.cancel = j.run.ID, j.computer.Epoch, cancel
	if j.run.Cancel {
		cancel(errCancelled)
	}
	w := newWork(t.deps, j, ctx, leaves)
	t.cell.do(func(life context.Context) any {
		defer leave()
		stop := context.AfterFunc(life, func() { cancel(errSuperseded) })
		defer stop()
		return ended{j.run.ID, j.computer.Epoch, w.do()}
	})
	return nil
}

// ended looks again: a run that could not go on here for a passing reason is
// begun again, and one that is over may have had another one wait for it.
func (t *thread) ended(m ended) {
	if m.run != t.run || m.epoch != t.epoch {
		return
	}
	t.cancel(errSuperseded)
	t.run, t.cancel = "", nil
	if m.err != nil && !errors.Is(m.err, errLeaves) {
		t.log.Warn("run left undone", "run", m.run, "epoch", m.epoch, "err", m.err)
	}
	if m.err == nil || fault.Is(m.err, fault.Moved) {
		// The records say who goes on, and whether another run waited for this
		// one; if that is this node's to do, a look finds it.
		t.cell.tell(attend{})
		return
	}
	t.cell.after(retryMailbox, attend{})
}
