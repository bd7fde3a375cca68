package actors

import (
	"context"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Tasks are threads that stand on a computer without an environment. Each of
// their runs is a prompt; a prompt to a busy task waits.
type Tasks struct {
	threads   *Threads
	computers *Computers
}

// NewTask asks for a task and its first prompt. An empty Computer is one that
// is made for it.
type NewTask struct {
	Title    string
	Computer state.ComputerID
	// Prompt is without Thread and Create. Its executor "" is the first that is
	// configured.
	Prompt NewRun
}

// Start makes a task and begins its first prompt. It is refused with NotFound
// or Conflict for a computer that is not there or could not be made, with
// Payment when the budget does not cover the first model call.
func (t *Tasks) Start(ctx context.Context, c Caller, n NewTask) (Started, error) {
	if again, ok, err := t.threads.answered(ctx, c); err != nil || ok {
		return again, err
	}
	name, err := t.threads.models.forTask(&n.Prompt)
	if err != nil {
		return Started{}, err
	}
	id := state.ThreadID(uuid.Must(uuid.NewV7()).String())
	thread := state.Thread{ID: id, Account: c.Account, User: c.User, Computer: n.Computer, Title: n.Title,
		Task: &state.Task{Executor: name, Model: n.Prompt.Model, Visibility: state.TaskShared}}
	cmd := state.StartTask{}
	if n.Computer == "" {
		spec, err := t.computers.specify(ctx, c, state.Computer{Origin: state.OriginTask, Name: n.Title, Egress: true})
		if err != nil {
			return Started{}, err
		}
		spec.IdleStop = t.computers.shape.EnvironmentIdle // nobody else would stop it
		thread.Computer, cmd.Computer = spec.ID, &spec
	}
	n.Prompt.Create = &NewThread{}
	cmd.Start.Create = &thread
	return t.start(ctx, c, thread, n.Prompt, cmd)
}

// Prompt gives a task one more prompt. Beyond state.MaxQueuedRuns that wait it
// is a Conflict (code LIMIT_EXCEEDED).
func (t *Tasks) Prompt(ctx context.Context, c Caller, id state.ThreadID, n NewRun) (Started, error) {
	if again, ok, err := t.threads.answered(ctx, c); err != nil || ok {
		return again, err
	}
	thread, err := t.find(ctx, c, id)
	if err != nil {
		return Started{}, err
	}
	if n.Executor == "" && n.Model == "" {
		n.Executor, n.Model = thread.Task.Executor, thread.Task.Model
	}
	if _, err := t.threads.models.forTask(&n); err != nil {
		return Started{}, err
	}
	return t.start(ctx, c, thread, n, state.StartTask{})
}

func (t *Tasks) start(ctx context.Context, c Caller, thread state.Thread, n NewRun, cmd state.StartTask) (Started, error) {
	if len(n.Content) > state.MaxMessageBytes {
		return Started{}, fault.New(fault.TooLarge, "prompt is %d bytes; the limit is %d", len(n.Content), state.MaxMessageBytes).WithField("prompt")
	}
	cmd.Start.Account, cmd.Start.Thread, cmd.Start.Idempotency = c.Account, thread.ID, c.Idempotency
	if err := t.threads.fill(ctx, c, thread, n, &cmd.Start); err != nil {
		return Started{}, err
	}
	if cmd.Start.Create != nil {
		cmd.Start.Create.Task.Model = cmd.Start.Run.Config.Model
	}
	made, err := t.named(ctx, cmd)
	if err != nil {
		return Started{}, err
	}
	return t.threads.begun(ctx, c, made)
}

// named proposes the command, with another handle for the computer that is made
// with it as long as the one made up is taken.
func (t *Tasks) named(ctx context.Context, cmd state.StartTask) (made state.Made, err error) {
	for range maxHandles {
		if cmd.Computer != nil {
			cmd.Computer.Handle = newHandle()
		}
		made, err = propose[state.Made](ctx, t.threads.cluster, cmd)
		if cmd.Computer == nil || !hasCode(err, state.CodeHandleTaken) {
			break
		}
	}
	return made, err
}

// Show says who may read a task.
func (t *Tasks) Show(ctx context.Context, c Caller, id state.ThreadID, to state.TaskVisibility) (state.Thread, error) {
	if _, err := t.threads.cluster.Apply(ctx, state.ShowTask{Account: c.Account, User: c.User, Task: id, Visibility: to}); err != nil {
		return state.Thread{}, err
	}
	return t.threads.get(c.Account, id)
}

// Cancel ends what a task works on and what waits. A task that does nothing is
// left as it is.
func (t *Tasks) Cancel(ctx context.Context, c Caller, id state.ThreadID) error {
	_, err := t.find(ctx, c, id)
	if err == nil {
		err = t.threads.Cancel(ctx, c, id)
	}
	if fault.Is(err, fault.Invalid) {
		return nil
	}
	return err
}

// Delete hides a task and ends its prompts. A computer that was made for it is
// deleted with the last task there.
func (t *Tasks) Delete(ctx context.Context, c Caller, id state.ThreadID) error {
	task, err := t.find(ctx, c, id)
	if err != nil {
		return err
	}
	if err := t.threads.Delete(ctx, c, id); err != nil {
		return err
	}
	last, err := applied(t.threads.cluster, func(v *state.View) (bool, error) {
		on, ok, err := v.AnyComputer(task.Computer)
		if err != nil || !ok || on.Origin != state.OriginTask {
			return false, err
		}
		n, err := v.CountTasksOn(c.Account, task.Computer)
		return n == 0, err
	})
	if err != nil || !last {
		return err
	}
	_, err = t.computers.Ask(ctx, c, task.Computer, state.WishDeleted)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (t *Tasks) find(ctx context.Context, c Caller, id state.ThreadID) (state.Thread, error) {
	return view(ctx, t.threads.cluster, func(v *state.View) (state.Thread, error) { return v.Task(c.Account, c.User, id) })
}

// Follow reads a task's log from this node's replica, as it grows.
func (t *Tasks) Follow(ctx context.Context, id state.ThreadID, after uint64) *Follower {
	return t.threads.Follow(ctx, id, after)
}
