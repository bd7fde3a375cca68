package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/mcp"
	"github.com/bothy-computer/bothy/actors/modelgateway"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// workshop is what runs are done with.
type workshop struct {
	*ownership
	local  *local
	models Models
	vault  vault
	bell   *bell
	// way leads to MCP servers over HTTP, and to nothing inside.
	version string // of this program
	// computers reach every node's.
	computers *Computers
	// programs and gateway are what executors work with.
	programs *programs
	gateway  *modelgateway.Gateway
}

// work does one run from where its records stand, in one epoch: it takes up
// what was committed and has the run's agent, and those it hands tasks to, turn
// their loops: one commit before each tool and one after it, until an outcome.
// It holds no truth: dropped anywhere, another owner goes on from the records.
type work struct {
	*workshop
	run      state.Run
	computer state.Computer
	log      *slog.Logger
	own      *stint // of the run's own agent
	journal  *journal
	variable []string // of the run's processes, KEY=value
	reserved *state.Reservation
	left     []state.Reservation // of further calls that an executor was in
	machine  *machine
	pool     *mcp.Pool     // of all agents' servers
	known    []agent.Entry // of all agents of the run, and of the thread before it
	calls    map[string]bool
	past     []state.Event // the run's own, committed before this work began
	// ctx ends when the run must stop: cancelled, out of time, superseded.
	ctx context.Context
	// leaves is closed when the run should stop between two steps: its computer
	// goes to another node.
	leaves <-chan struct{}
	// commits ends only when this node may no longer write: what is known when
	// a run is stopped is still committed.
	commits context.Context
}

func newWork(w *workshop, j job, ctx context.Context, leaves <-chan struct{}) *work {
	log := w.log.With("thread", string(j.run.Thread), "run", string(j.run.ID))
	if c := j.run.Cause; c != nil {
		log = log.With("request", c.Request)
		ctx = state.WithCause(ctx, *c)
	}
	return &work{workshop: w, run: j.run, computer: j.computer, ctx: ctx, leaves: leaves, log: log}
}

// traced begins the run's span, below the command that the run was made by.
func (w *work) traced() trace.Span {
	ctx, span := w.tracer.Begin(w.ctx, state.CauseOf(w.ctx).Trace, "run", "bothy.run", string(w.run.ID), "bothy.thread", string(w.run.Thread),
		"bothy.computer", string(w.run.Computer), "bothy.model", w.run.Config.Model)
	w.ctx = ctx
	return span
}

// commitGrace is how long what is known is still committed when the run's own
// time is over and the log is slow.
const commitGrace = 30 * time.Second

// do works until the run ended, or cannot go on here; then it says why.
func (w *work) do() (err error) {
	span := w.traced()
	defer func() { span.End(err) }()
	leased, release := w.lease(context.WithoutCancel(w.ctx))
	defer release()
	w.commits = leased
	ctx, stop := context.WithCancelCause(w.ctx)
	defer stop(nil)
	defer context.AfterFunc(leased, func() { stop(errSuperseded) })()
	begun := w.now()
	if at := w.run.StartedAt; !at.IsZero() {
		begun = w.here(at)
	}
	ctx, expire := context.WithDeadlineCause(ctx, begun.Add(w.run.Config.Timeout), errTimeout)
	defer expire()
	w.ctx = ctx

	if err := w.open(); err != nil {
		return err
	}
	defer w.machine.close()
	defer w.pool.Close()
	streaming, done := context.WithCancel(w.commits)
	defer done()
	go w.journal.stream(streaming)
	return w.guarded()
}

// guarded turns a panic of ours into the run's end: begun again, it would most
// likely meet the same, for ever.
func (w *work) guarded() (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("run panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			w.metrics.panicked(threadKind)
			err = w.end(*failed("internal", "internal error"))
		}
	}()
	if over, err := w.takeUp(); over || err != nil {
		return err
	}
	return w.conclude(w.own.part())
}

var errTimeout = errors.New("the run's time limit was reached")

// open reads what was committed and prepares to go on.
func (w *work) open() error {
	tr, err := applied(w.cluster, func(v *state.View) (tr transcript, err error) {
		t, ok, err := v.AnyThread(w.run.Thread)
		if err != nil || !ok {
			return tr, fmt.Errorf("read thread %s: found %v: %w", w.run.Thread, ok, err)
		}
		t.Deleted = false // a deleted thread's run is still ended properly
		if tr, err = readTranscript(v, t, w.run.ID); err != nil {
			return tr, err
		}
		open, err := v.ReservationsOf(w.run.ID)
		if len(open) > 0 {
			w.reserved, w.left = &open[0], open[1:]
		}
		return tr, err
	})
	if err != nil {
		return err
	}
	w.calls = map[string]bool{}
	for _, e := range slices.Concat(tr.entries, tr.within) {
		w.note(e)
	}
	w.journal = newJournal(w.ownership, w.run, w.computer.Epoch, tr.lastSeq+1)
	w.machine = newMachine(w)
	pairs, err := w.vault.openPairs(w.run.Account, w.run.Config.Variables)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		w.variable = append(w.variable, p.Key+"="+p.Value)
	}
	w.past = tr.events
	w.pool = mcp.New(w.ctx, mcp.Options{Computer: w.machine.in(""), Way: w.way, Version: w.version})
	return nil
}

