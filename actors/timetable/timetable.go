package timetable

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every node, also where the machine has none

	"github.com/adhocore/gronx"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxExpression bounds the bytes of a cron expression, maxItems the items of
	// one of its lists: what is searched for grows with them.
	MaxExpression = 256
	maxItems      = 60
	// Late is how long after its time a tick still fires.
	Late = time.Hour
	// maxCounted bounds the ticks that one Look passes over.
	maxCounted = 10_000
)

// Timetable is when a schedule is due.
type Timetable struct {
	cron string // "" for once
	zone *time.Location
	once time.Time
}

// Recurring reads a cron expression and the zone it is meant in, "" for UTC. A
// refusal is Invalid and names the field of the two that is wrong.
func Recurring(expression, zone string) (Timetable, error) {
	z, err := readZone(zone)
	if err != nil {
		return Timetable{}, err
	}
	cron, err := readCron(expression)
	if err != nil {
		return Timetable{}, fault.New(fault.Invalid, "cronExpression %q %w", clip(expression), err).WithField("cronExpression")
	}
	return Timetable{cron: cron, zone: z}, nil
}

// Once is due at one moment. Zone is how its user writes times; one that is none
// is refused.
func Once(at time.Time, zone string) (Timetable, error) {
	_, err := readZone(zone)
	return Timetable{once: at}, err
}

// After returns the first tick after a moment, or false when there is none.
func (t Timetable) After(from time.Time) (time.Time, bool) {
	if t.cron == "" {
		return t.once, t.once.After(from)
	}
	next, err := gronx.NextTickAfter(t.cron, from.In(t.zone), false)
	if err != nil || !next.After(from) {
		return time.Time{}, false
	}
	return next.UTC().Truncate(time.Second), true
}

// grace is how long ago a moment may be that is asked for: it takes time to ask.
const grace = time.Minute

// Begin returns the first tick of a schedule that begins now. It refuses, naming
// the field, an expression that never comes and a moment that is over.
func (t Timetable) Begin(now time.Time) (time.Time, error) {
	if t.cron == "" {
		if t.once.Before(now.Add(-grace)) {
			return t.once, fault.New(fault.Invalid, "scheduledTime %s is in the past", t.once.UTC().Format(time.RFC3339)).WithField("scheduledTime")
		}
		return t.once, nil
	}
	tick, ok := t.After(now)
	if !ok {
		return tick, fault.New(fault.Invalid, "cronExpression %q never comes", t.cron).WithField("cronExpression")
	}
	return tick, nil
}

// Look is what is to be done about a tick whose time has come.
type Look struct {
	Fire   bool      // the newest tick is not too late
	Missed int64     // ticks passed over
	Next   time.Time // when to look again; zero when never
}

// Look passes over the ticks from one to now: the newest of them fires, if it
// is less than Late ago, and those before it are missed. Where there are very
// many, it passes over some of them, and Next is the first of the rest.
func (t Timetable) Look(tick, now time.Time) Look {
	look := Look{}
	for {
		next, more := t.After(tick)
		if more {
			look.Next = next
		} else {
			look.Next = time.Time{}
		}
		if !more || next.After(now) {
			break
		}
		look.Missed++
		if look.Missed == maxCounted {
			return look
		}
		tick = next
	}
	if now.Sub(tick) < Late {
		look.Fire = true
	} else {
		look.Missed++
	}
	return look
}

func readZone(name string) (*time.Location, error) {
	bad := fault.New(fault.Invalid, "timezone %q is not the name of a time zone, such as Europe/Berlin", clip(name)).WithField("timezone")
	if len(name) > MaxExpression || strings.EqualFold(name, "local") {
		return nil, bad
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, bad
	}
	return z, nil
}

// macros are the names that stand for expressions.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// readCron checks an expression as far as it can be without a date, and returns
// its five fields.
func readCron(text string) (string, error) {
	if len(text) > MaxExpression {
		return "", fmt.Errorf("is longer than %d bytes", MaxExpression)
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "@") {
		cron, known := macros[strings.ToLower(text)]
		if !known {
			return "", errors.New("is none of @hourly, @daily, @weekly, @monthly and @yearly")
		}
		return cron, nil
	}
	if strings.Contains(text, "=") {
		return "", errors.New("must not name a time zone: that is a field of its own, timezone")
	}
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return "", errors.New("must have five fields: minute, hour, day of month, month, day of week")
	}
	cron := strings.Join(fields, " ")
	for _, f := range fields {
		if strings.Count(f, ",") >= maxItems {
			return "", fmt.Errorf("has a list of more than %d items", maxItems)
		}
	}
	if !gronx.IsValid(cron) {
		return "", errors.New("is not a cron expression")
	}
	return cron, nil
}

// clip keeps what is shown of hostile input short.
func clip(text string) string {
	const shown = 80
	if len(text) > shown {
		return strings.ToValidUTF8(text[:shown], "") + "..."
	}
	return text
}

// Local reads a moment: RFC 3339, or without an offset as it is meant in a zone.
func Local(text, zone string) (time.Time, error) {
	z, err := readZone(zone)
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if at, err := time.ParseInLocation(layout, text, z); err == nil && at.Year() >= 1970 && at.Year() < 10_000 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "scheduledTime %q is not an ISO 8601 time", clip(text)).WithField("scheduledTime")
}
