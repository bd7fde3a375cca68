package timetable

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ticks are the first n ticks after a moment.
func ticks(t *testing.T, expression, zone, from string, n int) []string {
	t.Helper()
	table, err := Recurring(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	now := at(t, from)
	for range n {
		next, ok := table.After(now)
		if !ok {
			break
		}
		out = append(out, next.Format(time.RFC3339))
		now = next
	}
	return out
}

func TestTicks(t *testing.T) {
	tests := map[string]struct {
		cron, zone, from string
		want             []string
	}{
		"every morning":           {"0 9 * * *", "", "2026-03-01T09:00:00Z", []string{"2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"}},
		"in a zone":               {"0 9 * * *", "Asia/Kolkata", "2026-03-01T00:00:00Z", []string{"2026-03-01T03:30:00Z"}},
		"every quarter":           {"*/15 * * * *", "", "2026-03-01T00:07:31Z", []string{"2026-03-01T00:15:00Z", "2026-03-01T00:30:00Z"}},
		"working days":            {"30 8 * * MON-FRI", "", "2026-03-06T08:30:00Z", []string{"2026-03-09T08:30:00Z"}},
		"day or weekday":          {"0 0 13 * 5", "", "2026-03-01T00:00:00Z", []string{"2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"}},
		"leap day":                {"0 0 29 2 *", "", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"the 31st":                {"0 0 31 * *", "", "2026-02-01T00:00:00Z", []string{"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
		"by name":                 {"@Daily", "", "2026-03-01T10:00:00Z", []string{"2026-03-02T00:00:00Z"}},
		"a fraction of a second":  {"* * * * *", "", "2026-03-01T10:00:59Z", []string{"2026-03-01T10:01:00Z"}},
		"spring skips 02:30":      {"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", []string{"2026-03-09T06:30:00Z"}},
		"autumn takes 01:30 once": {"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		"every half hour goes on through the hour that comes twice": {"*/30 * * * *", "America/New_York", "2026-11-01T04:45:00Z",
			[]string{"2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"}},
		"every half hour passes the hour that does not come": {"*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z",
			[]string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ticks(t, tt.cron, tt.zone, tt.from, len(tt.want))
			if strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Fatalf("%v; want %v", got, tt.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct{ cron, zone, field string }{
		"nothing":                 {"", "", "cronExpression"},
		"four fields":             {"* * * *", "", "cronExpression"},
		"seconds":                 {"* * * * * *", "", "cronExpression"},
		"a minute too many":       {"60 * * * *", "", "cronExpression"},
		"a word":                  {"every day at nine o", "", "cronExpression"},
		"a step of nothing":       {"*/0 * * * *", "", "cronExpression"},
		"a step without a number": {"*/ * * * *", "", "cronExpression"},
		"a range backwards":       {"30-10 * * * *", "", "cronExpression"},
		"a day that never comes":  {"0 0 31 2 *", "", "cronExpression"},
		"@every":                  {"@every 1m", "", "cronExpression"},
		"@everysecond":            {"@everysecond", "", "cronExpression"},
		"a zone inside":           {"TZ=UTC * * * * *", "", "cronExpression"},
		"a zone inside, glued":    {"CRON_TZ=UTC * * * *", "", "cronExpression"},
		"too long":                {strings.Repeat("1,", 200) + "1 * * * *", "", "cronExpression"},
		"a list too long":         {strings.Repeat("1,", 100) + "1 * * * *", "", "cronExpression"},
		"a zone that is none":     {"* * * * *", "Mars/Olympus", "timezone"},
		"a path":                  {"* * * * *", "../../etc/passwd", "timezone"},
		"the machine's own":       {"* * * * *", "Local", "timezone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table, err := Recurring(tt.cron, tt.zone)
			if err == nil {
				_, err = table.Begin(at(t, "2026-03-01T09:00:00Z"))
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != tt.field || !strings.HasPrefix(f.Message, tt.field) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestAMomentThatIsOverIsRefused(t *testing.T) {
	now := at(t, "2026-03-01T09:00:00Z")
	for ago, ok := range map[time.Duration]bool{-time.Hour: true, 0: true, 59 * time.Second: true, 61 * time.Second: false} {
		table, err := Once(now.Add(-ago), "UTC")
		if err != nil {
			t.Fatal(err)
		}
		tick, err := table.Begin(now)
		if (err == nil) != ok || ok && !tick.Equal(now.Add(-ago)) {
			t.Errorf("%s ago: %s, %v", ago, tick, err)
		}
	}
}

func TestLook(t *testing.T) {
	const tick = "2026-03-01T09:00:00Z"
	tests := map[string]struct {
		cron, now string
		want      Look
	}{
		"on time":                   {"0 9 * * *", tick, Look{Fire: true, Next: at(t, "2026-03-02T09:00:00Z")}},
		"late, within the hour":     {"0 9 * * *", "2026-03-01T09:59:59Z", Look{Fire: true, Next: at(t, "2026-03-02T09:00:00Z")}},
		"an hour late":              {"0 9 * * *", "2026-03-01T10:00:00Z", Look{Missed: 1, Next: at(t, "2026-03-02T09:00:00Z")}},
		"three passed, the last is": {"*/20 * * * *", "2026-03-01T09:41:00Z", Look{Fire: true, Missed: 2, Next: at(t, "2026-03-01T10:00:00Z")}},
		"days passed":               {"0 9 * * *", "2026-03-04T20:00:00Z", Look{Missed: 4, Next: at(t, "2026-03-05T09:00:00Z")}},
		"a clock set back":          {"0 9 * * *", "2026-03-01T08:00:00Z", Look{Fire: true, Next: at(t, "2026-03-02T09:00:00Z")}},
		"once":                      {"", "2026-03-01T09:00:01Z", Look{Fire: true}},
		"once, too late":            {"", "2026-03-01T11:00:01Z", Look{Missed: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table, err := Once(at(t, tick), "")
			if tt.cron != "" {
				table, err = Recurring(tt.cron, "")
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := table.Look(at(t, tick), at(t, tt.now)); got != tt.want {
				t.Fatalf("%+v; want %+v", got, tt.want)
			}
		})
	}
}

// However long nobody looked, every tick is counted exactly once.
func TestALongTimeIsCountedInParts(t *testing.T) {
	table, err := Recurring("* * * * *", "")
	if err != nil {
		t.Fatal(err)
	}
	tick := at(t, "2026-03-01T09:00:00Z")
	now := tick.Add(30 * 24 * time.Hour)
	var missed int64
	looks := 0
	for {
		look := table.Look(tick, now)
		missed += look.Missed
		looks++
		tick = look.Next
		if look.Fire {
			break
		}
	}
	if missed != 30*24*60 || looks < 2 || !tick.Equal(now.Add(time.Minute)) {
		t.Fatalf("%d missed in %d looks, next %s", missed, looks, tick)
	}
}

// Ticks only go forward, and none is left out or taken twice however often
// somebody looks.
func TestLooksAgree(t *testing.T) {
	zones := []string{"", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"}
	crons := []string{"*/7 * * * *", "30 1 * * *", "30 2 * * *", "0 */2 * * *", "15,45 0-4 * * *", "0 0 * * 0", "0 0 L * *"}
	rapid.Check(t, func(rt *rapid.T) {
		table, err := Recurring(rapid.SampledFrom(crons).Draw(rt, "cron"), rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(rt, "minutes")) * time.Minute)
		first, _ := table.After(from)
		end := from.Add(time.Duration(rapid.IntRange(1, 20*60).Draw(rt, "span")) * time.Minute)
		var all int64
		for tick := first; !tick.After(end); all++ {
			next, ok := table.After(tick)
			if !ok || !next.After(tick) {
				rt.Fatalf("after %s comes %s, %v", tick, next, ok)
			}
			tick = next
		}
		var seen int64
		for tick, now := first, from; !tick.After(end); {
			now = now.Add(time.Duration(rapid.IntRange(1, 300).Draw(rt, "later")) * time.Minute)
			if now.After(end) {
				now = end
			}
			if tick.After(now) {
				continue
			}
			look := table.Look(tick, now)
			seen += look.Missed
			if look.Fire {
				seen++
			}
			tick = look.Next
		}
		if seen != all {
			rt.Fatalf("%d of %d ticks were seen", seen, all)
		}
	})
}

func TestLocal(t *testing.T) {
	tests := map[string]struct{ text, zone, want string }{
		"with an offset":   {"2026-03-01T09:00:00+02:00", "America/New_York", "2026-03-01T07:00:00Z"},
		"as JavaScript":    {"2026-03-01T09:00:00.000Z", "", "2026-03-01T09:00:00Z"},
		"as it is meant":   {"2026-03-01T09:00:00", "America/New_York", "2026-03-01T14:00:00Z"},
		"without seconds":  {"2026-03-01T09:00", "", "2026-03-01T09:00:00Z"},
		"not a time":       {"tomorrow", "", ""},
		"before the epoch": {"1969-01-01T00:00:00Z", "", ""},
		"nothing":          {"", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Local(tt.text, tt.zone)
			if (err == nil) != (tt.want != "") || err == nil && got.Format(time.RFC3339) != tt.want {
				t.Fatalf("%s, %v", got, err)
			}
		})
	}
}

// Whatever a client sends is answered soon, and what is taken has ticks.
func FuzzRecurring(f *testing.F) {
	for _, seed := range []string{"0 9 * * *", "*/5 * * * *", "@daily", "0 0 31 2 *", "TZ=0", "1-5/2,7 L 1W 2 5#3", "\x00", "* * * * MON,TUE"} {
		f.Add(seed, "UTC")
	}
	f.Add("0 0 29 2 1", "Australia/Lord_Howe")
	f.Fuzz(func(t *testing.T, cron, zone string) {
		table, err := Recurring(cron, zone)
		if err != nil {
			return
		}
		from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		next, ok := table.After(from)
		if ok && (!next.After(from) || next.Nanosecond() != 0) {
			t.Fatalf("%q in %q: after %s comes %s", cron, zone, from, next)
		}
	})
}
