package computeragents

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// stream starts a run and sends what it does until it has ended. Everything
// that can be refused is refused before the first byte.
func (a *API) stream(c *gin.Context, caller actors.Caller, run actors.NewRun) error {
	s, started, err := a.begin(c, caller, run)
	if err != nil {
		return err
	}
	a.OwnerNow(c, started.Thread.Computer)
	s.Close(a.streamRun(s, started, run.Create != nil))
	return nil
}

// begin takes a place for what follows a run, and starts the run.
func (a *API) begin(c *gin.Context, caller actors.Caller, run actors.NewRun) (*door.Stream, actors.Started, error) {
	s, err := a.Reserve(c)
	if err != nil {
		return nil, actors.Started{}, err
	}
	started, err := a.start(c, caller, run)
	if err != nil {
		s.Close(err)
	}
	return s, started, err
}

// start records the run, within the patience for a request.
func (a *API) start(c *gin.Context, caller actors.Caller, run actors.NewRun) (actors.Started, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), a.Patience.Request)
	defer cancel()
	return a.Runs.Start(ctx, caller, run)
}

func (a *API) streamRun(s *door.Stream, started actors.Started, made bool) error {
	after := started.Run.FirstSeq - 1
	if err := s.Begin(after); err != nil {
		return err
	}
	if made {
		at := wire.At(started.Thread.CreatedAt)
		line := wire.Event{Type: wire.ThreadCreated, Timestamp: &at, Thread: &wire.StreamThread{
			ID: string(started.Thread.ID), Status: string(state.ThreadRunning), EnvironmentID: string(started.Thread.Environment)}}
		if err := errors.Join(s.Add(after, line), s.Flush()); err != nil {
			return err
		}
	}
	return a.follow(s, started.Thread, after, started.Run.ID)
}

// follow sends a thread's events after a seq: until the run has ended or, with
// no run named, until the client leaves.
func (a *API) follow(s *door.Stream, thread state.Thread, after uint64, until state.RunID) error {
	f := a.Runs.Follow(s.Context(), thread.ID, after)
	defer f.Close()
	all := a.broadcasts.join(thread, after)
	defer a.broadcasts.leave(all)
	l := &listener{api: a, all: all, f: f, at: after}
	err := l.listen(s, until)
	if errors.Is(err, door.ErrOver) {
		return nil
	}
	return err
}

// rest waits until there may be more, and keeps a silent connection alive.
func (a *API) rest(s *door.Stream, f Follower, thread state.ThreadID, until state.RunID) error {
	for {
		woken, err := a.quiet(s, f)
		if woken || err != nil {
			return err
		}
		if err := s.Ping(); err != nil {
			return err
		}
		if until != "" { // a run that ended may have been the last thing to happen
			if err := a.Over(thread, until); err != nil {
				return err
			}
		}
	}
}

// quiet waits for as long as a stream may be silent.
func (a *API) quiet(s *door.Stream, f Follower) (woken bool, err error) {
	ctx, cancel := context.WithTimeout(s.Context(), s.Quiet())
	defer cancel()
	err = f.Wait(ctx)
	if err != nil && ctx.Err() != nil && s.Context().Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// lines translates an event, after telling the scribe what it has missed.
func (a *API) lines(scribe *Scribe, thread state.Thread, e state.Event) ([]wire.Event, error) {
	long := e.Kind == state.EventRunCompleted && len(e.Text) >= mayBeClipped
	if scribe.Knows(e) && !long {
		return scribe.Write(e), nil
	}
	v := a.Records.StaleView()
	defer v.Close()
	if !scribe.Knows(e) {
		if err := recall(v, scribe, thread.ID, e); err != nil {
			return nil, err
		}
	}
	if long {
		var err error
		if e.Text, err = wholeAnswer(v, thread, e); err != nil {
			return nil, err
		}
	}
	return scribe.Write(e), nil
}

// recall shows the scribe the events of e's run that came before e.
func recall(v *state.View, scribe *Scribe, thread state.ThreadID, e state.Event) error {
	r, ok, err := v.AnyRun(e.Run)
	if err != nil || !ok {
		return err
	}
	return v.Events(thread, r.FirstSeq-1, func(earlier state.Event) bool {
		if earlier.Seq < e.Seq && earlier.Run == e.Run {
			scribe.Recall(earlier)
		}
		return earlier.Seq < e.Seq
	})
}

// mayBeClipped is from which length on an answer in an event may be cut: the
// message has it whole.
const mayBeClipped = 16 << 10

// newestMessages is how many messages are searched for a run's answer.
const newestMessages = 10

func wholeAnswer(v *state.View, thread state.Thread, e state.Event) (string, error) {
	list, err := v.Messages(thread.Account, thread.ID, state.Page{Limit: newestMessages}, true)
	if fault.Is(err, fault.NotFound) {
		return e.Text, nil // deleted meanwhile
	}
	for _, m := range list.Items {
		if m.Run == e.Run && m.Role == "assistant" {
			return m.Content, err
		}
	}
	return e.Text, err
}

// answer starts a run and replies once it has ended, in one piece of JSON.
func (a *API) answer(c *gin.Context, caller actors.Caller, run actors.NewRun) error {
	s, started, err := a.begin(c, caller, run)
	if err != nil {
		return err
	}
	reply, err := a.await(s.Context(), started)
	drained := a.Draining()
	s.Close(err)
	if err != nil && drained != nil {
		err = drained
	}
	if err != nil {
		return err
	}
	a.OwnerNow(c, started.Thread.Computer)
	c.JSON(http.StatusOK, reply)
	return nil
}

func (a *API) await(ctx context.Context, started actors.Started) (wire.RunReply, error) {
	f := a.Runs.Follow(ctx, started.Thread.ID, started.Run.FirstSeq-1)
	defer f.Close()
	scribe := NewScribe()
	for {
		events, err := door.Next(ctx, f, a.Patience.Ping)
		if err == nil && events == nil {
			err = a.Over(started.Thread.ID, started.Run.ID)
		}
		if errors.Is(err, door.ErrOver) {
			err = fault.New(fault.Conflict, "Thread %s was deleted before its run ended", started.Thread.ID)
		}
		if err != nil {
			return wire.RunReply{}, err
		}
		for _, e := range events {
			if e.Run != started.Run.ID || e.Kind != state.EventRunCompleted {
				scribe.Recall(e)
				continue
			}
			lines, err := a.lines(scribe, started.Thread, e)
			if err != nil {
				return wire.RunReply{}, err
			}
			return a.runReply(started.Thread, lines)
		}
	}
}

func (a *API) runReply(thread state.Thread, lines []wire.Event) (reply wire.RunReply, err error) {
	for _, line := range lines {
		if line.Response != nil {
			reply.Response = *line.Response
		}
		if line.Run != nil {
			reply.Run = *line.Run
		}
	}
	v := a.Records.StaleView()
	defer v.Close()
	now, ok, err := v.AnyThread(thread.ID)
	if ok {
		thread = now
	}
	reply.Thread = threadOf(thread)
	return reply, err
}
