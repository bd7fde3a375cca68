package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Run is one execution of the agent loop: from a message to its answer.
type Run struct {
	ID       RunID      `cbor:"1,keyasint"`
	Thread   ThreadID   `cbor:"2,keyasint"`
	Account  AccountID  `cbor:"3,keyasint"`
	Computer ComputerID `cbor:"4,keyasint"`
	Status   RunStatus  `cbor:"5,keyasint"`
	Config   RunConfig  `cbor:"6,keyasint"`
	// FirstSeq and LastSeq bound its events; LastSeq is 0 until it ended.
	FirstSeq  uint64    `cbor:"7,keyasint"`
	LastSeq   uint64    `cbor:"8,keyasint"`
	Steps     int       `cbor:"9,keyasint"`  // model calls with a committed reply
	Setup     bool      `cbor:"10,keyasint"` // its setup scripts ran
	Cancel    bool      `cbor:"11,keyasint"` // asked to stop
	Usage     Usage     `cbor:"12,keyasint"`
	Error     string    `cbor:"13,keyasint"`
	CreatedAt time.Time `cbor:"14,keyasint"`
	StartedAt time.Time `cbor:"15,keyasint"`
	EndedAt   time.Time `cbor:"16,keyasint"`
	Pruned    bool      `cbor:"17,keyasint"` // its text pieces are gone
	// Epoch is that of the owner whose batch was last accepted.
	Epoch Epoch `cbor:"18,keyasint"`
	// Waiting is what a queued run's user said; it becomes a message of the
	// thread when the run begins.
	Waiting *Message `cbor:"19,keyasint,omitempty"`
	// Schedule began it, if one did, and counts how it ends.
	Schedule ScheduleID `cbor:"20,keyasint,omitempty"`
	// Began is set once its executor was started, which happens once: what that
	// had done by then nobody knows, so that it is never begun again.
	Began bool `cbor:"25,keyasint"`
	// Cause is the request that it was asked for with; nil where a schedule
	// began it.
	Cause *Cause `cbor:"26,keyasint,omitempty"`
}

// RunConfig is what a run was asked to do with, fixed when it began: later
// changes of its agent or environment do not reach it.
type RunConfig struct {
	Agent           AgentID       `cbor:"1,keyasint"`
	AgentName       string        `cbor:"2,keyasint"`
	Model           string        `cbor:"3,keyasint"`
	Instructions    string        `cbor:"4,keyasint"`
	ReasoningEffort string        `cbor:"5,keyasint"`
	Timeout         time.Duration `cbor:"6,keyasint"`
	Debug           bool          `cbor:"7,keyasint"`
	Workdir         string        `cbor:"8,keyasint"` // "" is /workspace
	MCPServers      []MCPServer   `cbor:"9,keyasint"`
	SetupScripts    []string      `cbor:"10,keyasint"`
	Variables       []Sealed      `cbor:"11,keyasint"` // of the environment and the message, merged
	NoInternet      bool          `cbor:"12,keyasint"`
	Notices         []string      `cbor:"13,keyasint,omitempty"` // that its log begins with
	Files           []StagedFile  `cbor:"20,keyasint,omitempty"` // that are there before it begins
	// Handoffs are whom the agent may hand tasks to, Delegates all agents that a
	// task may come to.
	Handoffs  []AgentID  `cbor:"14,keyasint,omitempty"`
	Delegates []Delegate `cbor:"15,keyasint,omitempty"`
	// OwnInternet is set where NoInternet is the message's own and not that of
	// its environment.
	OwnInternet bool `cbor:"16,keyasint,omitempty"`
	// Executor names the coding CLI that does the work in the computer; "" is
	// the loop.
	Executor string `cbor:"30,keyasint"`
	// Skills are directories that it finds below /workspace/.skills.
	Skills []RunSkill `cbor:"24,keyasint,omitempty"`
}

// RunSkill is a skill that a run is given.
type RunSkill struct {
	ID          SkillID `cbor:"1,keyasint"`
	Name        string  `cbor:"2,keyasint"`
	Description string  `cbor:"3,keyasint"`
}

// StagedFile is a file of another computer of the account that a run is given.
type StagedFile struct {
	From ComputerID `cbor:"1,keyasint"`
	Path string     `cbor:"2,keyasint"` // there
	To   string     `cbor:"3,keyasint"` // in the run's computer
}

// Delegate is an agent that a run's task may come to, as it was when the run
// began.
type Delegate struct {
	Agent           AgentID       `cbor:"1,keyasint"`
	Name            string        `cbor:"2,keyasint"`
	Description     string        `cbor:"3,keyasint"`
	Model           string        `cbor:"4,keyasint"`
	Instructions    string        `cbor:"5,keyasint"`
	ReasoningEffort string        `cbor:"6,keyasint"`
	Timeout         time.Duration `cbor:"7,keyasint"`
	Workdir         string        `cbor:"8,keyasint"`
	MCPServers      []MCPServer   `cbor:"9,keyasint"`
	Handoffs        []AgentID     `cbor:"10,keyasint"`
	Executor        string        `cbor:"11,keyasint,omitempty"` // as RunConfig's
	Skills          []RunSkill    `cbor:"12,keyasint,omitempty"`
}

