package state

import (
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Fire does what a schedule's tick asks for. It is refused unless Tick is the
// schedule's next time and that has come, so that a tick fires once, whoever
// proposes it and however often. A run that is refused then, for want of money
// or of an environment, is counted as failed, and one for which its thread is
// too busy as missed; the schedule goes on with its next tick in any case. It
// replies with Fired.
type Fire struct {
	Schedule ScheduleID `cbor:"1,keyasint"`
	Seen     uint64     `cbor:"2,keyasint"` // its version, by which the run was made
	Tick     time.Time  `cbor:"3,keyasint"`
	Next     time.Time  `cbor:"4,keyasint"` // the tick after; zero when there is none
	Missed   int64      `cbor:"5,keyasint"` // ticks that passed unseen
	// Start begins the run; its message is the schedule's task. It is nil where
	// all ticks up to Next are missed.
	Start *StartRun `cbor:"6,keyasint,omitempty"`
	// Refused says why no run could be made for the tick.
	Refused string `cbor:"7,keyasint,omitempty"`
}

// Fired is what came of a tick: a run, or why there is none.
type Fired struct {
	Run     RunID  `cbor:"1,keyasint"`
	Refused string `cbor:"2,keyasint"`
}

func (cmd Fire) apply(tx *Tx) error {
	s, err := schedules.get(tx.w, string(cmd.Schedule))
	if err != nil {
		return err
	}
	switch {
	case !s.due() || !s.NextRunAt.Equal(cmd.Tick) || s.Version != cmd.Seen:
		return fault.New(fault.Moved, "schedule %s has gone on from the tick at %s", s.ID, cmd.Tick.Format(time.RFC3339))
	case tx.now.Before(cmd.Tick):
		return fault.New(fault.Moved, "schedule %s is not due before %s", s.ID, cmd.Tick.Format(time.RFC3339))
	case !cmd.Next.IsZero() && !cmd.Next.After(cmd.Tick) || cmd.Missed < 0:
		return fault.New(fault.Invalid, "schedule %s would go on from %s to %s", s.ID, cmd.Tick, cmd.Next)
	}
	s.Version++
	s.LastTick, s.NextRunAt, s.Enabled = cmd.Tick, cmd.Next, !cmd.Next.IsZero()
	s.Missed += cmd.Missed
	fired, err := cmd.begin(tx, &s)
	if err != nil {
		return err
	}
	tx.Reply(fired)
	tx.changed(Change{Noun: ChangedSchedule, ID: string(s.ID)})
	return schedules.put(tx.w, s)
}

// begin begins the tick's run and counts it, or counts that there is none.
func (cmd Fire) begin(tx *Tx, s *Schedule) (Fired, error) {
	var refusal error
	switch {
	case cmd.Start != nil:
		var err error
		if refusal, err = tx.try(func(tx *Tx) error { return s.start(tx, *cmd.Start) }); err != nil {
			return Fired{}, err
		}
	case cmd.Refused != "":
		refusal = errors.New(cmd.Refused)
	default:
		return Fired{}, nil
	}
	if refusal == nil {
		s.began(cmd.Start.Run.ID, tx.now)
		return Fired{Run: cmd.Start.Run.ID}, nil
	}
	s.LastError = refusal.Error()
	var f *fault.Error
	if errors.As(refusal, &f) && f.Code == CodeBusy {
		s.Missed++
	} else {
		s.Runs++
		s.Failed++
	}
	return Fired{Refused: s.LastError}, nil
}

// start begins a run whose message is the schedule's task.
func (s Schedule) start(tx *Tx, start StartRun) error {
	start.Account, start.Idempotency, start.Run.Schedule = s.Account, nil, s.ID
	if start.Message == nil || start.Create == nil && start.Thread != s.Thread {
		return fault.New(fault.Invalid, "schedule %s does not say its task in thread %q", s.ID, start.Thread)
	}
	m := *start.Message
	m.Role, m.Content = "user", s.Task
	start.Message = &m
	return start.apply(tx)
}

func (s *Schedule) began(run RunID, now time.Time) {
	s.Runs++
	s.LastRun, s.LastRunAt = run, now
}

// TriggerSchedule begins a schedule's run now, beside its ticks. It replies
// with Made, which names the run.
type TriggerSchedule struct {
	Account     AccountID    `cbor:"1,keyasint"`
	Schedule    ScheduleID   `cbor:"2,keyasint"`
	Start       StartRun     `cbor:"3,keyasint"`
	Idempotency *Idempotency `cbor:"4,keyasint,omitempty"`
}

func (cmd TriggerSchedule) apply(tx *Tx) error {
	makes := Resource{"run", string(cmd.Start.Run.ID)}
	if done, err := tx.once(cmd.Account, cmd.Idempotency, makes); err != nil || done {
		return err
	}
	s, err := tx.Schedule(cmd.Account, cmd.Schedule)
	if err != nil {
		return err
	}
	if err := s.start(tx, cmd.Start); err != nil {
		return err
	}
	s.began(cmd.Start.Run.ID, tx.now)
	return schedules.put(tx.w, s)
}

// scheduleRan counts how a run ended for the schedule that began it. A run that
// was cancelled neither succeeded nor failed.
func (tx *Tx) scheduleRan(r Run) error {
	if r.Schedule == "" {
		return nil
	}
	s, ok, err := schedules.find(tx.w, string(r.Schedule))
	if err != nil || !ok {
		return err
	}
	switch r.Status {
	case RunSuccess:
		s.Succeeded++
		s.LastError = ""
	case RunFailed:
		s.Failed++
		s.LastError = r.Error
	default:
		return nil
	}
	return schedules.put(tx.w, s)
}
