package state

import "time"

// Bounds of one Sweep, so that it never holds up the log.
const (
	MaxSweep = 500  // records it removes
	MaxPrune = 5000 // text pieces it removes
)

// Sweep removes what is past its time: idempotency keys, join tokens, request
// windows, access sessions, shares, lines of bills, audit records, operations, builds and pulls of images (those still open fail first), revoked SSH keys, deleted computers
// with the records of disks they left, deleted threads with all they hold, and the text pieces of runs that ended long ago. The
// leader sends it when Due says so. It replies with how many records it dealt
// with: at MaxSweep or more there is more to do at once.
type Sweep struct{}

func (Sweep) apply(tx *Tx) error {
	left := MaxSweep
	for _, step := range []func(*Tx, int) (int, error){
		func(tx *Tx, n int) (int, error) {
			return sweep(tx, &answered, "age", tx.now.Add(-IdempotencyLifetime), n)
		},
		func(tx *Tx, n int) (int, error) { return sweep(tx, &tokens, "expiry", tx.now, n) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &windows, "end", tx.now, n) },
		expireOperations,
		expireBuilds,
		expirePulls,
		func(tx *Tx, n int) (int, error) {
			return sweep(tx, &operations, "ended", tx.now.Add(-OperationLifetime), n)
		},
		func(tx *Tx, n int) (int, error) { return sweep(tx, &sessions, "expiry", tx.now.Add(-SessionKept), n) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &shares, "end", tx.now.Add(-ShareKept), n) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &probes, "age", tx.now.Add(-ProbeLifetime), n) },
		func(tx *Tx, n int) (int, error) {
			return sweep(tx, &sshKeys, "revoked", tx.now.Add(-RevokedSSHKeyLifetime), n)
		},
		func(tx *Tx, n int) (int, error) {
			return sweep(tx, &images, "failed", tx.now.Add(-FailedImageLifetime), n)
		},
		func(tx *Tx, n int) (int, error) { return sweep(tx, &charges, "age", tx.now.Add(-RecordsKept), n) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &tallies, "age", tx.now.Add(-RecordsKept), n) },
		func(tx *Tx, n int) (int, error) { return sweep(tx, &audits, "age", tx.now.Add(-AuditKept), n) },
		purgeComputers,
		purgeThreads,
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
func sweep[T any](tx *Tx, t *table[T], ix string, until time.Time, n int) (int, error) {
	due, err := t.before(tx.w, ix, until, n)
	if err != nil {
		return 0, err
	}
	for _, rec := range due {
		if err := t.remove(tx.w, t.id(rec)); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// purgeComputers removes the records of computers that were deleted long ago,
// and of disks they left: the nodes have removed those by then.
func purgeComputers(tx *Tx, n int) (int, error) {
	due, err := computers.before(tx.w, "gone", tx.now.Add(-LeftDiskLifetime), n)
	if err != nil {
		return 0, err
	}
	for _, c := range due {
		if err := tx.dropDisks(c.ID, ""); err != nil {
			return 0, err
		}
		if err := computers.remove(tx.w, string(c.ID)); err != nil {
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

// pruneRuns drops text pieces, which completed items repeat in whole. A run
// with more pieces than are left to one Sweep is gone on with in the next.
func pruneRuns(tx *Tx, n int) (int, error) {
	due, err := runs.before(tx.w, "ended", tx.now.Add(-PruneAfter), n)
	if err != nil {
		return 0, err
	}
	pieces := MaxPrune
	for i, r := range due {
		k, err := tx.pruneText(r, pieces)
		if err != nil {
			return i, err
		}
		if k == pieces {
			return n, nil
		}
		pieces -= k
		r.Pruned = true
		if err := runs.put(tx.w, r); err != nil {
			return i, err
		}
	}
	return len(due), nil
}

// pruneText drops up to n text pieces of a run, the oldest first.
func (tx *Tx) pruneText(r Run, n int) (int, error) {
	var pieces []uint64
	err := tx.Events(r.Thread, r.FirstSeq-1, func(e Event) bool {
		if e.Seq > r.LastSeq {
			return false
		}
		if e.Kind == EventText {
			pieces = append(pieces, e.Seq)
		}
		return len(pieces) < n
	})
	for _, seq := range pieces {
		if err == nil {
			err = tx.w.Delete(eventKey(r.Thread, seq))
		}
	}
	return len(pieces), err
}

// purgeThreads removes deleted threads whose run has ended: their events,
// messages and runs, and when all of those are gone the threads.
func purgeThreads(tx *Tx, n int) (int, error) {
	due, err := threads.before(tx.w, "deleted", tx.now.Add(-PruneAfter), n)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, t := range due {
		if removed >= n {
			break
		}
		k, err := tx.purgeThread(t, n-removed)
		if err != nil {
			return removed, err
		}
		removed += k
	}
	return removed, nil
}

func (tx *Tx) purgeThread(t Thread, n int) (int, error) {
	log := key("event", string(t.ID))
	if err := tx.w.DeleteRange(log, after(log)); err != nil {
		return 0, err
	}
	removed, err := removeScope(tx, &messages, "thread", string(t.ID), n)
	if err != nil || removed == n {
		return removed, err
	}
	k, err := removeScope(tx, &diffs, "thread", string(t.ID), n-removed)
	if removed += k; err != nil || removed == n {
		return removed, err
	}
	k, err = removeScope(tx, &runs, "thread", string(t.ID), n-removed)
	if removed += k; err != nil || removed == n {
		return removed, err
	}
	return removed + 1, threads.remove(tx.w, string(t.ID))
}

// removeScope removes up to n records of an index's scope.
func removeScope[T any](tx *Tx, t *table[T], ix, scope string, n int) (int, error) {
	var ids []string
	prefix := t.scopePrefix(ix, []string{scope})
	err := tx.w.Scan(prefix, after(prefix), false, func(k, _ []byte) bool {
		ids = append(ids, lastPart(k))
		return len(ids) < n
	})
	for _, id := range ids {
		if err == nil {
			err = t.remove(tx.w, id)
		}
	}
	return len(ids), err
}

// Due reports whether a Sweep at the given time would remove something.
func (v *View) Due(now time.Time) (bool, error) {
	now, err := v.Now(now)
	if err != nil {
		return false, err
	}
	for _, any := range []func() (bool, error){
		func() (bool, error) { return some(v.r, &answered, "age", now.Add(-IdempotencyLifetime)) },
		func() (bool, error) { return some(v.r, &tokens, "expiry", now) },
		func() (bool, error) { return some(v.r, &windows, "end", now) },
		func() (bool, error) { return some(v.r, &operations, "deadline", now) },
		func() (bool, error) { return some(v.r, &builds, "deadline", now) },
		func() (bool, error) { return some(v.r, &operations, "ended", now.Add(-OperationLifetime)) },
		func() (bool, error) { return some(v.r, &sessions, "expiry", now.Add(-SessionKept)) },
		func() (bool, error) { return some(v.r, &shares, "end", now.Add(-ShareKept)) },
		func() (bool, error) { return some(v.r, &probes, "age", now.Add(-ProbeLifetime)) },
		func() (bool, error) { return some(v.r, &sshKeys, "revoked", now.Add(-RevokedSSHKeyLifetime)) },
		func() (bool, error) { return some(v.r, &images, "begun", now.Add(-PullLimit)) },
		func() (bool, error) { return some(v.r, &images, "failed", now.Add(-FailedImageLifetime)) },
		func() (bool, error) { return some(v.r, &charges, "age", now.Add(-RecordsKept)) },
		func() (bool, error) { return some(v.r, &tallies, "age", now.Add(-RecordsKept)) },
		func() (bool, error) { return some(v.r, &audits, "age", now.Add(-AuditKept)) },
		func() (bool, error) { return some(v.r, &computers, "gone", now.Add(-LeftDiskLifetime)) },
		func() (bool, error) { return some(v.r, &threads, "deleted", now.Add(-PruneAfter)) },
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
