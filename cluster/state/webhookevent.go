package state

// WebhookEvent is what a webhook can be told of.
type WebhookEvent string

// Events of tasks: a prompt of one has begun when it is running.
const (
	TaskCreated   WebhookEvent = "task.created"
	TaskRunning   WebhookEvent = "task.running"
	TaskCompleted WebhookEvent = "task.completed"
	TaskFailed    WebhookEvent = "task.failed"
	TaskCanceled  WebhookEvent = "task.canceled"
)

// Events of runs, those of tasks among them.
const (
	RunBegan     WebhookEvent = "run.started"
	RunCompleted WebhookEvent = "run.completed"
	RunDidFail   WebhookEvent = "run.failed"
	RunCanceled  WebhookEvent = "run.canceled"
)

// Events of computers and of builds of environments.
const (
	ComputerRunning WebhookEvent = "computer.running"
	ComputerStopped WebhookEvent = "computer.stopped"
	ComputerFailed  WebhookEvent = "computer.failed"
	ComputerDeleted WebhookEvent = "computer.deleted"
	BuildStarted    WebhookEvent = "build.started"
	BuildCompleted  WebhookEvent = "build.completed"
	BuildDidFail    WebhookEvent = "build.failed"
	BuildCanceled   WebhookEvent = "build.canceled"
)

// WebhookEvents lists every event.
func WebhookEvents() []WebhookEvent {
	return []WebhookEvent{TaskCreated, TaskRunning, TaskCompleted, TaskFailed, TaskCanceled,
		RunBegan, RunCompleted, RunDidFail, RunCanceled,
		ComputerRunning, ComputerStopped, ComputerFailed, ComputerDeleted,
		BuildStarted, BuildCompleted, BuildDidFail, BuildCanceled}
}

// Which event is told of which end, or phase.
var (
	afterTask  = map[RunStatus]WebhookEvent{RunSuccess: TaskCompleted, RunFailed: TaskFailed, RunCancelled: TaskCanceled}
	runEnds    = map[RunStatus]WebhookEvent{RunSuccess: RunCompleted, RunFailed: RunDidFail, RunCancelled: RunCanceled}
	ofComputer = map[Phase]WebhookEvent{Running: ComputerRunning, Stopped: ComputerStopped, Failed: ComputerFailed, Deleted: ComputerDeleted}
	ofBuild    = map[BuildPhase]WebhookEvent{BuildRunning: BuildStarted, BuildSucceeded: BuildCompleted, BuildFailed: BuildDidFail, BuildCancelled: BuildCanceled}
)

// announceRun tells of a run that has begun, and of the task that it is a prompt of.
func (tx *Tx) announceRun(t Thread, r Run) error {
	if t.Task != nil {
		if err := tx.announce(t.Account, Delivery{Event: TaskRunning, Thread: t.ID, Run: r.ID}); err != nil {
			return err
		}
	}
	return tx.announce(t.Account, Delivery{Event: RunBegan, Thread: t.ID, Run: r.ID, Computer: r.Computer})
}

// announceTaskEnd tells that a task has come to rest with a run's end.
func (tx *Tx) announceTaskEnd(t Thread, r Run) error {
	if t.Task == nil {
		return nil
	}
	return tx.announce(t.Account, Delivery{Event: afterTask[r.Status], Thread: t.ID, Run: r.ID})
}

// announceRunEnd tells of a run's end.
func (tx *Tx) announceRunEnd(t Thread, r Run) error {
	return tx.announce(t.Account, Delivery{Event: runEnds[r.Status], Thread: t.ID, Run: r.ID, Computer: r.Computer, Reason: r.Error})
}

// announceComputer tells that a computer has come to its phase from another.
func (tx *Tx) announceComputer(c Computer, was Phase) error {
	event, told := ofComputer[c.Phase]
	if !told || was == c.Phase {
		return nil
	}
	return tx.announce(c.Account, Delivery{Event: event, Computer: c.ID, Reason: c.Error})
}

// announceBuild tells that a build has come to its phase. Tests of recipes are
// nobody's but their user's.
func (tx *Tx) announceBuild(b Build) error {
	event, told := ofBuild[b.Phase]
	if !told || b.Test {
		return nil
	}
	return tx.announce(b.Account, Delivery{Event: event, Build: b.ID, Reason: b.Error})
}
