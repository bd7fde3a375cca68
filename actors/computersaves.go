package actors

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

const (
	// saveEvery is how often a running computer is saved, if it has anything new.
	saveEvery = 30 * time.Second
	// firstSaveRetry and maxSaveRetry space the tries of a save that failed.
	firstSaveRetry = 5 * time.Second
	maxSaveRetry   = 5 * time.Minute
	// sweepEvery is after how many saves of a running computer older ones are
	// deleted; one that rests keeps none.
	sweepEvery = 8
	// forgetDeadline bounds the wish to delete the saves of a computer that is
	// gone; whoever leads comes back to what is left.
	forgetDeadline = time.Minute
)

// Messages about saves to a computer's actor.
type (
	// save asks for a save of what is there now; the answer comes when it is made.
	save struct{}
	// saveDue comes when the computer is to be looked at again.
	saveDue struct{}
	// unsafe tells it that snapshots of it are on this node alone.
	unsafe struct{}
	// saved is how a save ended.
	saved struct{ err error }
)

// saves is what a computer's actor knows of its saves. They are made aside and
// hold up nothing else.
type saves struct {
	going   bool
	again   bool // asked for since the present one began
	want    bool // something ended of which a save is due
	failed  int  // tries in a row
	made    int  // since the last sweep
	endedAt time.Time
	askers  []func(any, error) // of the present save
	next    []func(any, error) // of the one after
	calloff func()             // of the timer
}

func (s *saves) idle() bool {
	return !s.going && s.calloff == nil && len(s.askers)+len(s.next) == 0
}

// end refuses who waits, when there is nobody any more who would save.
func (s *saves) end(err error) {
	if s.calloff != nil {
		s.calloff()
		s.calloff = nil
	}
	s.answer(&s.askers, err)
	s.answer(&s.next, err)
}

func (s *saves) answer(who *[]func(any, error), err error) {
	for _, answer := range *who {
		answer(nil, err)
	}
	*who = nil
}

// looked takes in what changed: after a run, and once it is down, a computer is
// saved without waiting for its time.
func (s *saves) looked(before, now state.Computer, was, is runtime.Phase) {
	if now.Live < before.Live || was == runtime.Running && is != runtime.Running {
		s.want, s.endedAt = true, time.Time{}
	}
}

// watchSaves saves a computer of which a save is due, and sets the timer for one
// that may need another. It is called when nothing else is left to do.
func (c *computer) watchSaves() {
	s := &c.saves
	if _, _, ok := c.deps.saver(); !ok || c.record.DataNode != c.deps.cluster.Self() || c.record.Wish == state.WishDeleted || s.going {
		return
	}
	resting := (c.fact == runtime.Stopped || c.fact == runtime.Created) && !c.record.Phase.Up()
	unclean := resting && !c.record.Saved.Clean
	switch {
	case s.failed > 0 && s.calloff != nil:
	case s.want && (resting || c.fact == runtime.Running), unclean && c.deps.now().Sub(s.endedAt) >= saveEvery:
		c.save(nil)
	case s.calloff == nil && (unclean || c.fact == runtime.Running):
		s.calloff = c.cell.after(saveEvery-rand.N(saveEvery/5), saveDue{})
	}
}

// save begins a save, or has the present one followed by another.
func (c *computer) save(answer func(any, error)) {
	s := &c.saves
	if _, _, ok := c.deps.saver(); !ok {
		if answer != nil {
			answer(nil, noStore())
		}
		return
	}
	if s.going {
		if s.again = true; answer != nil {
			s.next = append(s.next, answer)
		}
		return
	}
	if answer != nil {
		s.askers = append(s.askers, answer)
	}
	if s.calloff != nil {
		s.calloff()
		s.calloff = nil
	}
	s.going, s.again, s.want = true, false, false
	sweep := s.made+1 >= sweepEvery || c.fact != runtime.Running
	if s.made++; sweep {
		s.made = 0
	}
	c.cell.do(func(ctx context.Context) any { return saved{c.deps.save(ctx, c.id, sweep)} })
}

// saved takes in how a save ended.
func (c *computer) saved(m saved) {
	s := &c.saves
	s.going, s.endedAt = false, c.deps.now()
	s.answer(&s.askers, translate(m.err))
	s.askers, s.next = s.next, nil
	if m.err != nil {
		s.failed++
		c.log.Warn("save computer", "try", s.failed, "err", m.err)
	} else {
		s.failed = 0
	}
	switch {
	case s.again:
		c.save(nil)
	case s.failed > 0:
		s.calloff = c.cell.after(min(firstSaveRetry<<min(s.failed-1, 10), maxSaveRetry), saveDue{})
	default:
		c.look()
	}
}

// forgetSaves deletes what the store has of a computer that is gone, aside and
// once, unless a snapshot of it is there.
func (c *computer) forgetSaves() {
	saver, _, ok := c.deps.saver()
	if !ok || c.record.Saved.Name == "" {
		return
	}
	c.cell.do(func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, forgetDeadline)
		defer cancel()
		if err := c.deps.forgetSaves(ctx, saver, c.id); err != nil {
			c.log.Info("the saves of a deleted computer are left to the leading node", "err", err)
		}
		return nil
	})
}
