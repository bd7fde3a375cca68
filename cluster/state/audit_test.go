package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// audit counts everything in a store again and says what does not add up:
// index entries, counters, money, logs, runs on computers, defaults.
func audit(r Reader) error {
	return errors.Join(auditIndexes(r), auditMoney(r), auditRuns(r), auditWebhooks(r), auditThreads(r), auditDefaults(r), auditOperations(r), auditAccess(r), auditSchedules(r), auditTallies(r), auditSent(r))
}

// all reads every record of a table.
func all[T any](r Reader, t *table[T]) ([]T, error) {
	var recs []T
	var failed error
	err := r.Scan(key(t.name), after(key(t.name)), false, func(k, value []byte) bool {
		var rec T
		if failed = Decode(value, &rec); failed != nil {
			failed = fmt.Errorf("%s %q: %w", t.name, k, failed)
			return false
		}
		recs = append(recs, rec)
		return true
	})
	return recs, errors.Join(err, failed)
}

// auditSent checks that a disk is where its computer's owner is, for which it was
// sent, and that the owner has no other that is the newest.
func auditSent(r Reader) error {
	list, err := all(r, &computers)
	for _, c := range list {
		if c.Sent.Name != "" && (c.Sent.Node != c.Node || c.DataNode == c.Node || c.DataNode == "" || c.Sent.Epoch >= c.Epoch) {
			err = errors.Join(err, fmt.Errorf("computer %s is on node %q, its disk on %q, and was sent: %+v", c.ID, c.Node, c.DataNode, c.Sent))
		}
	}
	return err
}

func auditIndexes(r Reader) error {
	want := map[string]uint64{} // 0: an index entry; else a count
	var errs []error
	for _, expect := range []func() error{
		func() error { return expected(r, &nodes, want) }, func() error { return expected(r, &tokens, want) },
		func() error { return expected(r, &accounts, want) }, func() error { return expected(r, &users, want) },
		func() error { return expected(r, &keys, want) }, func() error { return expected(r, &windows, want) },
		func() error { return expected(r, &agents, want) }, func() error { return expected(r, &environments, want) },
		func() error { return expected(r, &computers, want) }, func() error { return expected(r, &threads, want) },
		func() error { return expected(r, &messages, want) }, func() error { return expected(r, &runs, want) },
		func() error { return expected(r, &reservations, want) }, func() error { return expected(r, &charges, want) },
		func() error { return expected(r, &snapshots, want) }, func() error { return expected(r, &operations, want) }, func() error { return expected(r, &probes, want) },
		func() error { return expected(r, &sessions, want) }, func() error { return expected(r, &ports, want) }, func() error { return expected(r, &shares, want) },
		func() error { return expected(r, &answered, want) }, func() error { return expected(r, &sshKeys, want) },
		func() error { return expected(r, &builds, want) }, func() error { return expected(r, &diffs, want) }, func() error { return expected(r, &skills, want) }, func() error { return expected(r, &schedules, want) },
		func() error { return expected(r, &webhooks, want) }, func() error { return expected(r, &deliveries, want) },
		func() error { return expected(r, &images, want) },
		func() error { return expected(r, &registries, want) },
		func() error { return expected(r, &tallies, want) },
		func() error { return expected(r, &audits, want) },
	} {
		errs = append(errs, expect())
	}
	from, to := Bounds()
	err := r.Scan(from, to, false, func(k, value []byte) bool {
		tableName, _, _ := strings.Cut(strings.TrimPrefix(string(k), group+" "), "\x00")
		counter := strings.Contains(tableName, "#")
		if !counter && !strings.Contains(tableName, ".") {
			return true
		}
		n, ok := want[string(k)]
		delete(want, string(k))
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("left behind: %q = %x", k, value))
		case counter && string(value) != string(encodeUint(n)):
			errs = append(errs, fmt.Errorf("%q counts %x; there are %d", k, value, n))
		}
		return true
	})
	for k := range want {
		errs = append(errs, fmt.Errorf("missing: %q", k))
	}
	return errors.Join(append(errs, err)...)
}

