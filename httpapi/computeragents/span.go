package computeragents

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// span is a period of whole UTC days, the last included: what was used is
// counted by the day.
type span struct {
	period string
	from   time.Time // zero: since the beginning
	to     time.Time
}

// Names of a span's bounds, of all generations of clients.
var (
	namesOfFrom = []string{"startDate", "from", "since"}
	namesOfTo   = []string{"endDate", "to", "until"}
)

// span reads which days a request is about: the present UTC day, week (from
// Monday), month or year up to now, all, or what the bounds say.
func (a *API) span(c *gin.Context, usual string) (s span, err error) {
	now, err := a.now()
	if err != nil {
		return s, err
	}
	today := midnight(now)
	s = span{period: c.DefaultQuery("period", usual), to: now}
	switch s.period {
	case "day":
		s.from = today
	case "week":
		s.from = today.AddDate(0, 0, -int((today.Weekday()+6)%7))
	case "month":
		s.from = today.AddDate(0, 0, 1-today.Day())
	case "year":
		s.from = time.Date(now.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	case "all":
	default:
		return s, invalid("period", "period must be day, week, month, year or all")
	}
	start, err := bound(c, namesOfFrom)
	if err != nil {
		return s, err
	}
	end, err := bound(c, namesOfTo)
	if err != nil {
		return s, err
	}
	if !start.IsZero() {
		s.from = midnight(start)
	}
	if !end.IsZero() {
		s.to = midnight(end).Add(24*time.Hour - time.Millisecond)
	}
	if s.to.Before(s.from) {
		return s, invalid("endDate", "endDate must not be before startDate")
	}
	return s, nil
}

// now is the time, in UTC: no earlier than what the records hold already.
func (a *API) now() (time.Time, error) {
	v := a.Records.StaleView()
	defer v.Close()
	return v.Now(a.Now().UTC())
}

// bound reads a time by the first of its names that is given.
func bound(c *gin.Context, names []string) (time.Time, error) {
	for _, name := range names {
		if at, err := door.Since(c, name); err != nil || !at.IsZero() {
			return at, err
		}
	}
	return time.Time{}, nil
}

func midnight(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
}

// since is the span's first moment for an account.
func (s span) since(account state.Account) time.Time {
	if s.from.IsZero() {
		return midnight(account.CreatedAt)
	}
	return s.from
}

// holds reports whether a moment lies within the span. The last day is there as a
// whole: the leader's clock may be a little ahead.
func (s span) holds(at time.Time) bool {
	return !at.Before(s.from) && at.Before(midnight(s.to).Add(24*time.Hour))
}

// used is what an account used in a span.
type used struct {
	account state.Account
	all     state.Tally
	days    []state.Tally // of all, those on which there was something
	by      []state.Tally // altogether, for each key of a kind, the dearest first
	names   map[string]string
}

// used reads what the caller's account used in a span and, with a kind, by
// what of that kind.
func (a *API) used(c *gin.Context, s span, kind state.TallyKind) (u used, err error) {
	id := door.CallerOf(c).Account
	err = a.LookAll(c, func(v *state.View) error {
		u = used{names: map[string]string{}}
		if u.account, err = v.Account(id, a.Now()); err != nil {
			return err
		}
		from := s.since(u.account)
		err := v.Tallies(id, state.TallyAll, from, s.to, func(t state.Tally) bool {
			u.days = append(u.days, t)
			u.all.Add(t)
			return true
		})
		if err != nil || kind == "" {
			return err
		}
		if u.by, err = talliedBy(v, id, kind, from, s.to); err != nil {
			return err
		}
		return u.name(v, id, kind)
	})
	return u, err
}

// costOf is a tally on the wire.
func costOf(t state.Tally, name string) wire.CostOfThing {
	return wire.CostOfThing{ID: t.Key, Name: name, TotalCost: wire.USD(t.Spent()), AgentCost: wire.USD(t.Models),
		EnvironmentCost: wire.USD(t.Computers), ThreadCount: t.Threads, RunCount: t.Runs, InputTokens: t.InputTokens, OutputTokens: t.OutputTokens}
}
