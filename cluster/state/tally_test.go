package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// auditTallies adds up the bill's lines again, by day and by everything that is
// tallied, and holds balances, totals and limits to them.
func auditTallies(r Reader) error {
	lines, err1 := all(r, &charges)
	stored, err2 := all(r, &tallies)
	accts, err3 := all(r, &accounts)
	errs := []error{err1, err2, err3}
	want := map[string]Tally{}
	expect := func(l Charge, kind TallyKind, key string) {
		t := Tally{Account: l.Account, Day: dayOf(l.CreatedAt), Kind: kind, Key: key}
		if key == "" && kind != TallyAll {
			return
		}
		switch l.Type {
		case "execution":
			t.Models = l.Amount
		case "computer":
			t.Computers = l.Amount
		case "credit":
			t.Credits = l.Amount
		}
		t.Add(want[tallies.id(t)])
		want[tallies.id(t)] = t
	}
	for _, l := range lines {
		expect(l, TallyAll, "")
		expect(l, TallyEnvironment, Computer{ID: l.Computer, Environment: l.Environment}.place())
		expect(l, TallyAgent, string(l.Agent))
		expect(l, TallyModel, l.Model)
		if dayOf(l.CreatedAt) != dayOf(l.UpdatedAt) {
			errs = append(errs, fmt.Errorf("line %s goes from %s to %s", l.ID, l.CreatedAt, l.UpdatedAt))
		}
	}
	sums := map[AccountID]map[string]Tally{}
	for _, t := range stored {
		w := want[tallies.id(t)]
		delete(want, tallies.id(t))
		if t.Models != w.Models || t.Computers != w.Computers || t.Credits != w.Credits {
			errs = append(errs, fmt.Errorf("tally %s is %+v, its lines say %+v", tallies.id(t), t, w))
		}
		if sums[t.Account] == nil {
			sums[t.Account] = map[string]Tally{}
		}
		if t.Kind != TallyAll {
			continue
		}
		for _, span := range []string{"", t.Day, t.Day[:len("2006-01")]} {
			sum := sums[t.Account][span]
			sum.Add(t)
			sums[t.Account][span] = sum
		}
	}
	for id := range want {
		errs = append(errs, fmt.Errorf("there is no tally %s", id))
	}
	for _, a := range accts {
		ever, day, month := sums[a.ID][""], sums[a.ID][a.Day], sums[a.ID][a.Month]
		if ever.Spent() != a.TotalSpent || day.Spent() != a.DaySpent || month.Spent() != a.MonthSpent {
			errs = append(errs, fmt.Errorf("%s spent %d, %d this day, %d this month; tallies say %d, %d, %d",
				a.ID, a.TotalSpent, a.DaySpent, a.MonthSpent, ever.Spent(), day.Spent(), month.Spent()))
		}
		if a.Balance != start+ever.Credits-ever.Spent() {
			errs = append(errs, fmt.Errorf("%s has %d; it began with %d, got %d and spent %d", a.ID, a.Balance, start, ever.Credits, ever.Spent()))
		}
		if n := a.Runs.Succeeded + a.Runs.Failed + a.Runs.Cancelled; n != ever.Runs || a.Runs.Tokens > ever.InputTokens+ever.OutputTokens {
			errs = append(errs, fmt.Errorf("%s ended %d runs with %d tokens; tallies say %+v", a.ID, n, a.Runs.Tokens, ever))
		}
		if a.DailyLimit != nil && a.DaySpent > *a.DailyLimit && !limitsMove(a) || a.Balance < 0 {
			errs = append(errs, fmt.Errorf("%s is over-spent: %+v", a.ID, a))
		}
	}
	return errors.Join(append(errs, auditCosts(r, lines))...)
}

// limitsMove is true of the accounts whose daily limit a test lowers.
func limitsMove(a Account) bool { return a.ID != other }

