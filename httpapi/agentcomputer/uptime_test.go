package agentcomputer

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

// probed is a store in which a service was probed in some minutes of a day.
func probed(t *testing.T, now time.Time, minutes map[time.Duration]bool) *state.View {
	t.Helper()
	store := statetest.New()
	index := uint64(0)
	for ago := 48 * time.Hour; ago >= 0; ago -= time.Minute {
		good, looked := minutes[ago]
		if !looked {
			continue
		}
		p, err := state.Propose(state.CommandID{}, 0, state.RecordProbes{Probes: []state.Probe{{Service: "api", Good: good, Millis: 7}}})
		if err != nil {
			t.Fatal(err)
		}
		entry, err := state.Encode(state.Entry{Stamp: now.Add(-ago).UnixNano(), Proposals: []state.Proposal{p}})
		if err != nil {
			t.Fatal(err)
		}
		index++
		if _, err := state.Apply(store, index, entry); err != nil {
			t.Fatal(err)
		}
	}
	return state.NewView(store, nil)
}

// minutes are those from one time ago to another, all good or all bad.
func minutes(into map[time.Duration]bool, from, to time.Duration, good bool) map[time.Duration]bool {
	for ago := from; ago > to; ago -= time.Minute {
		into[ago] = good
	}
	return into
}

func TestUptimeOfProbes(t *testing.T) {
	now := time.Date(2026, 3, 30, 12, 30, 0, 0, time.UTC)
	day := 30 * time.Minute // since the hour began
	tests := map[string]struct {
		looks   map[time.Duration]bool
		status  bucket
		percent float64
		today   bucket
		hours   []bucket // the newest last
	}{
		"never looked":      {nil, unknown, 100, unknown, []bucket{unknown, unknown}},
		"all well":          {minutes(map[time.Duration]bool{}, 2*time.Hour, -time.Minute, true), operational, 100, operational, []bucket{operational, operational}},
		"down now":          {minutes(minutes(map[time.Duration]bool{}, time.Hour+day, day, true), day, -time.Minute, false), down, 65.93, degraded, []bucket{operational, down}},
		"nobody could look": {minutes(minutes(map[time.Duration]bool{}, 3*time.Hour+day, 2*time.Hour+day, true), day, -time.Minute, true), operational, 43.12, degraded, []bucket{down, operational}},
		"silent since":      {minutes(map[time.Duration]bool{}, 2*time.Hour+day, time.Hour+day, true), unknown, 40, degraded, []bucket{down, down}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, err := historyOf(probed(t, now, tt.looks), "api", now)
			if err != nil {
				t.Fatal(err)
			}
			days := h.daily(now.Truncate(24 * time.Hour))
			hours := h.hourly(now)["2026-03-30"]
			if got := hours[len(hours)-2:]; got[0] != tt.hours[0] || got[1] != tt.hours[1] {
				t.Errorf("hours %v, want %v", got, tt.hours)
			}
			if len(days) != uptimeDays || days[uptimeDays-1] != tt.today || h.status(now) != tt.status || h.percent() != tt.percent {
				t.Errorf("%s, %v %%, today %s; want %s, %v %%, %s", h.status(now), h.percent(), days[uptimeDays-1], tt.status, tt.percent, tt.today)
			}
		})
	}
}
