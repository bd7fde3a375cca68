package state

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestProbesAreKeptByTheMinute(t *testing.T) {
	f := newFixture(t)
	f.now = midday.Truncate(time.Hour).Add(58 * time.Minute)
	report := func(good bool, millis int64) {
		f.do(RecordProbes{Probes: []Probe{{Service: "api", Good: good, Millis: millis}}})
	}
	report(true, 3)
	report(true, 4) // of another node in the same minute
	f.pass(time.Minute)
	report(true, 5)
	report(false, 0)
	f.pass(time.Minute)
	report(true, 6)
	var hours []ProbedHour
	if err := f.view().Probes("api", func(h ProbedHour) bool { hours = append(hours, h); return true }); err != nil {
		t.Fatal(err)
	}
	if len(hours) != 2 || hours[0].Minutes() != 1 || hours[0].Millis != 6 || hours[1].Minutes() != 2 || hours[1].GoodMinutes() != 1 || hours[1].Millis != 5 {
		t.Fatalf("%+v", hours)
	}
	f.refused("", RecordProbes{Probes: make([]Probe, maxProbes+1)}, fault.Invalid, "")
	f.check()
	f.pass(ProbeLifetime + time.Hour)
	if due, err := f.view().Due(f.now); err != nil || !due {
		t.Fatalf("nothing is due: %v", err)
	}
	f.do(Sweep{})
	if err := f.view().Probes("api", func(h ProbedHour) bool { t.Errorf("kept for ever: %+v", h); return true }); err != nil {
		t.Fatal(err)
	}
	f.check()
}
