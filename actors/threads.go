package actors

import (
	"context"
	"errors"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Threads are conversations. Every method checks, proposes one command, and
// leaves the rest to the thread's owner, who is woken by the record.
type Threads struct {
	cluster      Cluster
	environments *Environments
	vault        vault
	models       Models
	bell         *bell
}

// Create makes an empty thread.
func (t *Threads) Create(ctx context.Context, c Caller, n NewThread) (state.Thread, error) {
	thread, err := t.prepare(ctx, c, n)
	if err != nil {
		return thread, err
	}
	made, err := propose[state.Made](ctx, t.cluster, state.CreateThread{Thread: thread, Idempotency: c.Idempotency})
	if err != nil {
		return thread, err
	}
	return t.get(c.Account, state.ThreadID(made.Resource.ID))
}

// prepare fills in a thread's record and checks what it names.
func (t *Threads) prepare(ctx context.Context, c Caller, n NewThread) (state.Thread, error) {
	thread := n.record(c)
	if n.Environment == "" {
		env, err := t.environments.Default(ctx, c)
		if err != nil {
			return thread, err
		}
		thread.Environment = env.ID
	}
	if n.Agent == "" {
		return thread, nil
	}
	_, err := view(ctx, t.cluster, func(v *state.View) (state.Agent, error) { return v.Agent(c.Account, n.Agent) })
	return thread, err
}

func (n NewThread) record(c Caller) state.Thread {
	return state.Thread{ID: newID[state.ThreadID]("thread"), Account: c.Account, User: c.User, Environment: n.Environment,
		Agent: n.Agent, Title: n.Title, App: n.App, Metadata: n.Metadata}
}

// Start records a run and returns; its owner does the rest. It is refused with
// Conflict (code THREAD_BUSY) while the thread has one, with Payment when the
// budget does not cover the first model call, with Unavailable (code
// MODEL_NOT_CONFIGURED) when the model's vendor has no key.
func (t *Threads) Start(ctx context.Context, c Caller, n NewRun) (Started, error) {
	if len(n.Content) > state.MaxMessageBytes {
		return Started{}, fault.New(fault.TooLarge, "content is %d bytes; the limit is %d", len(n.Content), state.MaxMessageBytes).WithField("content")
	}
	if again, ok, err := t.answered(ctx, c); err != nil || ok {
		return again, err
	}
	cmd := state.StartRun{Account: c.Account, Thread: n.Thread, Idempotency: c.Idempotency}
	thread, err := t.thread(ctx, c, n, &cmd)
	if err != nil {
		return Started{}, err
	}
	return t.start(ctx, c, thread, n, cmd)
}

func (t *Threads) thread(ctx context.Context, c Caller, n NewRun, cmd *state.StartRun) (state.Thread, error) {
	if n.Create == nil {
		return view(ctx, t.cluster, func(v *state.View) (state.Thread, error) { return v.Thread(c.Account, n.Thread) })
	}
	thread, err := t.prepare(ctx, c, *n.Create)
	cmd.Create, cmd.Thread = &thread, thread.ID
	return thread, err
}

func (t *Threads) start(ctx context.Context, c Caller, thread state.Thread, n NewRun, cmd state.StartRun) (Started, error) {
	if err := t.fill(ctx, c, thread, n, &cmd); err != nil {
		return Started{}, err
	}
	made, err := propose[state.Made](ctx, t.cluster, cmd)
	if err != nil {
		return Started{}, err
	}
	return t.begun(ctx, c, made)
}

// fill puts the run, its message and its first reservation into a command.
func (t *Threads) fill(ctx context.Context, c Caller, thread state.Thread, n NewRun, cmd *state.StartRun) error {
	config, err := t.configure(ctx, c, thread, n)
	if err != nil {
		return err
	}
	cmd.Message = &state.Message{ID: newID[state.MessageID]("msg"), Role: "user", Content: n.Content, Attachments: n.Attachments}
	cmd.Run = state.Run{ID: newID[state.RunID]("run"), Config: config}
	cmd.Reserve, err = t.reserve(thread, n, config)
	return err
}

// begun is the run that a command made, with an owner found for it.
func (t *Threads) begun(ctx context.Context, c Caller, made state.Made) (Started, error) {
	started, err := t.started(c.Account, state.RunID(made.Resource.ID))
	started.Replayed = made.Replayed
	if err != nil {
		return started, err
	}
	return started, t.place(ctx, started)
}

// scheduled is the run that a schedule's tick begins: in its thread, or in a new
// one. Its agent may be gone; then the run goes on without, and says so.
func (t *Threads) scheduled(ctx context.Context, s state.Schedule) (state.StartRun, error) {
	c := Caller{Account: s.Account, User: s.User}
	n := NewRun{Thread: s.Thread, Content: s.Task}
	cmd := state.StartRun{Account: s.Account, Thread: s.Thread}
	var thread state.Thread
	if s.Thread == "" {
		n.Create = &NewThread{Environment: s.Environment, Agent: s.Agent, Title: s.Name, App: s.App}
		thread = n.Create.record(c)
		cmd.Create, cmd.Thread = &thread, thread.ID
	} else {
		var err error
		if thread, err = t.thread(ctx, c, n, nil); err != nil {
			return cmd, err
		}
	}
	return cmd, t.fill(ctx, c, thread, n, &cmd)
}

// place makes sure that somebody owns the run. When nobody can, the run waits:
// the leader places it as soon as a node can take it.
func (t *Threads) place(ctx context.Context, s Started) error {
	if s.Run.Status.Over() {
		return nil
	}
	_, err := t.cluster.Place(ctx, s.Run.Computer)
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Conflict) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// answered finds the run that an Idempotency-Key made before, so that a
// request sent again does not need to pass the checks of a new one.
func (t *Threads) answered(ctx context.Context, c Caller) (Started, bool, error) {
	if c.Idempotency == nil {
		return Started{}, false, nil
	}
	before, err := view(ctx, t.cluster, func(v *state.View) (*state.Answered, error) {
		a, ok, err := v.Answered(c.Account, *c.Idempotency)
		if err != nil || !ok || a.Resource.Kind != "run" {
			return nil, err
		}
		return &a, nil
	})
	if err != nil || before == nil {
		return Started{}, false, err
	}
	s, err := t.started(c.Account, state.RunID(before.Resource.ID))
	s.Replayed = true
	return s, true, err
}

func (t *Threads) started(account state.AccountID, id state.RunID) (Started, error) {
	return applied(t.cluster, func(v *state.View) (Started, error) {
		run, err := v.Run(account, id)
		if err != nil {
			return Started{}, err
		}
		thread, err := v.Thread(account, run.Thread)
		return Started{Thread: thread, Run: run}, err
	})
}

// Patch changes a thread's title, status, agent or metadata.
func (t *Threads) Patch(ctx context.Context, c Caller, p state.PatchThread) (state.Thread, error) {
	p.Account = c.Account
	if p.Agent != nil && *p.Agent != "" {
		if _, err := view(ctx, t.cluster, func(v *state.View) (state.Agent, error) { return v.Agent(c.Account, *p.Agent) }); err != nil {
			return state.Thread{}, err
		}
	}
	if _, err := t.cluster.Apply(ctx, p); err != nil {
		return state.Thread{}, err
	}
	return t.get(c.Account, p.Thread)
}

// Delete hides a thread and stops its run.
func (t *Threads) Delete(ctx context.Context, c Caller, id state.ThreadID) error {
	_, err := t.cluster.Apply(ctx, state.DeleteThread{Account: c.Account, Thread: id})
	return err
}

// Cancel asks a thread's run to stop; its stream ends when it has.
func (t *Threads) Cancel(ctx context.Context, c Caller, id state.ThreadID) error {
	_, err := t.cluster.Apply(ctx, state.CancelRun{Account: c.Account, Thread: id})
	return err
}

// Resume goes on with a thread whose last run was cancelled or failed: the
// same run configuration, the same transcript, no new message. In any other
// state it changes nothing.
func (t *Threads) Resume(ctx context.Context, c Caller, id state.ThreadID) (state.Thread, error) {
	type found struct {
		thread state.Thread
		run    state.Run
	}
	f, err := view(ctx, t.cluster, func(v *state.View) (f found, err error) {
		if f.thread, err = v.Thread(c.Account, id); err != nil || f.thread.LastRun == "" {
			return f, err
		}
		f.run, err = v.Run(c.Account, f.thread.LastRun)
		return f, err
	})
	if err != nil || f.thread.LastRun == "" || f.thread.Run != "" || f.run.Status == state.RunSuccess {
		return f.thread, err
	}
	if err := t.models.Ready(f.run.Config.Model); err != nil {
		return f.thread, err
	}
	cmd := state.StartRun{Account: c.Account, Thread: id, Idempotency: c.Idempotency}
	cmd.Run = state.Run{ID: newID[state.RunID]("run"), Config: f.run.Config, Setup: f.run.Setup}
	if cmd.Reserve, err = t.reserve(f.thread, NewRun{}, f.run.Config); err != nil {
		return f.thread, err
	}
	if _, err := t.cluster.Apply(ctx, cmd); err != nil {
		return f.thread, err
	}
	s, err := t.started(c.Account, cmd.Run.ID)
	if err != nil {
		return f.thread, err
	}
	return s.Thread, t.place(ctx, s)
}

// Copy makes a thread with another's messages and what its runs said and did.
// An empty title is "<title> Copy".
func (t *Threads) Copy(ctx context.Context, c Caller, id state.ThreadID, title string) (state.Thread, error) {
	cmd := state.CopyThread{Account: c.Account, From: id, To: newID[state.ThreadID]("thread"), Title: title, Idempotency: c.Idempotency}
	made, err := propose[state.Made](ctx, t.cluster, cmd)
	if err != nil {
		return state.Thread{}, err
	}
	return t.get(c.Account, state.ThreadID(made.Resource.ID))
}

func (t *Threads) get(account state.AccountID, id state.ThreadID) (state.Thread, error) {
	return applied(t.cluster, func(v *state.View) (state.Thread, error) { return v.Thread(account, id) })
}
