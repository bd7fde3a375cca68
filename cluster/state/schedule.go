package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxSchedules bounds the schedules of one account.
const MaxSchedules = 10_000

// Schedule says a task to an agent at its times. When those are is worked out
// where commands are made; here is only the next one.
type Schedule struct {
	ID          ScheduleID `cbor:"1,keyasint"`
	Account     AccountID  `cbor:"2,keyasint"`
	User        UserID     `cbor:"3,keyasint"`
	Version     uint64     `cbor:"4,keyasint"` // counts changes and ticks, for compare-and-swap
	Name        string     `cbor:"5,keyasint"`
	Description string     `cbor:"6,keyasint"`
	Task        string     `cbor:"7,keyasint"`
	// Agent runs it; it may be gone by then. The names are as they were given.
	Agent           AgentID       `cbor:"8,keyasint"`
	AgentName       string        `cbor:"9,keyasint"`
	Environment     EnvironmentID `cbor:"10,keyasint"`
	EnvironmentName string        `cbor:"11,keyasint"`
	// Thread is where it speaks; "" makes a thread for each tick.
	Thread  ThreadID  `cbor:"12,keyasint"`
	Cron    string    `cbor:"13,keyasint"` // "" for a one-time schedule
	At      time.Time `cbor:"14,keyasint"` // of a one-time schedule
	Zone    string    `cbor:"15,keyasint"`
	Enabled bool      `cbor:"16,keyasint"`

	NextRunAt time.Time `cbor:"17,keyasint"` // zero: never, or not while it is disabled
	LastTick  time.Time `cbor:"18,keyasint"` // no tick up to it comes again
	LastRunAt time.Time `cbor:"19,keyasint"`
	LastRun   RunID     `cbor:"20,keyasint"`
	LastError string    `cbor:"21,keyasint"` // why it did not run, or how its last run failed
	Runs      int64     `cbor:"22,keyasint"` // begun, or refused
	Succeeded int64     `cbor:"23,keyasint"`
	Failed    int64     `cbor:"24,keyasint"` // the refused ones too
	Missed    int64     `cbor:"25,keyasint"` // ticks that passed without a run

	App           string    `cbor:"26,keyasint"`
	Context       string    `cbor:"27,keyasint"`
	ContextName   string    `cbor:"28,keyasint"`
	Workspace     string    `cbor:"29,keyasint"`
	WorkspaceName string    `cbor:"30,keyasint"`
	Metadata      []byte    `cbor:"31,keyasint"` // a JSON object, as given
	CreatedAt     time.Time `cbor:"32,keyasint"`
	UpdatedAt     time.Time `cbor:"33,keyasint"`
}

// due reports whether a time will come for it.
func (s Schedule) due() bool { return s.Enabled && !s.NextRunAt.IsZero() }

var schedules = table[Schedule]{
	name: "schedule", noun: "Schedule",
	id: func(s Schedule) string { return string(s.ID) },
	indexes: []index[Schedule]{
		{"account", func(s Schedule) ([]string, string, bool) {
			return []string{string(s.Account)}, stampText(s.CreatedAt), true
		}},
		{"due", func(s Schedule) ([]string, string, bool) { return nil, stampText(s.NextRunAt), s.due() }},
		{"environment", func(s Schedule) ([]string, string, bool) {
			return []string{string(s.Environment)}, stampText(s.CreatedAt), true
		}},
		{"thread", func(s Schedule) ([]string, string, bool) {
			return []string{string(s.Thread)}, stampText(s.CreatedAt), s.Thread != ""
		}},
	},
}

// Schedule returns a schedule of an account.
func (v *View) Schedule(account AccountID, id ScheduleID) (Schedule, error) {
	s, err := schedules.get(v.r, string(id))
	return owned(s, err, s.Account == account, schedules.noun, string(id))
}

// Schedules lists an account's schedules, newest first; keep may be nil.
func (v *View) Schedules(account AccountID, p Page, keep func(Schedule) bool) (List[Schedule], error) {
	return schedules.page(v.r, "account", []string{string(account)}, p, keep)
}

// DueSchedules lists up to n schedules whose time has come, the longest due first.
func (v *View) DueSchedules(now time.Time, n int) ([]Schedule, error) {
	return schedules.before(v.r, "due", now.Add(1), n) // those too whose time is just now
}

