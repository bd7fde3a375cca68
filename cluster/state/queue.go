package state

import "github.com/bothy-computer/bothy/cluster/fault"

// MaxQueuedRuns bounds the runs that wait for their thread's present one.
const MaxQueuedRuns = 16

// QueuedRuns visits the runs that wait for a thread's present one, the oldest
// first.
func (v *View) QueuedRuns(thread ThreadID, visit func(Run) bool) error {
	return runs.each(v.r, "queued", []string{string(thread)}, false, visit)
}

// enqueue has a run wait until the thread's present one has ended. Its message
// is said only then, after what is being done now.
func (tx *Tx) enqueue(t Thread, r Run, said *Message) error {
	waiting, err := runs.count(tx.w, "queued", string(t.ID))
	if err != nil {
		return err
	}
	if waiting >= MaxQueuedRuns {
		return fault.New(fault.Conflict, "%d messages wait in this thread already; that is the limit", MaxQueuedRuns).WithCode(CodeLimit)
	}
	a, err := tx.Account(t.Account, tx.now)
	if err != nil {
		return err
	}
	if err := a.Affords(0); err != nil {
		return err
	}
	r.Status, r.Waiting = RunQueued, said
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	return runs.create(tx.w, r)
}

// beginNext begins the oldest run that waits for a thread which has none now,
// or ends all that wait where none can be begun. The caller puts the thread.
func (tx *Tx) beginNext(t *Thread) error {
	next, err := tx.firstQueued(t.ID)
	if err != nil || next == nil {
		return err
	}
	c, ok, err := tx.AnyComputer(t.Computer)
	if err != nil {
		return err
	}
	if !ok || c.Wish == WishDeleted || t.Deleted {
		return tx.dropQueued(t.ID, "there is nothing left to run it in")
	}
	return tx.beginRun(t, *next, runs.put)
}

func (tx *Tx) firstQueued(thread ThreadID) (found *Run, err error) {
	err = tx.QueuedRuns(thread, func(r Run) bool { found = &r; return false })
	return found, err
}

// dropQueued ends every run that waits for a thread's present one.
func (tx *Tx) dropQueued(thread ThreadID, why string) error {
	var waiting []Run
	if err := tx.QueuedRuns(thread, func(r Run) bool { waiting = append(waiting, r); return true }); err != nil {
		return err
	}
	for _, r := range waiting {
		r.Status, r.Error, r.EndedAt = RunCancelled, why, tx.now
		if err := runs.put(tx.w, r); err != nil {
			return err
		}
	}
	return nil
}
