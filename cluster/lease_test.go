package cluster

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

type fakeWarden struct {
	deadline time.Duration
	none     bool
	fails    error
}

func (w *fakeWarden) Deadline(at time.Duration) error {
	w.deadline, w.none = at, false
	return w.fails
}

func (w *fakeWarden) NoDeadline() error {
	w.none = true
	return w.fails
}

func newTestLease(clock Clock, w Warden, alone bool) *lease {
	return newLease(clock, DefaultTiming(), w, slog.New(slog.DiscardHandler), func() bool { return alone })
}

func TestLeaseIsCountedFromBeforeItWasSent(t *testing.T) {
	clock, w := &fakeClock{boot: time.Hour}, &fakeWarden{}
	l := newTestLease(clock, w, false)
	defer l.close()
	if l.held() {
		t.Fatal("held before the first renewal")
	}
	sent := clock.boot
	clock.boot += 3 * time.Second // the renewal took this long
	must(t, l.renewed(sent))
	if !l.held() || w.deadline != sent+9*time.Second || l.margin() != 5*time.Second {
		t.Fatalf("held %v, freeze at %v after sending, margin %v", l.held(), w.deadline-sent, l.margin())
	}
	clock.boot = sent + 8*time.Second
	if l.held() {
		t.Fatal("held at 8 s")
	}
	ctx, done := l.context(context.Background())
	defer done()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
		t.Fatalf("the context ended with %v", context.Cause(ctx))
	}
	must(t, l.renewed(clock.boot)) // late, and not expired by the leader
	if !l.held() {
		t.Fatal("not held after a late renewal")
	}
}

func TestLeaseDoesNotCountWithoutTheWarden(t *testing.T) {
	clock, w := &fakeClock{boot: time.Hour}, &fakeWarden{fails: errors.New("no warden")}
	l := newTestLease(clock, w, false)
	defer l.close()
	if err := l.renewed(clock.boot); err == nil || l.held() {
		t.Fatalf("held %v without a fence: %v", l.held(), err)
	}
}

func TestExpiredLeaseNeedsReconciling(t *testing.T) {
	clock := &fakeClock{boot: time.Hour}
	l := newTestLease(clock, &fakeWarden{}, false)
	defer l.close()
	must(t, l.renewed(clock.boot))
	l.expired()
	must(t, l.renewed(clock.boot))
	if l.held() {
		t.Fatal("held before it is known what is still this node's own")
	}
	l.reconcile()
	if !l.held() {
		t.Fatal("not held after reconciling")
	}
}

func TestLoneNodeKeepsItsLease(t *testing.T) {
	clock, w := &fakeClock{boot: time.Hour}, &fakeWarden{}
	l := newTestLease(clock, w, true)
	defer l.close()
	must(t, l.renewed(clock.boot))
	clock.boot += time.Hour
	l.check()
	ctx, done := l.context(context.Background())
	defer done()
	if !w.none || !l.held() || ctx.Err() != nil {
		t.Fatalf("no deadline %v, held %v, context %v", w.none, l.held(), ctx.Err())
	}
}

func TestOverdue(t *testing.T) {
	const expire = 11 * time.Second
	node := func(id string, renewal uint64) state.Node {
		return state.Node{ID: state.NodeID(id), Incarnation: 1, Renewal: renewal}
	}
	known := map[state.NodeID]seen{}
	two := []state.Node{node("a", 1), node("b", 5)}
	if got := overdue(two, known, 0, expire); got != nil {
		t.Fatalf("at first sight: %v", got)
	}
	if got := overdue([]state.Node{node("a", 2), node("b", 5)}, known, 10*time.Second, expire); got != nil {
		t.Fatalf("before the time: %v", got)
	}
	want := []state.ExpireLease{{Node: "b", Renewal: 5}}
	if got := overdue([]state.Node{node("a", 2), node("b", 5)}, known, 11*time.Second, expire); !reflect.DeepEqual(got, want) {
		t.Fatalf("at the time: %v", got)
	}
	gone := node("b", 5)
	gone.Expired = true
	if got := overdue([]state.Node{node("a", 2), gone}, known, 12*time.Second, expire); got != nil || len(known) != 1 {
		t.Fatalf("an expired one: %v, known %v", got, known)
	}
	if got := overdue([]state.Node{node("a", 2)}, known, time.Hour, expire); got != nil {
		t.Fatalf("the only node: %v", got)
	}
	if got := overdue([]state.Node{node("a", 2), {ID: "new"}}, map[state.NodeID]seen{}, time.Hour, expire); got != nil {
		t.Fatalf("one that never lived: %v", got)
	}
}

func TestTimingIsOrdered(t *testing.T) {
	must(t, Timing{}.orDefault().check())
	for name, break_ := range map[string]func(*Timing){
		"freezing after the hold":        func(d *Timing) { d.Freeze = d.Hold },
		"expiring within the hold":       func(d *Timing) { d.Expire = d.Hold },
		"acting after the freeze":        func(d *Timing) { d.Act = d.Freeze },
		"leading without a majority too": func(d *Timing) { d.Quorum = 2 * d.Heartbeat },
	} {
		d := DefaultTiming()
		break_(&d)
		if d.check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if got := DefaultTiming().commitFor(3); got != 5*time.Millisecond {
		t.Errorf("3 nodes: %v", got)
	}
	if got := DefaultTiming().commitFor(40); got != 40*time.Millisecond {
		t.Errorf("40 nodes: %v", got)
	}
}
