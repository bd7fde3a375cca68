package state

import (
	"time"
)

// MaxSweep bounds how many records one Sweep removes, so that it never holds
// up the log.
const MaxSweep = 500

// Sweep removes what is past its time: idempotency keys, join tokens, request
// windows, left disks' records, and the text pieces of runs that ended long
// ago. The leader sends it when Due says so; it replies with how many it removed.
type Sweep struct{}

func (Sweep) apply(tx *Tx) error {
	left := MaxSweep
	for _, step := range []func(*Tx, int) (int, error){
		func(tx *Tx, n int) (int, error) {
			return sweep(tx, &answered, "age", tx.now.Add(-IdempotencyLifetime), n, nil)
		},
		func(tx *Tx, n int) (int, error) { return sweep(tx, &tokens, "expiry", tx.now, n, nil) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &windows, "end", tx.now, n, nil) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &snapshots, "expiry", tx.now, n, nil) },
		pruneRuns,
	} {
		if left <= 0 {
			break
		}
		n, err := step(tx, left)
		if err != nil {
			return err
		}
		left -= n
	}
	tx.Reply(MaxSweep - left)
	return nil
}

// sweep removes up to n records whose position in a scopeless, time-ordered
// index is before until.
func sweep[T any](tx *Tx, t *table[T], ix string, until time.Time, n int, then func(T) error) (int, error) {
	due, err := t.before(tx.w, ix, until, n)
	if err != nil {
		return 0, err
	}
	for _, rec := range due {
		if then != nil {
			err = then(rec)
		} else {
			err = t.remove(tx.w, t.id(rec))
		}
		if err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// before lists up to n records of a scopeless, time-ordered index from its
// beginning to a time.
func (t *table[T]) before(r Reader, ix string, until time.Time, n int) ([]T, error) {
	from, to := t.scopePrefix(ix, nil), t.scopePrefix(ix, []string{stampText(until)})
	var ids []string
	err := r.Scan(from, to, false, func(k, _ []byte) bool {
		ids = append(ids, lastPart(k))
		return len(ids) < n
	})
	if err != nil {
		return nil, err
	}
	due := make([]T, 0, len(ids))
	for _, id := range ids {
		rec, err := t.get(r, id)
		if err != nil {
			return nil, err
		}
		due = append(due, rec)
	}
	return due, nil
}

// pruneRuns drops text pieces, which completed items repeat in whole. A run's
// pieces count as one record each against the bound, but a run is never left half done.
func pruneRuns(tx *Tx, n int) (int, error) {
	removed := 0
	due, err := runs.before(tx.w, "ended", tx.now.Add(-PruneAfter), n)
	if err != nil {
		return 0, err
	}
	for _, r := range due {
		if removed >= n {
			break
		}
		k, err := tx.pruneText(r)
		if err != nil {
			return removed, err
		}
		r.Pruned = true
		if err := runs.put(tx.w, r); err != nil {
			return removed, err
		}
		removed += k + 1
	}
	return removed, nil
}

func (tx *Tx) pruneText(r Run) (int, error) {
	var pieces []uint64
	err := tx.Events(r.Thread, r.FirstSeq-1, func(e Event) bool {
		if e.Seq > r.LastSeq {
			return false
		}
		if e.Kind == EventText {
			pieces = append(pieces, e.Seq)
		}
		return true
	})
	for _, seq := range pieces {
		if err == nil {
			err = tx.w.Delete(eventKey(r.Thread, seq))
		}
	}
	return len(pieces), err
}

// Due reports whether a Sweep at the given time would remove something.
func (v *View) Due(now time.Time) (bool, error) {
	for _, any := range []func() (bool, error){
		func() (bool, error) { return some(v.r, &answered, "age", now.Add(-IdempotencyLifetime)) },
		func() (bool, error) { return some(v.r, &tokens, "expiry", now) },
		func() (bool, error) { return some(v.r, &windows, "end", now) },
		func() (bool, error) { return some(v.r, &snapshots, "expiry", now) },
		func() (bool, error) { return some(v.r, &runs, "ended", now.Add(-PruneAfter)) },
	} {
		if yes, err := any(); yes || err != nil {
			return yes, err
		}
	}
	return false, nil
}

func some[T any](r Reader, t *table[T], ix string, until time.Time) (bool, error) {
	due, err := t.before(r, ix, until, 1)
	return len(due) > 0, err
}