// NextDue is when the next schedule is due, or false when none will be.
func (v *View) NextDue() (at time.Time, ok bool, err error) {
	err = schedules.each(v.r, "due", nil, false, func(s Schedule) bool { at, ok = s.NextRunAt, true; return false })
	return at, ok, err
}

// CreateSchedule stores a new schedule, with the thread it speaks in where
// that is to be made too. It replies with Made.
type CreateSchedule struct {
	Schedule    Schedule     `cbor:"1,keyasint"`
	Thread      *Thread      `cbor:"2,keyasint,omitempty"`
	Idempotency *Idempotency `cbor:"3,keyasint,omitempty"`
}

func (cmd CreateSchedule) apply(tx *Tx) error {
	s := cmd.Schedule
	if done, err := tx.once(s.Account, cmd.Idempotency, Resource{"schedule", string(s.ID)}); err != nil || done {
		return err
	}
	n, err := schedules.count(tx.w, "account", string(s.Account))
	if err != nil {
		return err
	}
	if n >= MaxSchedules {
		return fault.New(fault.Conflict, "an account has at most %d schedules", MaxSchedules)
	}
	if err := s.check(); err != nil {
		return err
	}
	if cmd.Thread != nil {
		t, err := tx.createThread(*cmd.Thread)
		if err != nil {
			return err
		}
		s.Thread, s.Environment = t.ID, t.Environment
	} else if _, err := tx.activeEnvironment(s.Account, s.Environment); err != nil {
		return err
	}
	s.Version, s.CreatedAt, s.UpdatedAt = 1, tx.now, tx.now
	s.Runs, s.Succeeded, s.Failed, s.Missed, s.LastError = 0, 0, 0, 0, ""
	s.LastTick, s.LastRunAt, s.LastRun = time.Time{}, time.Time{}, ""
	tx.changed(Change{Noun: ChangedSchedule, ID: string(s.ID)})
	return schedules.create(tx.w, s)
}

func (s Schedule) check() error {
	if len(s.Task) > MaxMessageBytes {
		return fault.New(fault.TooLarge, "task is %d bytes; the limit is %d", len(s.Task), MaxMessageBytes).WithField("task")
	}
	return nil
}

// UpdateSchedule replaces a schedule that has not changed since version Seen.
// What it counts stays.
type UpdateSchedule struct {
	Schedule Schedule `cbor:"1,keyasint"`
	Seen     uint64   `cbor:"2,keyasint"`
}

func (cmd UpdateSchedule) apply(tx *Tx) error {
	s := cmd.Schedule
	have, err := tx.Schedule(s.Account, s.ID)
	if err != nil {
		return err
	}
	if have.Version != cmd.Seen {
		return changedSince("schedule", string(have.ID))
	}
	if err := s.check(); err != nil {
		return err
	}
	if s.Environment != have.Environment {
		if _, err := tx.activeEnvironment(s.Account, s.Environment); err != nil {
			return err
		}
	}
	s.Version, s.CreatedAt, s.UpdatedAt = have.Version+1, have.CreatedAt, tx.now
	s.Runs, s.Succeeded, s.Failed, s.Missed, s.LastError = have.Runs, have.Succeeded, have.Failed, have.Missed, have.LastError
	s.LastTick, s.LastRunAt, s.LastRun, s.Thread = have.LastTick, have.LastRunAt, have.LastRun, have.Thread
	tx.changed(Change{Noun: ChangedSchedule, ID: string(s.ID)})
	return schedules.put(tx.w, s)
}

// DeleteSchedule removes a schedule. What it began goes on.
type DeleteSchedule struct {
	Account AccountID  `cbor:"1,keyasint"`
	ID      ScheduleID `cbor:"2,keyasint"`
}

func (cmd DeleteSchedule) apply(tx *Tx) error {
	if _, err := tx.Schedule(cmd.Account, cmd.ID); err != nil {
		return err
	}
	return schedules.remove(tx.w, string(cmd.ID))
}

// dropSchedules removes the schedules that an index has in a scope.
func (tx *Tx) dropSchedules(ix, scope string) error {
	_, err := removeScope(tx, &schedules, ix, scope, MaxSchedules)
	return err
}
