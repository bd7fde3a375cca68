package state

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestAffords(t *testing.T) {
	tests := map[string]struct {
		account Account
		amount  MicroUSD
		code    string // "" means it may be spent
	}{
		"within the balance":            {Account{Balance: 10}, 10, ""},
		"over the balance":              {Account{Balance: 10}, 11, CodeBudget},
		"over what is not reserved":     {Account{Balance: 10, Reserved: 5}, 6, CodeBudget},
		"free with money":               {Account{Balance: 1}, 0, ""},
		"free without money":            {Account{}, 0, CodeBudget},
		"unbilled":                      {Account{Unbilled: true}, 1 << 40, ""},
		"the day's limit met exactly":   {Account{Balance: 99, DailyLimit: ptr(MicroUSD(10)), DaySpent: 4}, 6, ""},
		"over the day's limit":          {Account{Balance: 99, DailyLimit: ptr(MicroUSD(10)), DaySpent: 4}, 7, CodeDaily},
		"reserved counts for the day":   {Account{Balance: 99, DailyLimit: ptr(MicroUSD(10)), DaySpent: 4, Reserved: 3}, 4, CodeDaily},
		"free on a day that is spent":   {Account{Balance: 99, DailyLimit: ptr(MicroUSD(10)), DaySpent: 10}, 0, CodeDaily},
		"a day's limit of nothing":      {Account{Balance: 99, DailyLimit: ptr(MicroUSD(0))}, 0, CodeDaily},
		"over the month's limit":        {Account{Balance: 99, MonthlyLimit: ptr(MicroUSD(10)), MonthSpent: 9}, 2, CodeMonthly},
		"free in a month that is spent": {Account{Balance: 99, MonthlyLimit: ptr(MicroUSD(10)), MonthSpent: 12}, 0, CodeMonthly},
		"sums do not overflow":          {Account{Balance: MaxBalance, DailyLimit: ptr(MicroUSD(10))}, MaxBalance, CodeDaily},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.account.Affords(tt.amount)
			if (err == nil) != (tt.code == "") {
				t.Fatalf("%v; want %q", err, tt.code)
			}
			if f, ok := err.(*fault.Error); ok && (f.Kind != fault.Payment || f.Code != tt.code) {
				t.Fatalf("%s %s; want %s", f.Kind, f.Code, tt.code)
			}
		})
	}
}

// What there is room for is what may be spent, and not a micro-dollar more.
func TestRoomIsWhatIsAfforded(t *testing.T) {
	money := func(rt *rapid.T, name string) MicroUSD { return MicroUSD(rapid.IntRange(0, 40).Draw(rt, name)) }
	rapid.Check(t, func(rt *rapid.T) {
		a := Account{Balance: money(rt, "balance"), Reserved: money(rt, "reserved"), DaySpent: money(rt, "day"), MonthSpent: money(rt, "month")}
		if rapid.Bool().Draw(rt, "daily") {
			a.DailyLimit = ptr(money(rt, "daily limit"))
		}
		if rapid.Bool().Draw(rt, "monthly") {
			a.MonthlyLimit = ptr(money(rt, "monthly limit"))
		}
		room := a.room()
		if room > 0 && a.Affords(room) != nil {
			rt.Fatalf("%+v has room for %d and refuses it: %v", a, room, a.Affords(room))
		}
		if a.Affords(room+1) == nil {
			rt.Fatalf("%+v affords more than its room of %d", a, room)
		}
	})
}

// settled runs a run that reserves an amount and ends at a cost.
func settled(f *fixture, id string, amount, cost MicroUSD) {
	f.tb.Helper()
	f.startRun(ThreadID("thread_"+id), RunID(id), amount)
	f.ok(n1, Append{Thread: ThreadID("thread_" + id), Run: RunID(id), Epoch: f.computer(comp).Epoch, FirstSeq: 1,
		Settle: &Settlement{Reservation: ReservationID("resv_" + id), Charge: ChargeID("rec_" + id), Cost: cost},
		Finish: &Finish{Status: RunSuccess, Message: MessageID("answer_" + id), Content: "yes"}})
}

func TestDayAndMonthTurn(t *testing.T) {
	f := newFixture(t)
	f.now = time.Date(2026, 3, 30, 23, 59, 59, 0, time.UTC)
	f.claim(comp, n1)
	f.do(SetLimits{Account: acct, SetDaily: true, Daily: ptr(MicroUSD(100)), SetMonthly: true, Monthly: ptr(MicroUSD(150))})
	settled(f, "run_1", 90, 90)
	f.refused(n1, startRun("thread_2", "run_2", 11), fault.Payment, CodeDaily)
	f.pass(2 * time.Second) // the 31st
	if a := f.account(acct); a.DaySpent != 0 || a.MonthSpent != 90 {
		t.Fatalf("on a new day %d and %d are spent", a.DaySpent, a.MonthSpent)
	}
	f.refused(n1, startRun("thread_2", "run_2", 61), fault.Payment, CodeMonthly)
	settled(f, "run_3", 60, 60)
	f.pass(24 * time.Hour) // April
	settled(f, "run_4", 100, 100)
	if a := f.account(acct); a.DaySpent != 100 || a.MonthSpent != 100 || a.TotalSpent != 250 || a.Balance != start-250 {
		t.Fatalf("%+v", a)
	}
	f.check()
}

