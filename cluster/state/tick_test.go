package state

import (
	"slices"
	"testing"
)

// running is a fixture whose computer runs on n1.
func running(t tb) (*fixture, Epoch) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Starting})
	f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: Running, HasData: true})
	return f, epoch
}

// tick reports a total cost and reserves ahead; it returns who was not covered.
func (f *fixture) tick(n NodeID, epoch Epoch, id string, cost, ahead MicroUSD) []ComputerID {
	f.tb.Helper()
	var uncovered []ComputerID
	f.reply(f.ok(n, RecordUsage{Ticks: []Tick{{Computer: comp, Epoch: epoch, Metered: Metered{Cost: cost},
		Charge: ChargeID("rec_" + id), Next: ReservationID("resv_" + id), Amount: ahead}}}), &uncovered)
	return uncovered
}

func TestTicksChargeWhatGrew(t *testing.T) {
	f, epoch := running(t)
	f.tick(n1, epoch, "1", 30, 100)
	f.tick(n1, epoch, "2", 70, 100)
	f.tick(n1, epoch, "3", 50, 100) // late: a smaller total
	f.tick(n1, epoch, "4", 70, 100) // again
	if a := f.account(acct); a.TotalSpent != 70 || a.Reserved != 100 {
		t.Fatalf("spent %d, reserved %d", a.TotalSpent, a.Reserved)
	}
	f.tick(n2, epoch, "5", 900, 100)   // not the owner
	f.tick(n1, epoch-1, "6", 900, 100) // not its epoch
	if a := f.account(acct); a.TotalSpent != 70 {
		t.Fatalf("strangers charged: spent %d", a.TotalSpent)
	}
	f.check()
}

// A computer is never charged more than was held for it or there is room for;
// what it used above that is taken when there is money again.
func TestTicksNeverOverspend(t *testing.T) {
	f, epoch := running(t)
	f.startRun("thread_1", "run_1", start-1000)
	if left := f.tick(n1, epoch, "1", 0, 800); len(left) != 0 {
		t.Fatalf("not covered: %v", left)
	}
	left := f.tick(n1, epoch, "2", 5000, 800)
	if !slices.Equal(left, []ComputerID{comp}) {
		t.Fatalf("covered without money: %v", left)
	}
	if a := f.account(acct); a.TotalSpent != 1000 || a.Balance != a.Reserved {
		t.Fatalf("spent %d, balance %d, reserved %d", a.TotalSpent, a.Balance, a.Reserved)
	}
	f.check()
	f.do(AddCredit{Account: acct, Charge: "rec_credit", Amount: 10_000})
	f.tick(n1, epoch, "3", 5000, 800)
	if a := f.account(acct); a.TotalSpent != 5000 {
		t.Fatalf("spent %d of 5000 due", a.TotalSpent)
	}
	f.check()
}

func TestReservationsOfComputersGoBack(t *testing.T) {
	for name, end := range map[string]func(f *fixture, e Epoch){
		"stopped":            func(f *fixture, e Epoch) { f.ok(n1, SetPhase{Computer: comp, Epoch: e, Phase: Stopped}) },
		"failed":             func(f *fixture, e Epoch) { f.ok(n1, SetPhase{Computer: comp, Epoch: e, Phase: Failed}) },
		"the lease ran out":  func(f *fixture, _ Epoch) { f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal}) },
		"ticked after stop":  func(f *fixture, e Epoch) { f.tick(n1, e, "2", 10, 0) },
		"deleted by its own": func(f *fixture, e Epoch) { deleteAll(f, e) },
	} {
		t.Run(name, func(t *testing.T) {
			f, epoch := running(t)
			f.tick(n1, epoch, "1", 5, 700)
			end(f, epoch)
			if a := f.account(acct); a.Reserved != 0 {
				t.Fatalf("%d still reserved", a.Reserved)
			}
			if n, err := f.view().OpenReservations(); err != nil || n != 0 {
				t.Fatalf("%d open reservations, %v", n, err)
			}
			f.check()
		})
	}
}

func deleteAll(f *fixture, e Epoch) {
	f.do(DeleteEnvironment{Account: acct, Environment: env})
	f.ok(n1, SetPhase{Computer: comp, Epoch: e, Phase: Deleted})
}