// RunStatus is where a run is.
type RunStatus string

const (
	RunQueued    RunStatus = "queued"  // waits for its thread's present run
	RunPending   RunStatus = "pending" // no owner has begun it
	RunRunning   RunStatus = "running"
	RunSuccess   RunStatus = "success"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

// Over reports whether the run has ended.
func (s RunStatus) Over() bool { return s == RunSuccess || s == RunFailed || s == RunCancelled }

// live reports whether the run is its thread's present one.
func (s RunStatus) live() bool { return s == RunPending || s == RunRunning }

// PruneAfter is how long a run's text pieces are kept after its end. Replay
// from before then gives the completed items, which hold the whole text.
const PruneAfter = 10 * time.Minute

var runs = table[Run]{
	name: "run", noun: "Run",
	id: func(r Run) string { return string(r.ID) },
	sealed: func(r *Run) []sealedPlace {
		all := append(placesOfPairs(r.Account, r.Config.Variables), placesOfServers(r.Account, r.Config.MCPServers)...)
		for i := range r.Config.Delegates {
			all = append(all, placesOfServers(r.Account, r.Config.Delegates[i].MCPServers)...)
		}
		return all
	},
	indexes: []index[Run]{
		{"live", func(r Run) ([]string, string, bool) {
			return []string{string(r.Computer)}, stampText(r.CreatedAt), r.Status.live()
		}},
		{"queued", func(r Run) ([]string, string, bool) {
			return []string{string(r.Thread)}, stampText(r.CreatedAt), r.Status == RunQueued
		}},
		{"status", func(r Run) ([]string, string, bool) {
			return []string{string(r.Status)}, stampText(r.CreatedAt), !r.Status.Over()
		}},
		{"ended", func(r Run) ([]string, string, bool) {
			return nil, stampText(r.EndedAt), r.Status.Over() && !r.Pruned
		}},
		{"thread", func(r Run) ([]string, string, bool) {
			return []string{string(r.Thread)}, stampText(r.CreatedAt), true
		}},
	},
}

// Run returns a run of an account.
func (v *View) Run(account AccountID, id RunID) (Run, error) {
	r, err := runs.get(v.r, string(id))
	return owned(r, err, r.Account == account, runs.noun, string(id))
}

// AnyRun returns a run of any account, for those who act on records.
func (v *View) AnyRun(id RunID) (Run, bool, error) { return runs.find(v.r, string(id)) }

// LiveRuns visits the runs in progress on a computer, oldest first.
func (v *View) LiveRuns(computer ComputerID, visit func(Run) bool) error {
	return runs.each(v.r, "live", []string{string(computer)}, false, visit)
}

// CountRuns is how many runs are in a status, in the whole cluster; ended runs
// are not counted.
func (v *View) CountRuns(s RunStatus) (int, error) { return runs.count(v.r, "status", string(s)) }

// ThreadRuns lists a thread's runs, newest first.
func (v *View) ThreadRuns(account AccountID, thread ThreadID, p Page) (List[Run], error) {
	if _, err := v.Thread(account, thread); err != nil {
		return List[Run]{Items: []Run{}}, err
	}
	return runs.page(v.r, "thread", []string{string(thread)}, p, nil)
}

// CodeBusy marks the Conflict of a message to a thread that has a run.
const CodeBusy = "THREAD_BUSY"

// StartRun begins a run: it checks that the thread is idle and that the budget
// allows the first model call, stores the message and reserves, in one command.
// With Create set the thread is made in the same command.
type StartRun struct {
	Account     AccountID    `cbor:"1,keyasint"`
	Create      *Thread      `cbor:"2,keyasint,omitempty"`
	Thread      ThreadID     `cbor:"3,keyasint"`
	Run         Run          `cbor:"4,keyasint"`
	Message     *Message     `cbor:"5,keyasint,omitempty"` // nil resumes with what was said
	Reserve     *Reservation `cbor:"6,keyasint,omitempty"`
	Idempotency *Idempotency `cbor:"7,keyasint,omitempty"`
}

func (cmd StartRun) apply(tx *Tx) error {
	if done, err := tx.once(cmd.Account, cmd.Idempotency, Resource{"run", string(cmd.Run.ID)}); err != nil || done {
		return err
	}
	t, err := cmd.admitted(tx)
	if err != nil {
		return err
	}
	if t.Run != "" {
		return fault.New(fault.Conflict, "Thread is busy (execution in progress)").WithCode(CodeBusy)
	}
	return cmd.begin(tx, t)
}

// admitted is the thread, if a run may be begun in it.
func (cmd StartRun) admitted(tx *Tx) (Thread, error) {
	if cmd.Message != nil && len(cmd.Message.Content) > MaxMessageBytes {
		return Thread{}, fault.New(fault.TooLarge, "content is %d bytes; the limit is %d", len(cmd.Message.Content), MaxMessageBytes).WithField("content")
	}
	t, err := cmd.thread(tx)
	if err != nil || t.Task != nil {
		return t, err
	}
	if _, err := tx.activeEnvironment(cmd.Account, t.Environment); err != nil {
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Conflict, "the environment of thread %s was deleted", t.ID)
		}
		return t, err
	}
	return t, nil
}