func expected[T any](r Reader, t *table[T], want map[string]uint64) error {
	recs, err := all(r, t)
	for _, rec := range recs {
		for _, ix := range t.indexes {
			if at, count, ok := t.place(ix, &rec, t.id(rec)); ok {
				want[string(at)] = 0
				want[string(count)]++
			}
		}
	}
	return err
}

// auditMoney checks that balance, spent, credits and open reservations add up.
// Every account of the tests began with start.
func auditMoney(r Reader) error {
	accts, err1 := all(r, &accounts)
	open, err2 := all(r, &reservations)
	lines, err3 := all(r, &charges)
	comps, err4 := all(r, &computers)
	errs := []error{err1, err2, err3, err4}
	holder := map[ReservationID]bool{}
	for _, c := range comps {
		holder[c.Reservation] = true
	}
	for _, a := range accts {
		var reserved, spent, credit MicroUSD
		for _, o := range open {
			if o.Account == a.ID {
				reserved += o.Amount
			}
		}
		for _, l := range lines {
			switch {
			case l.Account != a.ID:
			case l.Type == "credit":
				credit += l.Amount
			default:
				spent += l.Amount
			}
		}
		switch {
		case a.Reserved != reserved:
			errs = append(errs, fmt.Errorf("%s: %d reserved, open reservations hold %d", a.ID, a.Reserved, reserved))
		case a.TotalSpent != spent:
			errs = append(errs, fmt.Errorf("%s: %d spent, its bill says %d", a.ID, a.TotalSpent, spent))
		case a.Balance != start+credit-spent:
			errs = append(errs, fmt.Errorf("%s: balance %d; %d + %d - %d", a.ID, a.Balance, start, credit, spent))
		case a.Balance < a.Reserved && !a.Unbilled:
			errs = append(errs, fmt.Errorf("%s: over-spent: balance %d, reserved %d", a.ID, a.Balance, a.Reserved))
		}
	}
	for _, o := range open {
		run, ok, err := runs.find(r, string(o.Run))
		if err != nil || (o.Run != "" && (!ok || run.Status.Over())) || (o.Run == "" && !holder[o.ID]) {
			errs = append(errs, fmt.Errorf("reservation %s of run %q, computer %q leaked (%v)", o.ID, o.Run, o.Computer, err))
		}
	}
	return errors.Join(errs...)
}

// auditRuns checks who is busy: computers count their live runs, and a thread
// names its run exactly while it lives.
func auditRuns(r Reader) error {
	recs, err := all(r, &runs)
	errs := []error{err}
	live, busy, waiting := map[ComputerID]int{}, map[ThreadID]RunID{}, map[ThreadID]int{}
	for _, run := range recs {
		if run.Status == RunQueued {
			waiting[run.Thread]++
		}
		if !run.Status.live() {
			continue
		}
		live[run.Computer]++
		if busy[run.Thread] != "" {
			errs = append(errs, fmt.Errorf("thread %s has two live runs", run.Thread))
		}
		busy[run.Thread] = run.ID
	}
	comps, err := all(r, &computers)
	errs = append(errs, err)
	for _, c := range comps {
		if c.Live != live[c.ID] {
			errs = append(errs, fmt.Errorf("computer %s says %d live runs; there are %d", c.ID, c.Live, live[c.ID]))
		}
		if c.Phase == Deleted && c.Live > 0 {
			errs = append(errs, fmt.Errorf("computer %s is deleted and has runs", c.ID))
		}
	}
	ts, err := all(r, &threads)
	errs = append(errs, err)
	for _, t := range ts {
		if t.Run != busy[t.ID] || (t.Run != "") != (t.Status == ThreadRunning) {
			errs = append(errs, fmt.Errorf("thread %s is %s with run %q; its live run is %q", t.ID, t.Status, t.Run, busy[t.ID]))
		}
		if n := waiting[t.ID]; n > MaxQueuedRuns || n > 0 && t.Run == "" {
			errs = append(errs, fmt.Errorf("%d runs of thread %s wait for run %q", n, t.ID, t.Run))
		}
	}
	return errors.Join(errs...)
}

