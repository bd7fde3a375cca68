package state

import (
	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxBatchEvents bounds how many events one Append carries.
const MaxBatchEvents = 256

// Append is how a run goes on: the owner of its computer adds the next events
// to the thread's log, and with them, in the same command, whatever those
// events mean for money and for the run itself. It is refused unless FirstSeq
// follows the thread's newest event and the epoch is the computer's.
type Append struct {
	Thread   ThreadID     `cbor:"1,keyasint"`
	Run      RunID        `cbor:"2,keyasint"`
	Epoch    Epoch        `cbor:"3,keyasint"`
	FirstSeq uint64       `cbor:"4,keyasint"`
	Events   []Event      `cbor:"5,keyasint"` // Seq and At are set here
	Settle   *Settlement  `cbor:"6,keyasint,omitempty"`
	Reserve  *Reservation `cbor:"7,keyasint,omitempty"` // for the next model call; after Settle
	Step     *Usage       `cbor:"8,keyasint,omitempty"` // a model's whole reply is among the events
	Setup    bool         `cbor:"9,keyasint,omitempty"` // its setup scripts ran
	Finish   *Finish      `cbor:"10,keyasint,omitempty"`
	Began    bool         `cbor:"20,keyasint,omitempty"` // the run's executor is started next
	Session  *Session     `cbor:"21,keyasint,omitempty"` // that the thread goes on in
}

func (cmd Append) apply(tx *Tx) error {
	r, ok, err := tx.AnyRun(cmd.Run)
	if err != nil {
		return err
	}
	if !ok || r.Thread != cmd.Thread {
		return fault.New(fault.NotFound, "Run not found: %s", cmd.Run)
	}
	if _, err := tx.own(r.Computer, cmd.Epoch); err != nil {
		return err
	}
	if !r.Status.live() {
		return fault.New(fault.Moved, "run %s is %s", r.ID, r.Status)
	}
	t, ok, err := tx.AnyThread(cmd.Thread)
	if err != nil || !ok {
		return err
	}
	if cmd.FirstSeq != t.LastSeq+1 {
		return fault.New(fault.Moved, "thread %s is at event %d; this batch begins with %d", t.ID, t.LastSeq, cmd.FirstSeq)
	}
	if err := cmd.events(tx, &t); err != nil {
		return err
	}
	if err := cmd.money(tx, &t, &r); err != nil {
		return err
	}
	if r.Status == RunPending {
		r.Status, r.StartedAt = RunRunning, tx.now
	}
	r.Epoch, r.Setup, r.Began = cmd.Epoch, r.Setup || cmd.Setup, r.Began || cmd.Began
	if cmd.Session != nil {
		t.Session = *cmd.Session
	}
	if cmd.Step != nil {
		r.Steps++
		step := *cmd.Step
		step.Cost = 0 // what was charged is counted when it is settled
		r.Usage = r.Usage.Add(step)
		t.InputTokens += cmd.Step.InputTokens
		t.OutputTokens += cmd.Step.OutputTokens
		if err := tx.countRun(r, Tally{InputTokens: step.InputTokens, CachedTokens: step.CachedTokens, OutputTokens: step.OutputTokens}); err != nil {
			return err
		}
	}
	if cmd.Finish != nil {
		if err := tx.finishRun(&t, &r, *cmd.Finish); err != nil {
			return err
		}
	}
	t.UpdatedAt = tx.now
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	if err := runs.put(tx.w, r); err != nil {
		return err
	}
	return threads.put(tx.w, t)
}

func (cmd Append) events(tx *Tx, t *Thread) error {
	if len(cmd.Events) > MaxBatchEvents {
		return fault.New(fault.TooLarge, "a batch of %d events; the bound is %d", len(cmd.Events), MaxBatchEvents)
	}
	for _, e := range cmd.Events {
		t.LastSeq++
		e.Seq, e.At, e.Run = t.LastSeq, tx.now, cmd.Run
		if err := putEvent(tx.w, t.ID, e); err != nil {
			return err
		}
	}
	return nil
}

func (cmd Append) money(tx *Tx, t *Thread, r *Run) error {
	if cmd.Settle != nil {
		charged, err := tx.settle(*cmd.Settle, *r)
		if err != nil {
			return err
		}
		t.Cost += charged
		r.Usage.Cost += charged
	}
	if cmd.Reserve == nil {
		return nil
	}
	next := *cmd.Reserve
	next.Account, next.Run = r.Account, r.ID
	return tx.reserve(next)
}
