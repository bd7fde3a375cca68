package rebyte

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// followTask serves GET /tasks/:id/events: all that the task's newest prompt
// did and does, from its beginning, until it has ended. One that still waits is
// waited for: a stream never ends before its prompt has.
func (a *API) followTask(c *gin.Context) error {
	var task state.Thread
	var newest state.Run
	err := a.task(c, func(v *state.View, t state.Thread) error {
		list, err := v.ThreadRuns(t.Account, t.ID, state.Page{Limit: 1})
		if len(list.Items) > 0 {
			newest = list.Items[0]
		}
		task = t
		return err
	})
	if err != nil {
		return err
	}
	s, err := a.Reserve(c)
	if err != nil {
		return err
	}
	if err = s.BeginUnnumbered(); err == nil {
		err = a.follow(s, task, newest.ID)
	}
	s.Close(err)
	return nil
}

func (a *API) follow(s *door.Stream, task state.Thread, id state.RunID) error {
	r, err := a.begun(s, task, id)
	if err == nil && r.FirstSeq != 0 {
		err = a.send(s, r)
	}
	if err != nil && !errors.Is(err, door.ErrOver) {
		return err
	}
	end, err := a.end(task, id)
	if err != nil {
		return err
	}
	return errors.Join(s.AddNamed("done", end), s.Flush())
}

// begun waits until a run does not wait for another one any more.
func (a *API) begun(s *door.Stream, task state.Thread, id state.RunID) (state.Run, error) {
	f := a.Tasks.Follow(s.Context(), task.ID, task.LastSeq)
	defer f.Close()
	for {
		r, ok, err := a.run(id)
		if err != nil || !ok || r.Status != state.RunQueued {
			return r, err
		}
		events, err := door.Next(s.Context(), f, s.Quiet())
		if err == nil && events == nil {
			if err = s.Ping(); err == nil {
				err = a.Over(task.ID, "")
			}
		}
		if err != nil {
			return r, err
		}
	}
}

func (a *API) run(id state.RunID) (state.Run, bool, error) {
	v := a.Records.StaleView()
	defer v.Close()
	return v.AnyRun(id)
}

// send sends a run's events until its last.
func (a *API) send(s *door.Stream, r state.Run) error {
	f := a.Tasks.Follow(s.Context(), r.Thread, r.FirstSeq-1)
	defer f.Close()
	for {
		events, err := door.Next(s.Context(), f, s.Quiet())
		if err == nil && events == nil {
			if err = s.Ping(); err == nil {
				err = a.Over(r.Thread, r.ID)
			}
		}
		if err != nil {
			return err
		}
		for _, e := range events {
			if line, shown := eventOf(e); shown && e.Run == r.ID {
				if err := s.AddNamed("event", line); err != nil {
					return err
				}
			}
			if e.Run == r.ID && e.Kind == state.EventRunCompleted {
				return s.Flush()
			}
		}
		if err := s.Flush(); err != nil {
			return err
		}
	}
}

// end says how a run ended, as this node's replica has it.
func (a *API) end(task state.Thread, id state.RunID) (wire.TaskDone, error) {
	v := a.Records.StaleView()
	defer v.Close()
	r, ok, err := v.AnyRun(id)
	if err != nil || !ok {
		return wire.TaskDone{Status: "canceled"}, err // deleted meanwhile
	}
	now, ok, err := v.AnyThread(task.ID)
	if err != nil || !ok || now.Deleted {
		return wire.TaskDone{Status: promptStatus(r.Status)}, err
	}
	_, answered, err := messages(v, now)
	return wire.TaskDone{Status: promptStatus(r.Status), FinalResult: answered[id]}, err
}