// auditWebhooks checks that webhooks say how many deliveries wait for them.
func auditWebhooks(r Reader) error {
	hooks, err := all(r, &webhooks)
	errs := []error{err}
	for _, w := range hooks {
		n, err := deliveries.count(r, "webhook", string(w.ID))
		if n != w.Waiting {
			errs = append(errs, fmt.Errorf("webhook %s says %d deliveries wait; there are %d", w.ID, w.Waiting, n))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// auditThreads checks that logs have no gap but where text was pruned, and that
// messages are numbered without one.
func auditThreads(r Reader) error {
	ts, err := all(r, &threads)
	errs := []error{err}
	for _, t := range ts {
		last, gapsBefore := uint64(0), false
		err := NewView(r, nil).Events(t.ID, 0, func(e Event) bool {
			gaps := mayHaveGaps(r, t, e)
			if run, _, _ := runs.find(r, string(e.Run)); last == 0 && e.Seq == run.FirstSeq {
				last = e.Seq - 1 // a copy of a thread that had only pieces
			}
			if e.Seq != last+1 && !gapsBefore && !gaps {
				errs = append(errs, fmt.Errorf("thread %s: event %d follows %d", t.ID, e.Seq, last))
			}
			last, gapsBefore = e.Seq, gaps
			return true
		})
		if last > t.LastSeq || last < t.LastSeq && !gapsBefore && last > 0 {
			errs = append(errs, fmt.Errorf("thread %s ends at %d, says %d", t.ID, last, t.LastSeq))
		}
		n, err2 := messages.count(r, "thread", string(t.ID))
		if n != t.Messages && !t.Deleted {
			errs = append(errs, fmt.Errorf("thread %s has %d messages, says %d", t.ID, n, t.Messages))
		}
		errs = append(errs, err, err2)
	}
	return errors.Join(errs...)
}

// mayHaveGaps reports whether events round e may be missing: in a copy, which
// holds whole items only, and where a run ended long enough ago to be pruned.
func mayHaveGaps(r Reader, t Thread, e Event) bool {
	run, ok, err := runs.find(r, string(e.Run))
	stamp, _ := LastStamp(r)
	return err != nil || !ok || run.Thread != t.ID || run.Status.Over() && stamp-run.EndedAt.UnixNano() >= int64(PruneAfter)
}

func auditDefaults(r Reader) error {
	es, err := all(r, &environments)
	errs := []error{err}
	defaults := map[AccountID]int{}
	for _, e := range es {
		if e.Default {
			defaults[e.Account]++
		}
		if e.Default && e.Inactive {
			errs = append(errs, fmt.Errorf("environment %s is inactive and the default", e.ID))
		}
	}
	for a, n := range defaults {
		if n > 1 {
			errs = append(errs, fmt.Errorf("account %s has %d defaults", a, n))
		}
	}
	return errors.Join(errs...)
}

// The audit itself must see each kind of damage, or the tests above it prove nothing.
func TestAuditSeesDamage(t *testing.T) {
	damage := map[string]func(f *fixture) error{
		"a counter":      func(f *fixture) error { return add(f.store, accounts.countKey("all", nil), 1) },
		"an index entry": func(f *fixture) error { return f.store.Set(key("thread.account", "x", "y", "z"), []byte{1}) },
		"a lost entry":   func(f *fixture) error { k := key("computer.node"); return f.store.DeleteRange(k, after(k)) },
		"a reservation":  func(f *fixture) error { return reservations.remove(f.store, "resv_run_1") },
		"a balance":      func(f *fixture) error { a := f.account(acct); a.Balance--; return accounts.put(f.store, a) },
		"a run":          func(f *fixture) error { return runs.remove(f.store, "run_1") },
		"an event":       func(f *fixture) error { return f.store.Delete(eventKey("thread_1", 2)) },
		"a live count":   func(f *fixture) error { c := f.computer(comp); c.Live++; return computers.put(f.store, c) },
		"a tally": func(f *fixture) error {
			return tallies.put(f.store, Tally{Account: acct, Day: dayOf(f.now), Kind: TallyAgent, Key: "x", Models: 1})
		},
		"a day's sum": func(f *fixture) error {
			return tallies.put(f.store, Tally{Account: acct, Day: dayOf(f.now), Kind: TallyAll, Threads: 1, Credits: 1})
		},
		"a last sequence": func(f *fixture) error { x := f.thread("thread_1"); x.LastSeq++; return threads.put(f.store, x) },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			epoch := f.claim(comp, n1)
			f.startRun("thread_1", "run_1", 1000)
			f.ok(n1, Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1, Events: make([]Event, 3)})
			f.check()
			if err := do(f); err != nil {
				t.Fatal(err)
			}
			if audit(f.store) == nil {
				t.Fatal("the audit sees nothing wrong")
			}
		})
	}
}