// begin reserves what the run's first model call may cost, and begins it.
func (cmd StartRun) begin(tx *Tx, t Thread) error {
	if err := cmd.reserve(tx, t); err != nil {
		return err
	}
	r := cmd.run(tx, t)
	r.Waiting = cmd.Message
	if err := tx.beginRun(&t, r, runs.create); err != nil {
		return err
	}
	return threads.put(tx.w, t)
}

// run is the run that is asked for, in its thread.
func (cmd StartRun) run(tx *Tx, t Thread) Run {
	r := cmd.Run
	r.Thread, r.Account, r.Computer, r.CreatedAt, r.Cause = t.ID, t.Account, t.Computer, tx.now, tx.cause
	return r
}

// beginRun makes a run the present one of a thread that has none, and says what
// its user said. The caller puts the thread.
func (tx *Tx) beginRun(t *Thread, r Run, store func(Writer, Run) error) error {
	said := r.Waiting
	r.Status, r.FirstSeq, r.Waiting = RunPending, t.LastSeq+1, nil
	if err := store(tx.w, r); err != nil {
		return err
	}
	if said != nil {
		m := *said
		m.Run = r.ID
		if err := tx.say(t, m); err != nil {
			return err
		}
	}
	t.Run, t.LastRun, t.Status, t.UpdatedAt = r.ID, r.ID, ThreadRunning, tx.now
	tx.changed(Change{Noun: ChangedThread, ID: string(t.ID)})
	if err := tx.announceRun(*t, r); err != nil {
		return err
	}
	return tx.runBegan(r)
}

func (cmd StartRun) thread(tx *Tx) (Thread, error) {
	if cmd.Create != nil {
		return tx.createThread(*cmd.Create)
	}
	return tx.Thread(cmd.Account, cmd.Thread)
}

func (cmd StartRun) reserve(tx *Tx, t Thread) error {
	if cmd.Reserve != nil {
		r := *cmd.Reserve
		r.Account, r.Run = t.Account, cmd.Run.ID
		return tx.reserve(r)
	}
	a, err := tx.Account(t.Account, tx.now)
	if err != nil {
		return err
	}
	return a.Affords(0)
}

// runBegan counts the run on its computer and wakes the computer's owner.
func (tx *Tx) runBegan(r Run) error {
	c, ok, err := tx.AnyComputer(r.Computer)
	if err != nil {
		return err
	}
	if !ok || c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "the computer of thread %s was deleted", r.Thread)
	}
	before := c.Connects()
	c.count(r, +1)
	if c.Connects() != before {
		tx.changed(Change{Noun: ChangedComputer, ID: string(c.ID), Node: c.Node})
	}
	tx.changed(Change{Noun: ChangedRun, ID: string(r.ID), Node: c.Node})
	return computers.put(tx.w, c)
}

// runsChanged wakes a computer's new owner for each run it finds there.
func (tx *Tx) runsChanged(c Computer) error {
	return tx.LiveRuns(c.ID, func(r Run) bool {
		tx.changed(Change{Noun: ChangedRun, ID: string(r.ID), Node: c.Node})
		return true
	})
}

// cancelledRunText is why a run ended that its user cancelled before it began.
const cancelledRunText = "Execution cancelled by user"

// CancelRun asks a thread's run to stop; its owner ends it. What waits for it
// ends at once.
type CancelRun struct {
	Account AccountID `cbor:"1,keyasint"`
	Thread  ThreadID  `cbor:"2,keyasint"`
}

func (cmd CancelRun) apply(tx *Tx) error {
	t, err := tx.Thread(cmd.Account, cmd.Thread)
	if err != nil {
		return err
	}
	if t.Run == "" {
		return fault.New(fault.Invalid, "No active execution to cancel")
	}
	if err := tx.dropQueued(t.ID, cancelledRunText); err != nil {
		return err
	}
	return tx.requestCancel(t.Run)
}

func (tx *Tx) requestCancel(id RunID) error {
	r, ok, err := tx.AnyRun(id)
	if err != nil || !ok || r.Status.Over() {
		return err
	}
	r.Cancel = true
	c, _, err := tx.AnyComputer(r.Computer)
	if err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedRun, ID: string(r.ID), Node: c.Node})
	tx.changed(Change{Noun: ChangedThread, ID: string(r.Thread)})
	return runs.put(tx.w, r)
}

// cancelRuns asks every run on a computer to stop.
func (tx *Tx) cancelRuns(c Computer) error {
	var live []Run
	if err := tx.LiveRuns(c.ID, func(r Run) bool { live = append(live, r); return true }); err != nil {
		return err
	}
	for _, r := range live {
		if err := tx.requestCancel(r.ID); err != nil {
			return err
		}
	}
	return nil
}
