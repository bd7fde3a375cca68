package state

import (
	"testing"
	"time"
)

// Running time is counted from records alone: over ticks, stops, owners and
// accounts, and never twice.
func TestRunningTimeIsCounted(t *testing.T) {
	f := newFixture(t)
	f.makeLone("")
	epoch := f.claim(lone, n1)
	set := func(n NodeID, e Epoch, p Phase) { f.ok(n, SetPhase{Computer: lone, Epoch: e, Phase: p, HasData: true}) }
	tick := func(n NodeID, e Epoch, bytes int64) {
		f.ok(n, RecordUsage{Ticks: []Tick{{Computer: lone, Epoch: e, StoredBytes: bytes, Charge: "rec_x", Next: "resv_x"}}})
	}
	want := func(seconds, stored int64, who AccountID) {
		t.Helper()
		c, a := f.computer(lone), f.account(who)
		if c.Metered.RunMillis != seconds*1000 || c.StoredBytes != stored || a.StoredBytes != stored {
			t.Fatalf("ran %d ms and holds %d; the account has %d", c.Metered.RunMillis, c.StoredBytes, a.StoredBytes)
		}
		f.check()
	}
	f.pass(time.Minute) // provisioning is no running
	set(n1, epoch, Running)
	f.pass(10 * time.Second)
	tick(n1, epoch, 100)
	tick(n1, epoch, 100)
	want(10, 100, acct)
	f.pass(5 * time.Second)
	set(n1, epoch, Stopped)
	f.pass(time.Hour)
	tick(n1, epoch, 70)
	want(15, 70, acct)
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishRunning})
	starting := Tick{Computer: lone, Epoch: epoch, StoredBytes: 70, Charge: "rec_y", Next: "resv_y", Starting: true}
	f.ok(n1, RecordUsage{Ticks: []Tick{starting}})
	f.pass(time.Second)
	set(n1, epoch, Running)
	f.pass(10 * time.Second)
	tick(n1, epoch, 70)
	want(25, 70, acct)
	// Its owner is lost: what it ran after the last tick nobody knows.
	f.pass(8 * time.Second)
	f.do(ExpireLease{Node: n1, Renewal: f.node(n1).Renewal})
	epoch = f.claim(lone, n2)
	f.pass(3 * time.Second)
	set(n2, epoch, Running)
	f.pass(2 * time.Second)
	tick(n2, epoch, 80)
	want(27, 80, acct)
	// Given away, its time and its bytes count for the new account.
	f.pass(4 * time.Second)
	f.do(TransferComputer{Account: acct, Computer: lone, To: other})
	f.pass(6 * time.Second)
	tick(n2, epoch, 80)
	want(37, 80, other)
	if a, b := f.account(acct), f.account(other); a.RunMillis != 31_000 || b.RunMillis != 6_000 || a.StoredBytes != 0 {
		t.Fatalf("%d ms and %d ms", a.RunMillis, b.RunMillis)
	}
	f.do(SetWish{Account: other, Computer: lone, Wish: WishDeleted})
	f.pass(time.Second)
	set(n2, epoch, Deleted)
	if b := f.account(other); b.RunMillis != 7_000 || b.StoredBytes != 0 {
		t.Fatalf("%+v", b)
	}
	f.check()
}