// note takes an entry of any agent's into what is known of the run.
func (w *work) note(e agent.Entry) {
	w.known = append(w.known, e)
	if e.Call != nil {
		w.calls[e.Call.ID] = true
	}
}

// taken reports whether a call has an id.
func (w *work) taken(id string) bool { return w.calls[id] }

// within are the entries that were made in working on a handed task.
func (w *work) within(call string) []agent.Entry {
	var entries []agent.Entry
	for _, e := range w.known {
		if e.Within == call {
			entries = append(entries, e)
		}
	}
	return entries
}

// begunAt is when a handed task was begun: now, unless an earlier owner did.
func (w *work) begunAt(call string) time.Time {
	for _, e := range w.past {
		if e.Within == call {
			return w.here(e.At)
		}
	}
	return w.now()
}

// here is when a moment of the records was by this node's clock, which need not be
// as the leader's was then.
func (w *work) here(at time.Time) time.Time {
	now := w.now()
	gone, err := applied(w.cluster, func(v *state.View) (time.Duration, error) { return v.Since(at) })
	if err != nil {
		w.log.Warn("read how long a run goes on", "err", err) // its limit is counted from now
	}
	return now.Add(-gone)
}

// reservedFor is the model that money is held for.
func (w *work) reservedFor() string {
	if w.reserved == nil || w.reserved.Model == "" {
		return w.run.Config.Model
	}
	return w.reserved.Model
}

// conclude ends the run with the outcome of a part of it, or says why that
// cannot be done here.
func (w *work) conclude(o outcome, err error) error {
	switch {
	case err == nil:
		return w.end(o)
	case context.Cause(w.ctx) != nil && w.journal.lost() == nil:
		return w.halt(context.Cause(w.ctx))
	}
	return err
}

// outcome ends an agent's part of a run from inside a step.
type outcome struct {
	status state.RunStatus
	text   string       // the answer, when there is one
	why    string       // shown as the error
	word   string       // for metrics, from a closed list
	last   state.Append // committed with the end, such as the reply that holds the answer
}

func (o *outcome) Error() string { return o.why }

func failed(word, format string, args ...any) *outcome {
	return &outcome{status: state.RunFailed, why: fmt.Sprintf(format, args...), word: word}
}

// halt ends a run whose context ended: cancelled and late ones end here, one
// that is another owner's is left to it.
func (w *work) halt(why error) error {
	switch {
	case errors.Is(why, errCancelled):
		return w.end(outcome{status: state.RunCancelled, why: "Execution cancelled by user", word: "cancelled"})
	case errors.Is(why, errTimeout):
		return w.end(*failed("timeout", "Execution timed out after %s", w.run.Config.Timeout))
	}
	return fault.New(fault.Moved, "run %s: %w", w.run.ID, why)
}

// outcomeOf is how a run ends as the loop decided.
func outcomeOf(f agent.Finish) *outcome {
	switch f.Outcome {
	case agent.Completed, agent.OutputLimit, agent.Declined:
		return &outcome{status: state.RunSuccess, text: f.Text, word: string(f.Outcome)}
	}
	return failed(string(f.Outcome), "%s", f.Text)
}

// end commits the run's end: results for calls that have none, the final
// event, and what is left of money.
func (w *work) end(o outcome) error {
	w.machine.conclude(w.commits)
	ctx, cancel := context.WithTimeout(w.commits, commitGrace)
	defer cancel()
	batch := o.last
	batch.Finish = &state.Finish{Status: o.status, Message: newID[state.MessageID]("msg"), Content: o.text, Error: o.why}
	for _, lost := range agent.Interrupted(w.known) {
		events, err := eventsOf(lost, state.ItemInterrupted)
		if err != nil {
			return err
		}
		batch.Events = append(batch.Events, w.voiceIn(lost.Within).all(events)...)
	}
	usage := w.run.Usage
	if batch.Step != nil {
		usage = usage.Add(*batch.Step)
	}
	if batch.Settle != nil {
		usage.Cost += batch.Settle.Cost
	}
	batch.Events = append(batch.Events, state.Event{Kind: state.EventRunCompleted, Status: string(o.status),
		Text: clip(o.text), Error: o.why, Usage: &usage, Model: w.run.Config.Model})
	if err := w.journal.commit(ctx, batch); err != nil {
		return fmt.Errorf("end run %s: %w", w.run.ID, err)
	}
	w.metrics.ended(o.word)
	w.log.Info("run ended", "status", o.status, "outcome", o.word, "steps", w.run.Steps, "took", w.now().Sub(w.run.CreatedAt))
	return nil
}

// clip keeps an answer within an event; the message record holds it whole.
func clip(text string) string {
	if len(text) <= maxItemBytes {
		return text
	}
	return text[:runeCut(text, maxItemBytes)]
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func jitter() float64 { return rand.Float64() }
