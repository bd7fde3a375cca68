package cluster

import (
	"testing"
	"time"
)

func TestARefusedComputerPausesAndIsToldOnceAMinute(t *testing.T) {
	f := refusals{}
	if f.pauses("a", 0) {
		t.Error("a computer pauses that was never refused")
	}
	told := 0
	for now := time.Hour; now < time.Hour+3*retellEvery; now += refusedPause {
		if f.pauses("a", now) {
			t.Fatalf("it still pauses after %s", refusedPause)
		}
		if f.note("a", now) {
			told++
		}
		if !f.pauses("a", now+refusedPause/2) || f.pauses("b", now) {
			t.Fatal("not the refused computer pauses, or another")
		}
		f.forget(now)
	}
	if told != 3 {
		t.Errorf("told %d times in 3 minutes", told)
	}
	f.forget(2 * time.Hour)
	if len(f) != 0 {
		t.Errorf("%d remembered that nobody tries any more", len(f))
	}
}
