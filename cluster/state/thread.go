package state

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Thread is a conversation with an agent in an environment. Its events are its
// log; it lives where its computer lives.
type Thread struct {
	ID           ThreadID      `cbor:"1,keyasint"`
	Account      AccountID     `cbor:"2,keyasint"`
	User         UserID        `cbor:"3,keyasint"`
	Environment  EnvironmentID `cbor:"4,keyasint"`
	Computer     ComputerID    `cbor:"5,keyasint"`
	Agent        AgentID       `cbor:"6,keyasint"`
	Title        string        `cbor:"7,keyasint"`
	Status       ThreadStatus  `cbor:"8,keyasint"`
	App          string        `cbor:"9,keyasint"`
	Metadata     []byte        `cbor:"10,keyasint"` // a JSON object, as given
	Messages     int           `cbor:"11,keyasint"`
	LastSeq      uint64        `cbor:"12,keyasint"` // of its newest event
	Run          RunID         `cbor:"13,keyasint"` // in progress, or ""
	LastRun      RunID         `cbor:"14,keyasint"`
	InputTokens  int64         `cbor:"15,keyasint"`
	OutputTokens int64         `cbor:"16,keyasint"`
	Cost         MicroUSD      `cbor:"17,keyasint"`
	CreatedAt    time.Time     `cbor:"18,keyasint"`
	UpdatedAt    time.Time     `cbor:"19,keyasint"`
	// Deleted hides it from everybody; Sweep removes it once its run has ended.
	Deleted bool `cbor:"20,keyasint"`
	// Task is set for a thread that was made as a task: it has no environment.
	Task *Task `cbor:"21,keyasint,omitempty"`
	// Session is where an executor goes on with the next message.
	Session Session `cbor:"25,keyasint"`
}

// Session is an executor's own record of a conversation, in the computer's
// workspace.
type Session struct {
	Executor string `cbor:"1,keyasint"`
	ID       string `cbor:"2,keyasint"` // as the executor knows it
}

// ThreadStatus is what a thread is doing, or how its last run ended.
type ThreadStatus string

const (
	ThreadActive    ThreadStatus = "active" // no run yet, or resumed and idle
	ThreadRunning   ThreadStatus = "running"
	ThreadCompleted ThreadStatus = "completed"
	ThreadFailed    ThreadStatus = "failed"
	ThreadCancelled ThreadStatus = "cancelled"
)

// ThreadStatuses lists every status a thread can have.
func ThreadStatuses() []ThreadStatus {
	return []ThreadStatus{ThreadActive, ThreadRunning, ThreadCompleted, ThreadFailed, ThreadCancelled}
}

func byAge(t Thread) string { return stampText(t.CreatedAt) }

var threads = table[Thread]{
	name: "thread", noun: "Thread",
	id: func(t Thread) string { return string(t.ID) },
	indexes: []index[Thread]{
		{"account", func(t Thread) ([]string, string, bool) { return []string{string(t.Account)}, byAge(t), !t.Deleted }},
		{"environment", func(t Thread) ([]string, string, bool) {
			return []string{string(t.Account), string(t.Environment)}, byAge(t), !t.Deleted
		}},
		{"status", func(t Thread) ([]string, string, bool) {
			return []string{string(t.Account), string(t.Status)}, byAge(t), !t.Deleted
		}},
		{"task", func(t Thread) ([]string, string, bool) {
			return []string{string(t.Account)}, byAge(t), t.Task != nil && !t.Deleted
		}},
		{"computertask", func(t Thread) ([]string, string, bool) {
			return []string{string(t.Account), string(t.Computer)}, byAge(t), t.Task != nil && !t.Deleted
		}},
		{"deleted", func(t Thread) ([]string, string, bool) {
			return nil, stampText(t.UpdatedAt), t.Deleted && t.Run == ""
		}},
	},
}

// Thread returns a thread of an account.
func (v *View) Thread(account AccountID, id ThreadID) (Thread, error) {
	t, err := threads.get(v.r, string(id))
	return owned(t, err, t.Account == account && !t.Deleted, threads.noun, string(id))
}

// AnyThread returns a thread of any account, for those who act on records and
// not for a caller.
func (v *View) AnyThread(id ThreadID) (Thread, bool, error) { return threads.find(v.r, string(id)) }

// ThreadFilter narrows a list of threads; a zero field matches all.
type ThreadFilter struct {
	Environment  EnvironmentID
	Status       ThreadStatus
	Agent        AgentID
	App          string
	CreatedAfter time.Time
}

// Threads lists an account's threads, newest first.
func (v *View) Threads(account AccountID, f ThreadFilter, p Page) (List[Thread], error) {
	rest := func(t Thread) bool {
		return (f.Status == "" || t.Status == f.Status) && (f.Agent == "" || t.Agent == f.Agent) &&
			(f.App == "" || t.App == f.App) && t.CreatedAt.After(f.CreatedAfter)
	}
	others := f.Agent != "" || f.App != "" || !f.CreatedAfter.IsZero()
	switch {
	case f.Environment != "" && !others && f.Status == "":
		return threads.page(v.r, "environment", []string{string(account), string(f.Environment)}, p, nil)
	case f.Environment != "":
		return threads.page(v.r, "environment", []string{string(account), string(f.Environment)}, p, rest)
	case f.Status != "" && !others:
		return threads.page(v.r, "status", []string{string(account), string(f.Status)}, p, nil)
	case f.Status != "":
		return threads.page(v.r, "status", []string{string(account), string(f.Status)}, p, rest)
	case others:
		return threads.page(v.r, "account", []string{string(account)}, p, rest)
	}
	return threads.page(v.r, "account", []string{string(account)}, p, nil)
}

