package state

import "github.com/bothy-computer/bothy/cluster/fault"

// Task is what a thread has that was made as a task: each of its runs is a
// prompt, and a prompt waits while another one is worked on.
type Task struct {
	Executor   string         `cbor:"1,keyasint"` // as asked for; "" is the default
	Model      string         `cbor:"2,keyasint"` // as asked for; "" is the executor's
	Visibility TaskVisibility `cbor:"3,keyasint"`
}

// TaskVisibility is who may read a task.
type TaskVisibility string

const (
	TaskPrivate TaskVisibility = "private" // who made it
	TaskShared  TaskVisibility = "shared"  // its account
	TaskPublic  TaskVisibility = "public"  // everybody, without a key
)

// TaskVisibilities lists every visibility a task can have.
func TaskVisibilities() []TaskVisibility {
	return []TaskVisibility{TaskPrivate, TaskShared, TaskPublic}
}

// readable reports whether a user of the task's account may see it.
func (t Thread) readable(by UserID) bool { return t.Task.Visibility != TaskPrivate || t.User == by }

// Task returns a task of an account, as one of its users sees it.
func (v *View) Task(account AccountID, by UserID, id ThreadID) (Thread, error) {
	t, err := threads.get(v.r, string(id))
	return owned(t, err, t.Account == account && !t.Deleted && t.Task != nil && t.readable(by), "Task", string(id))
}

// Tasks lists an account's tasks as one of its users sees them, newest first;
// with a computer, those that were given to it.
func (v *View) Tasks(account AccountID, by UserID, on ComputerID, p Page) (List[Thread], error) {
	keep := func(t Thread) bool { return t.readable(by) }
	if on != "" {
		return threads.page(v.r, "computertask", []string{string(account), string(on)}, p, keep)
	}
	return threads.page(v.r, "task", []string{string(account)}, p, keep)
}

// CountTasksOn is how many tasks an account gave to a computer, those included
// that only some of its users see.
func (v *View) CountTasksOn(account AccountID, on ComputerID) (int, error) {
	return threads.count(v.r, "computertask", string(account), string(on))
}

// StartTask begins a run in a task's thread, or has it wait while the thread
// has one: at most MaxQueuedRuns do. With Start.Create set it makes the task,
// and with Computer a computer for it.
type StartTask struct {
	Start    StartRun  `cbor:"1,keyasint"`
	Computer *Computer `cbor:"2,keyasint,omitempty"`
}

func (cmd StartTask) apply(tx *Tx) error {
	start := cmd.Start
	if done, err := tx.once(start.Account, start.Idempotency, Resource{"run", string(start.Run.ID)}); err != nil || done {
		return err
	}
	if cmd.Computer != nil {
		c := *cmd.Computer
		c.Account, c.Environment, c.Source = start.Account, "", ""
		if err := tx.makeComputer(c, nil); err != nil {
			return err
		}
	}
	t, err := start.admitted(tx)
	if err == nil && start.Create != nil && t.Task != nil {
		err = tx.announce(t.Account, Delivery{Event: TaskCreated, Thread: t.ID})
	}
	switch {
	case err != nil:
		return err
	case t.Task == nil:
		return fault.New(fault.NotFound, "Task not found: %s", t.ID)
	case t.Run != "":
		return tx.enqueue(t, start.run(tx, t), start.Message)
	}
	return start.begin(tx, t)
}

// ShowTask says who may read a task. Only who made it may change that where it
// is private.
type ShowTask struct {
	Account    AccountID      `cbor:"1,keyasint"`
	User       UserID         `cbor:"2,keyasint"`
	Task       ThreadID       `cbor:"3,keyasint"`
	Visibility TaskVisibility `cbor:"4,keyasint"`
}

func (cmd ShowTask) apply(tx *Tx) error {
	t, err := tx.Task(cmd.Account, cmd.User, cmd.Task)
	if err != nil {
		return err
	}
	shown := *t.Task
	shown.Visibility = cmd.Visibility
	t.Task, t.UpdatedAt = &shown, tx.now
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	return threads.put(tx.w, t)
}
