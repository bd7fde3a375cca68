package agentcomputer

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func (a *API) uptimeRoutes() []door.Route {
	return []door.Route{{Method: "GET", Path: "/status/uptime", Access: door.Public, Serve: a.Handle(a.uptime)}}
}

// Probed is a service whose probes are kept.
type Probed struct{ Slug, Name string }

// Services are what nodes probe.
var Services = []Probed{
	{"api", "API"},
	{"records", "Records"},
	{"computers", "Computers"},
}

const (
	uptimeDays  = 90
	uptimeHours = 48
	// freshProbe is how old a service's last probe may be before nobody knows.
	freshProbe = 3 * state.ProbeEvery
	dateLayout = "2006-01-02"
)

// bucket says how a service was in a span of time.
type bucket string

const (
	operational bucket = "operational"
	degraded    bucket = "degraded"
	down        bucket = "down"
	unknown     bucket = "unknown"
)

// tally adds up minutes: those with good probes only, and all that there were.
type tally struct{ good, all int }

// judged is a tally in one word: a hundredth may be missing.
func (t tally) judged() bucket {
	switch {
	case t.all == 0:
		return unknown
	case t.good == 0:
		return down
	case t.good*100 < t.all*99:
		return degraded
	}
	return operational
}

type serviceStatus struct {
	Name       string `json:"name"`
	Slug       string `json:"slug"`
	Status     bucket `json:"status"`
	ResponseMS int64  `json:"response_ms"`
}

type uptimeReply struct {
	CheckedAt     time.Time                      `json:"checked_at"`
	Services      []serviceStatus                `json:"services"`
	UptimePercent map[string]float64             `json:"uptime_percent"`
	History       map[string][]bucket            `json:"history"`
	HistoryDates  []string                       `json:"history_dates"`
	HourlyHistory map[string]map[string][]bucket `json:"hourly_history"`
}

// uptime serves GET /status/uptime from this node's own records: it must answer
// when the cluster does not.
func (a *API) uptime(c *gin.Context) error {
	v := a.Records.StaleView()
	defer v.Close()
	now := a.Now().UTC()
	today := now.Truncate(24 * time.Hour)
	reply := uptimeReply{CheckedAt: now, UptimePercent: map[string]float64{}, History: map[string][]bucket{}, HourlyHistory: map[string]map[string][]bucket{}}
	for day := range uptimeDays {
		reply.HistoryDates = append(reply.HistoryDates, today.AddDate(0, 0, day+1-uptimeDays).Format(dateLayout))
	}
	for _, s := range Services {
		h, err := historyOf(v, s.Slug, now)
		if err != nil {
			return err
		}
		reply.Services = append(reply.Services, serviceStatus{s.Name, s.Slug, h.status(now), h.last.Millis})
		reply.UptimePercent[s.Slug] = h.percent()
		reply.History[s.Slug] = h.daily(today)
		reply.HourlyHistory[s.Slug] = h.hourly(now)
	}
	ok(c, reply)
	return nil
}

// history is a service's minutes by the hour, from its first probe on.
type history struct {
	last  state.ProbedHour
	hours map[time.Time]tally
	total tally
}

// historyOf reads a service's probes and counts the minutes in which nobody
// reported as outages: between the first probe and now somebody should have.
func historyOf(v *state.View, service string, now time.Time) (history, error) {
	h := history{hours: map[time.Time]tally{}}
	oldest := now.Truncate(24*time.Hour).AddDate(0, 0, 1-uptimeDays)
	var first state.ProbedHour
	err := v.Probes(service, func(p state.ProbedHour) bool {
		if p.Hour.Before(oldest) {
			return false
		}
		if h.last.Service == "" {
			h.last = p
		}
		first = p
		h.hours[p.Hour] = tally{p.GoodMinutes(), p.Minutes()}
		return true
	})
	if err != nil || first.Service == "" {
		return h, err
	}
	for hour := first.Hour; !hour.After(now); hour = hour.Add(time.Hour) {
		t := h.hours[hour]
		switch {
		case hour.Equal(first.Hour): // it began somewhere in it
		case hour.Add(time.Hour).After(now):
			t.all = max(t.all, int(now.Sub(hour)/state.ProbeEvery))
		default:
			t.all = max(t.all, int(time.Hour/state.ProbeEvery))
		}
		h.hours[hour] = t
		h.total = tally{h.total.good + t.good, h.total.all + t.all}
	}
	return h, nil
}

// status is how the service is now, by its last probe.
func (h history) status(now time.Time) bucket {
	if h.last.Service == "" || now.Sub(h.last.Last) > freshProbe {
		return unknown
	}
	minute := uint64(1) << h.last.Last.UTC().Minute()
	switch {
	case h.last.Bad&minute == 0:
		return operational
	case h.last.Good&minute == 0:
		return down
	}
	return degraded
}

// percent is the share of good minutes, with two decimals; 100 before the first.
func (h history) percent() float64 {
	if h.total.all == 0 {
		return 100
	}
	return float64(h.total.good*10_000/h.total.all) / 100
}

// daily is a bucket for each of the last uptimeDays, the oldest first.
func (h history) daily(today time.Time) []bucket {
	days := make([]tally, uptimeDays)
	for hour, t := range h.hours {
		if ago := int(today.Sub(hour.Truncate(24*time.Hour)) / (24 * time.Hour)); ago >= 0 && ago < uptimeDays {
			d := &days[uptimeDays-1-ago]
			d.good, d.all = d.good+t.good, d.all+t.all
		}
	}
	out := make([]bucket, uptimeDays)
	for i, d := range days {
		out[i] = d.judged()
	}
	return out
}

// hourly is the last days hour by hour, under their dates.
func (h history) hourly(now time.Time) map[string][]bucket {
	out := map[string][]bucket{}
	for hour := now.Truncate(time.Hour).Add(-(uptimeHours - 1) * time.Hour); !hour.After(now); hour = hour.Add(time.Hour) {
		date := hour.Format(dateLayout)
		out[date] = append(out[date], h.hours[hour].judged())
	}
	return out
}