// auditOperations checks that each computer counts its open operations.
func auditOperations(r Reader) error {
	comps, err1 := all(r, &computers)
	ops, err2 := all(r, &operations)
	errs := []error{err1, err2}
	open := map[ComputerID]int{}
	for _, o := range ops {
		if !o.Status.Over() {
			open[o.Computer]++
		}
	}
	for _, c := range comps {
		if c.Operations != open[c.ID] {
			errs = append(errs, fmt.Errorf("computer %s counts %d open operations; there are %d", c.ID, c.Operations, open[c.ID]))
		}
	}
	return errors.Join(errs...)
}

// auditAccess checks that every way into a computer leads to one that is there
// and belongs to who gave it.
func auditAccess(r Reader) error {
	ss, err1 := all(r, &sessions)
	ps, err2 := all(r, &ports)
	links, err3 := all(r, &shares)
	errs := []error{err1, err2, err3}
	check := func(what string, id ComputerID, account AccountID) {
		c, ok, err := computers.find(r, string(id))
		if err != nil || !ok || c.Wish == WishDeleted || account != "" && c.Account != account {
			errs = append(errs, fmt.Errorf("%s leads to computer %s of %s (%v)", what, id, c.Account, err))
		}
	}
	for _, s := range ss {
		check("session "+string(s.ID), s.Computer, s.Account)
	}
	for _, p := range ps {
		check("port "+p.ID(), p.Computer, "")
	}
	for _, s := range links {
		check("share "+string(s.ID), s.Computer, s.Account)
	}
	return errors.Join(errs...)
}

// auditSchedules checks that each schedule has the runs that it counts, and
// leads to an environment and a thread that are there.
func auditSchedules(r Reader) error {
	recs, err1 := all(r, &schedules)
	began, err2 := all(r, &runs)
	errs := []error{err1, err2}
	for _, s := range recs {
		var ok, failed, open int64
		for _, run := range began {
			switch {
			case run.Schedule != s.ID:
			case run.Status == RunSuccess:
				ok++
			case run.Status == RunFailed:
				failed++
			default:
				open++
			}
		}
		if s.Succeeded < ok || s.Failed < failed || s.Runs < s.Succeeded+s.Failed+open {
			errs = append(errs, fmt.Errorf("schedule %s counts %d runs, %d succeeded, %d failed; there are %d, %d and %d others",
				s.ID, s.Runs, s.Succeeded, s.Failed, ok, failed, open))
		}
		if !s.NextRunAt.After(s.LastTick) && s.due() {
			errs = append(errs, fmt.Errorf("schedule %s: the tick at %s comes again", s.ID, s.NextRunAt))
		}
		if _, found, err := environments.find(r, string(s.Environment)); err != nil || !found {
			errs = append(errs, fmt.Errorf("schedule %s leads to environment %s (%v)", s.ID, s.Environment, err))
		}
		if s.Thread == "" {
			continue
		}
		if t, found, err := threads.find(r, string(s.Thread)); err != nil || !found || t.Deleted {
			errs = append(errs, fmt.Errorf("schedule %s leads to thread %s (%v)", s.ID, s.Thread, err))
		}
	}
	return errors.Join(errs...)
}