// auditCosts checks that runs and threads cost what the bill says of them.
func auditCosts(r Reader, lines []Charge) error {
	recs, err1 := all(r, &runs)
	ts, err2 := all(r, &threads)
	errs := []error{err1, err2}
	ofRun, ofThread := map[RunID]MicroUSD{}, map[ThreadID]MicroUSD{}
	for _, l := range lines {
		ofRun[l.Run] += l.Amount
		ofThread[l.Thread] += l.Amount
	}
	for _, run := range recs {
		if a, err := accounts.get(r, string(run.Account)); err == nil && !a.Unbilled && run.Usage.Cost != ofRun[run.ID] {
			errs = append(errs, fmt.Errorf("run %s cost %d, its lines say %d", run.ID, run.Usage.Cost, ofRun[run.ID]))
		}
	}
	for _, t := range ts {
		if a, err := accounts.get(r, string(t.Account)); err == nil && !a.Unbilled && t.Cost != ofThread[t.ID] {
			errs = append(errs, fmt.Errorf("thread %s cost %d, its lines say %d", t.ID, t.Cost, ofThread[t.ID]))
		}
	}
	return errors.Join(errs...)
}

func (f *fixture) tally(kind TallyKind, from, to time.Time) (sum Tally, days []string) {
	f.tb.Helper()
	err := f.view().Tallies(acct, kind, from, to, func(t Tally) bool {
		sum.Add(t)
		days = append(days, t.Day+" "+t.Key)
		return true
	})
	if err != nil {
		f.tb.Fatalf("%v", err)
	}
	return sum, days
}

func TestADayIsOneLineForEachRunAndComputer(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Provisioning})
	first := f.now
	used := MicroUSD(0)
	for i := range 20 { // 20 ticks and calls over two days
		f.pass(2 * time.Hour)
		used += 7
		f.ok(n1, RecordUsage{Ticks: []Tick{{Computer: comp, Epoch: epoch, Metered: Metered{Cost: used}, Charge: ChargeID(fmt.Sprint("tick_", i))}}})
	}
	list := got(f, func(v *View) (List[Charge], error) { return v.Charges(acct, Page{Limit: 99}, nil) })
	if list.Total != 3 {
		t.Fatalf("%d lines for 20 ticks on three days", list.Total)
	}
	sum, days := f.tally(TallyEnvironment, first, f.now)
	if sum.Computers != 140 || len(days) != 3 || days[0] != "2026-03-30 env_a" {
		t.Fatalf("%+v on %v", sum, days)
	}
	if sum, days := f.tally(TallyAll, first.Add(24*time.Hour), first.Add(24*time.Hour)); len(days) != 1 || sum.Computers != 7*12 {
		t.Fatalf("%+v on %v", sum, days)
	}
	if _, days := f.tally(TallyAll, f.now, first); len(days) != 0 {
		t.Fatalf("backwards are %v", days)
	}
	f.check()
}

func TestOldLinesGoAndTheirSumsStay(t *testing.T) {
	f := newFixture(t)
	f.claim(comp, n1)
	settled(f, "run_1", 90, 90)
	f.do(AddCredit{Account: acct, Charge: "rec_c", Amount: 5})
	first := f.now
	f.pass(RecordsKept + 48*time.Hour)
	if due := got(f, func(v *View) (bool, error) { return v.Due(f.now) }); !due {
		t.Fatal("nothing is due")
	}
	f.do(Sweep{})
	if n := got(f, func(v *View) (List[Charge], error) { return v.Charges(acct, Page{Limit: 9}, nil) }).Total; n != 0 {
		t.Fatalf("%d lines are left", n)
	}
	if sum, days := f.tally(TallyEnvironment, first, f.now); len(days) != 0 {
		t.Fatalf("%+v on %s", sum, strings.Join(days, ", "))
	}
	sum, _ := f.tally(TallyAll, first, f.now)
	if a := f.account(acct); sum.Spent() != a.TotalSpent || sum.Credits != 5 || sum.Spent() != 90 {
		t.Fatalf("%+v and %+v", sum, a)
	}
}