func TestReservationsAreSettledOnce(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 1000)
	f.startRun("thread_2", "run_2", 500)
	settle := func(seq uint64, s Settlement) Append {
		return Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: seq, Events: make([]Event, 1), Settle: &s}
	}
	f.refused(n1, settle(1, Settlement{Reservation: "resv_run_2", Charge: "rec_1", Cost: 1}), fault.Conflict, "")
	f.refused(n1, settle(1, Settlement{Reservation: "resv_run_1", Charge: "rec_1", Cost: 1001}), fault.Invalid, "")
	f.refused(n1, settle(1, Settlement{Reservation: "resv_run_1", Charge: "rec_1", Cost: -1}), fault.Invalid, "")
	f.ok(n1, settle(1, Settlement{Reservation: "resv_run_1", Charge: "rec_1", Cost: 400}))
	f.ok(n1, settle(2, Settlement{Reservation: "resv_run_1", Charge: "rec_2", Cost: 999})) // the first won
	a := f.account(acct)
	if a.Reserved != 500 || a.TotalSpent != 400 || a.Balance != start-400 {
		t.Fatalf("reserved %d, spent %d, balance %d", a.Reserved, a.TotalSpent, a.Balance)
	}
	if r, th := f.run("run_1"), f.thread("thread_1"); r.Usage.Cost != 400 || th.Cost != 400 {
		t.Fatalf("the run cost %d, the thread %d", r.Usage.Cost, th.Cost)
	}
	f.check()
}

func TestStepCostIsNotCountedTwice(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 1000)
	f.ok(n1, Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1, Step: &Usage{InputTokens: 5, OutputTokens: 7, Cost: 300},
		Settle: &Settlement{Reservation: "resv_run_1", Charge: "rec_1", Cost: 300}})
	if r := f.run("run_1"); r.Usage != (Usage{InputTokens: 5, OutputTokens: 7, Cost: 300}) || r.Steps != 1 {
		t.Fatalf("%+v in %d steps", r.Usage, r.Steps)
	}
}

func TestMoneyRefusals(t *testing.T) {
	f := newFixture(t)
	tests := map[string]struct {
		cmd  Command
		kind fault.Kind
		code string
	}{
		"a run over the balance":       {startRun("t", "r", start+1), fault.Payment, CodeBudget},
		"a negative reservation":       {startRun("t", "r", -1), fault.Invalid, ""},
		"a reservation without bounds": {startRun("t", "r", MaxBalance+1), fault.Invalid, ""},
		"no credit":                    {AddCredit{Account: acct, Charge: "c"}, fault.Invalid, ""},
		"credit beyond the bound":      {AddCredit{Account: acct, Charge: "c", Amount: MaxBalance}, fault.Invalid, ""},
		"credit to nobody":             {AddCredit{Account: "none", Charge: "c", Amount: 1}, fault.NotFound, ""},
		"a negative limit":             {SetLimits{Account: acct, SetDaily: true, Daily: ptr(MicroUSD(-1))}, fault.Invalid, ""},
		"a negative balance":           {CreateAccount{Account: Account{ID: "x", Name: "x", Balance: -1}}, fault.Invalid, ""},
		"a name that is taken":         {CreateAccount{Account: Account{ID: "x", Name: "a"}}, fault.Conflict, ""},
		"an id that is taken":          {CreateAccount{Account: Account{ID: acct, Name: "x"}}, fault.Conflict, CodeExists},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { f.tb = t; f.refused(n1, tt.cmd, tt.kind, tt.code) })
	}
}

func TestCreditIsGivenOnce(t *testing.T) {
	f := newFixture(t)
	credit := AddCredit{Account: acct, Charge: "rec_1", Amount: 5, Idempotency: &Idempotency{Key: "k", Hash: "h"}}
	f.ok(n1, credit)
	credit.Charge = "rec_2"
	var made Made
	f.reply(f.ok(n2, credit), &made)
	if made != (Made{Resource{"charge", "rec_1"}, true}) || f.account(acct).Balance != start+5 {
		t.Fatalf("%+v, balance %d", made, f.account(acct).Balance)
	}
	f.refused(n2, AddCredit{Account: acct, Charge: "rec_1", Amount: 5}, fault.Conflict, CodeExists)
	f.check()
}

func TestUnbilledAccountsAreNotCharged(t *testing.T) {
	f := newFixture(t)
	f.do(CreateAccount{Account: Account{ID: "acct_u", Name: "u", Unbilled: true, Balance: start}})
	f.makeEnvironment("acct_u", "env_u", "comp_u")
	epoch := f.claim("comp_u", n1)
	f.ok(n1, StartRun{Account: "acct_u", Create: &Thread{ID: "t", Account: "acct_u", Environment: "env_u"}, Run: Run{ID: "r"},
		Reserve: &Reservation{ID: "v", Amount: start * 3}})
	f.ok(n1, Append{Thread: "t", Run: "r", Epoch: epoch, FirstSeq: 1, Settle: &Settlement{Reservation: "v", Charge: "c", Cost: start * 2},
		Finish: &Finish{Status: RunSuccess}})
	if a := f.account("acct_u"); a.Balance != start || a.TotalSpent != 0 || a.Reserved != 0 {
		t.Fatalf("%+v", a)
	}
	f.check()
}
