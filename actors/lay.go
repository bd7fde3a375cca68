package actors

import (
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// answerLaying answers those who need the computer's disk, if it is there or
// will never be.
func (c *computer) answerLaying() {
	switch {
	case c.record.Wish == state.WishDeleted:
		for _, answer := range c.laying {
			answer(nil, fault.New(fault.Conflict, "computer %s is being deleted", c.id))
		}
	case c.fact != absent && c.newness == newestDisk:
		for _, answer := range c.laying {
			answer(grant{epoch: c.record.Epoch}, nil)
		}
	default:
		return
	}
	c.laying = nil
}

// orLay makes the disk of a computer that would be left alone, when somebody
// waits for it, or when it was sent: it takes room here and where it came from.
func (c *computer) orLay(what action) action {
	if what == nothing && c.fact == absent && len(c.laying) > 0 {
		c.laid = true
		return create
	}
	if what == nothing && c.fact == absent && c.record.Sent.Name != "" {
		return create
	}
	if what == create {
		c.laid = false // its user wants it
	}
	return what
}

// newest reports whether this machine holds the computer's newest data: it
// runs here, or nobody else has any. A copy from an earlier time is not it.
func newest(fact runtime.Phase, c state.Computer, self state.NodeID) bool {
	return fact == runtime.Running || fact != absent && (c.DataNode == "" || c.DataNode == self)
}
