package actors

import (
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// watchIdle sets the timer for an idle stop while nobody uses the computer.
func (c *computer) watchIdle() {
	if c.calloff != nil {
		c.calloff()
		c.calloff = nil
	}
	if c.fact == runtime.Running && c.users == 0 && c.record.IdleStop > 0 {
		c.set(c.record.IdleStop, idleCheck{c.since})
	}
}

// checkIdle stops a computer that nobody used since the timer was set.
func (c *computer) checkIdle(m idleCheck) {
	c.calloff = nil
	if c.users > 0 || c.since.After(m.since) || c.record.Live > 0 || c.record.Wish == state.WishDeleted {
		c.watchIdle()
		return
	}
	c.log.Info("stopping an idle computer", "idle", c.record.IdleStop)
	c.note(state.SetPhase{Phase: state.Stopping, Idle: true})
}