// CreateThread makes an empty thread.
type CreateThread struct {
	Thread      Thread       `cbor:"1,keyasint"`
	Idempotency *Idempotency `cbor:"2,keyasint,omitempty"`
}

func (cmd CreateThread) apply(tx *Tx) error {
	if done, err := tx.once(cmd.Thread.Account, cmd.Idempotency, Resource{"thread", string(cmd.Thread.ID)}); err != nil || done {
		return err
	}
	_, err := tx.createThread(cmd.Thread)
	return err
}

func (tx *Tx) createThread(t Thread) (Thread, error) {
	home, err := tx.home(t)
	if err != nil {
		return t, err
	}
	t.Computer, t.Status, t.CreatedAt, t.UpdatedAt = home, ThreadActive, tx.now, tx.now
	t.Messages, t.LastSeq, t.Run, t.LastRun, t.Deleted = 0, 0, "", "", false
	t.InputTokens, t.OutputTokens, t.Cost = 0, 0, 0
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	return t, tx.newThread(t)
}

// home is the computer that a new thread lives with: its environment's or, for
// a task, the one it names.
func (tx *Tx) home(t Thread) (ComputerID, error) {
	if t.Task == nil {
		e, err := tx.activeEnvironment(t.Account, t.Environment)
		return e.Computer, err
	}
	c, err := tx.Computer(t.Account, t.Computer)
	if err == nil && c.Phase == Failed {
		err = fault.New(fault.Conflict, "computer %s could not be made: %s", c.ID, c.Error)
	}
	return c.ID, err
}

// newThread stores a new thread and counts it.
func (tx *Tx) newThread(t Thread) error {
	c, _, err := tx.AnyComputer(t.Computer)
	if err != nil {
		return err
	}
	if err := tx.count(t.Account, Tally{Threads: 1}, subject{TallyEnvironment, c.place()}, subject{TallyAgent, string(t.Agent)}); err != nil {
		return err
	}
	return threads.create(tx.w, t)
}

func (tx *Tx) activeEnvironment(account AccountID, id EnvironmentID) (Environment, error) {
	e, err := tx.Environment(account, id)
	if err == nil && e.Inactive {
		err = fault.New(fault.Conflict, "Environment %s is deleted; restore it with PATCH {\"isActive\": true}", id)
	}
	return e, err
}

// PatchThread changes what a caller may change; a nil field stays as it is.
type PatchThread struct {
	Account  AccountID     `cbor:"1,keyasint"`
	Thread   ThreadID      `cbor:"2,keyasint"`
	Title    *string       `cbor:"3,keyasint"`
	Status   *ThreadStatus `cbor:"4,keyasint"`
	Agent    *AgentID      `cbor:"5,keyasint"`
	Metadata []byte        `cbor:"6,keyasint"`
}

func (cmd PatchThread) apply(tx *Tx) error {
	t, err := tx.Thread(cmd.Account, cmd.Thread)
	if err != nil {
		return err
	}
	if cmd.Title != nil {
		t.Title = *cmd.Title
	}
	if cmd.Status != nil && *cmd.Status != t.Status {
		if t.Run != "" {
			return fault.New(fault.Conflict, "Thread is busy (execution in progress); cancel it first").WithField("status")
		}
		if *cmd.Status == ThreadRunning || !slices.Contains(ThreadStatuses(), *cmd.Status) {
			return fault.New(fault.Invalid, "a thread cannot be set to %q", *cmd.Status).WithField("status")
		}
		t.Status = *cmd.Status
	}
	if cmd.Agent != nil {
		t.Agent = *cmd.Agent
	}
	if cmd.Metadata != nil {
		t.Metadata = cmd.Metadata
	}
	t.UpdatedAt = tx.now
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	return threads.put(tx.w, t)
}

// DeleteThread hides a thread and asks its run, if any, to stop. Schedules that
// speak in it go with it. Its log and messages are removed by a later Sweep.
type DeleteThread struct {
	Account AccountID `cbor:"1,keyasint"`
	Thread  ThreadID  `cbor:"2,keyasint"`
}

func (cmd DeleteThread) apply(tx *Tx) error {
	t, err := tx.Thread(cmd.Account, cmd.Thread)
	if err != nil {
		return err
	}
	if t.Run != "" {
		if err := tx.requestCancel(t.Run); err != nil {
			return err
		}
	}
	if err := tx.dropSchedules("thread", string(t.ID)); err != nil {
		return err
	}
	t.Deleted, t.UpdatedAt = true, tx.now
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	return threads.put(tx.w, t)
}

// AllThreads visits the threads of every account, deleted ones too, until visit
// returns false.
func (v *View) AllThreads(visit func(Thread) bool) error {
	prefix := key(threads.name)
	var failed error
	err := v.r.Scan(prefix, after(prefix), false, func(k, value []byte) bool {
		var t Thread
		if failed = Decode(value, &t); failed != nil {
			failed = fmt.Errorf("state: thread %q: %w", k, failed)
			return false
		}
		return visit(t)
	})
	return errors.Join(err, failed)
}
