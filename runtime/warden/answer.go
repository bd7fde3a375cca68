package warden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// retryFreeze is how soon a freeze that did not hold is tried again.
const retryFreeze = 100 * time.Millisecond

func (s *server) answer(req request) reply {
	var rep reply
	err := s.do(req, &rep)
	if err != nil {
		rep.Error = err.Error()
		rep.Fenced = errors.Is(err, ErrFenced)
	}
	return rep
}

func (s *server) do(req request, rep *reply) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), freezeTime)
	defer cancel()
	switch req.Op {
	case opStatus:
		rep.Status, err = s.status()
		return err
	case opDeadline:
		return s.move(func(f fence, now Instant) (fence, deed) { return f.extend(req.Deadline, now) })
	case opFence:
		return s.move(func(f fence, now Instant) (fence, deed) { return f.extend(now, now) })
	case opRun:
		return s.run(req.Command, rep)
	case opFreeze, opThaw:
		return s.turn(ctx, req)
	case opStop:
		s.stop()
		return nil
	}
	return fmt.Errorf("unknown request %q", req.Op)
}

func (s *server) status() (*Status, error) {
	s.mu.Lock()
	f := s.fence
	s.mu.Unlock()
	children, err := s.group.Children()
	if err != nil {
		return nil, err
	}
	st := &Status{
		Version: Version, PID: os.Getpid(), Node: s.Node, Deadline: f.Deadline,
		Fenced: f.Posture == shut, Computers: len(children), Running: s.nursery.running(),
	}
	if f.Deadline != NoDeadline {
		st.Left = f.Deadline.Sub(Now())
	}
	return st, nil
}

func (s *server) run(cmd *Command, rep *reply) error {
	if cmd == nil {
		return errors.New("run: no command")
	}
	if cmd.Starts && s.isShut() {
		return ErrFenced
	}
	result, err := s.nursery.run(*cmd)
	rep.Result = &result
	return err
}

func (s *server) isShut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fence.Posture == shut
}

// turn freezes or thaws one computer. The lock keeps a thaw from crossing the
// moment when the fence shuts.
func (s *server) turn(ctx context.Context, req request) error {
	if req.Computer == "" || req.Computer == "." || req.Computer == ".." || strings.Contains(req.Computer, "/") {
		return fmt.Errorf("%q names no computer", req.Computer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	group := s.group.Child(req.Computer)
	if req.Op == opFreeze {
		return group.Freeze(ctx)
	}
	if s.fence.Posture == shut {
		return ErrFenced
	}
	return group.Thaw(ctx)
}

// move changes the fence and makes the cgroups follow. The alarm is armed
// first, so that whatever fails afterwards, the deadline holds.
func (s *server) move(change func(fence, Instant) (fence, deed)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, what := change(s.fence, Now())
	at := next.Deadline
	if next.Posture == shut {
		at = NoDeadline // has rung
	}
	if err := s.alarm.set(at); err != nil {
		return err
	}
	if err := s.perform(what); err != nil {
		if what == freeze {
			s.fence = next // stays shut; watch tries again
			return errors.Join(err, s.alarm.set(Now().Add(retryFreeze)))
		}
		return err // still shut, and the node pushes again
	}
	if what != nothing {
		s.Log.Info("fence moved", "from", string(s.fence.Posture), "to", string(next.Posture))
	}
	s.fence = next
	return remember(s.Dir, memory{Boot: s.boot, Fence: next})
}

func (s *server) perform(what deed) error {
	ctx, cancel := context.WithTimeout(context.Background(), freezeTime)
	defer cancel()
	switch what {
	case freeze:
		return s.group.Freeze(ctx)
	case handDown:
		return s.group.HandDown(ctx)
	}
	return nil
}

// resume takes up the fence of an earlier warden.
func (s *server) resume() error {
	if s.fence.Posture == shut {
		if err := s.perform(freeze); err != nil {
			return err
		}
	}
	return s.move(fence.look)
}

// watch freezes when the alarm rings, until the alarm is closed.
func (s *server) watch() {
	for s.alarm.wait() == nil {
		if s.isShut() {
			s.refreeze()
			continue
		}
		if err := s.move(fence.look); err != nil {
			s.Log.Error("freeze computers at the deadline", "err", err)
		}
	}
}

// refreeze repeats a freeze that did not hold at once.
func (s *server) refreeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fence.Posture != shut {
		return
	}
	if err := s.perform(freeze); err != nil {
		s.Log.Error("freeze computers past the deadline", "err", err)
		if err := s.alarm.set(Now().Add(retryFreeze)); err != nil {
			s.Log.Error("set the alarm", "err", err)
		}
	}
}
