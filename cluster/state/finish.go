package state

import "github.com/bothy-computer/bothy/cluster/fault"

// Finish ends a run.
type Finish struct {
	Status  RunStatus `cbor:"1,keyasint"`
	Message MessageID `cbor:"2,keyasint"` // of the answer, when there is one
	Content string    `cbor:"3,keyasint"`
	Error   string    `cbor:"4,keyasint"`
}

// finishRun ends a run and frees its thread for what waits; the caller puts both. What is
// still reserved for it goes back: its last model call was never answered.
func (tx *Tx) finishRun(t *Thread, r *Run, f Finish) error {
	if !f.Status.Over() {
		return fault.New(fault.Invalid, "a run cannot end as %q", f.Status)
	}
	var open []Reservation
	err := reservations.each(tx.w, "run", []string{string(r.ID)}, false, func(left Reservation) bool {
		open = append(open, left)
		return true
	})
	for _, left := range open {
		if err == nil {
			err = tx.release(left)
		}
	}
	if err != nil {
		return err
	}
	r.Status, r.Error, r.EndedAt, r.LastSeq = f.Status, f.Error, tx.now, t.LastSeq
	if f.Content != "" {
		m := Message{ID: f.Message, Role: "assistant", Content: f.Content, Run: r.ID}
		if err := tx.say(t, m); err != nil {
			return err
		}
	}
	t.Run, t.Status, t.UpdatedAt = "", afterRun[r.Status], tx.now
	if err := tx.runEnded(*r); err != nil {
		return err
	}
	if err := tx.announceRunEnd(*t, *r); err != nil {
		return err
	}
	if err := tx.beginNext(t); err != nil || t.Run != "" {
		return err
	}
	return tx.announceTaskEnd(*t, *r)
}

// afterRun is what a thread is once its run has ended.
var afterRun = map[RunStatus]ThreadStatus{
	RunSuccess:   ThreadCompleted,
	RunFailed:    ThreadFailed,
	RunCancelled: ThreadCancelled,
}

// abandonRuns ends the runs of a computer that no owner will end any more, with
// the event that their streams wait for. The caller's copy of the computer is
// old after it: it is idle.
func (tx *Tx) abandonRuns(c Computer, why string) error {
	var live []Run
	if err := tx.LiveRuns(c.ID, func(r Run) bool { live = append(live, r); return true }); err != nil {
		return err
	}
	for _, r := range live {
		if err := tx.abandonRun(r, why); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) abandonRun(r Run, why string) error {
	t, err := threads.get(tx.w, string(r.Thread))
	if err != nil {
		return err
	}
	if err := tx.dropQueued(t.ID, why); err != nil {
		return err
	}
	t.LastSeq++
	end := Event{Seq: t.LastSeq, Run: r.ID, Kind: EventRunCompleted, At: tx.now,
		Status: string(RunCancelled), Usage: &r.Usage, Error: why}
	if err := putEvent(tx.w, t.ID, end); err != nil {
		return err
	}
	if err := tx.finishRun(&t, &r, Finish{Status: RunCancelled, Error: why}); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	if err := runs.put(tx.w, r); err != nil {
		return err
	}
	return threads.put(tx.w, t)
}

// runEnded takes the run off its computer and adds it to its account's totals.
func (tx *Tx) runEnded(r Run) error {
	c, ok, err := tx.AnyComputer(r.Computer)
	if err != nil {
		return err
	}
	if ok {
		c.count(r, -1)
		c.UpdatedAt = tx.now
		tx.changed(Change{Noun: ChangedRun, ID: string(r.ID), Node: c.Node})
		if err := tx.putComputer(c); err != nil {
			return err
		}
	}
	a, err := tx.Account(r.Account, tx.now)
	if err != nil {
		return err
	}
	switch r.Status {
	case RunSuccess:
		a.Runs.Succeeded++
	case RunFailed:
		a.Runs.Failed++
	default:
		a.Runs.Cancelled++
	}
	if err := tx.scheduleRan(r); err != nil {
		return err
	}
	if err := tx.countRun(r, Tally{Runs: 1}); err != nil {
		return err
	}
	a.Runs.Millis += r.EndedAt.Sub(r.CreatedAt).Milliseconds()
	a.Runs.Tokens += r.Usage.InputTokens + r.Usage.OutputTokens
	return accounts.put(tx.w, a)
}
