package actors

import (
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// action is the one thing an owner does next for a computer.
type action string

const (
	nothing action = "nothing"
	create  action = "create"
	start   action = "start"
	resize  action = "resize"
	egress  action = "egress" // hold it to its record's network rules
	snap    action = "snap"
	thaw    action = "thaw"
	stop    action = "stop"
	remove  action = "remove"
	forget  action = "forget" // nothing is left of it: record that
	give    action = "give"   // make another node its owner
	// setAside keeps the disk here as a snapshot and takes it away, for a newer save.
	setAside action = "set-aside"
	adopt    action = "adopt" // record that the disk here was made from its save
)

// absent is the fact of a computer that this machine does not hold.
const absent runtime.Phase = "absent"

// facts lists every fact a driver can report.
func facts() []runtime.Phase {
	return []runtime.Phase{absent, runtime.Created, runtime.Running, runtime.Frozen, runtime.Stopped}
}

// wishes lists every wish.
func wishes() []state.Wish {
	return []state.Wish{state.WishRunning, state.WishStopped, state.WishDeleted}
}

// table says what to do for each wish and fact; a test proves it full. One
// action is done, then wish and fact are looked at again.
var table = map[state.Wish]map[runtime.Phase]action{
	state.WishRunning: {
		absent: create, runtime.Created: start, runtime.Stopped: start,
		runtime.Frozen: thaw, runtime.Running: nothing,
	},
	state.WishStopped: {
		absent: nothing, runtime.Created: nothing, runtime.Stopped: nothing,
		runtime.Frozen: stop, runtime.Running: stop,
	},
	state.WishDeleted: {
		absent: forget, runtime.Created: remove, runtime.Stopped: remove,
		runtime.Frozen: remove, runtime.Running: remove,
	},
}

// next decides.
func next(wish state.Wish, fact runtime.Phase) action { return table[wish][fact] }

// asked is what is asked for besides a wish.
type asked struct {
	snapshots bool
	egress    bool // other network rules than it is held to
}

// besides puts what is asked for besides a wish before a rest or a start: first
// network rules, since what a computer may no longer do ends at once; then
// snapshots, which show what is there now, then another size. What is being
// stopped, removed or thawed comes to rest first, and a start brings the rules
// itself.
func besides(what action, fact runtime.Phase, c state.Computer, a asked) action {
	if what != nothing && what != start {
		return what
	}
	switch {
	case a.egress && fact == runtime.Running:
		return egress
	case a.snapshots && fact != absent:
		return snap
	case c.Resize != nil:
		return resize
	}
	return what
}

// newness is what the disk here is to the newest of its computer.
type newness string

const (
	newestDisk   newness = "newest"   // or nothing newer is known
	restoredDisk newness = "restored" // made from the newest save, and the record does not know
	olderDisk    newness = "older"    // older than the save that the record names
)

// newnesses lists them all.
func newnesses() []newness { return []newness{newestDisk, restoredDisk, olderDisk} }

// newnessOf decides from a record and what is found on this machine. A disk
// is of the epoch that last acted on it, and a save in the one that made it.
func newnessOf(c state.Computer, self state.NodeID, fact runtime.Phase, s runtime.Status) newness {
	switch {
	case fact == absent || c.DataNode == self || c.Saved.Name == "" && c.Sent.Name == "":
		return newestDisk
	case fact == runtime.Created && s.Spec.Restored() != (runtime.Save{}) && s.Spec.Saved == savedOf(c) && s.Spec.Sent == sentOf(c):
		return restoredDisk
	case c.Sent.Name != "" && state.Epoch(s.Epoch) <= c.Sent.Epoch, c.Sent.Name == "" && state.Epoch(s.Epoch) < c.Saved.Epoch:
		return olderDisk
	}
	return newestDisk
}

// savedOf is the save in the blob store that a computer's disk is made from, and
// sentOf what was sent for it to this node: one of them at most.
func savedOf(c state.Computer) runtime.Save {
	if c.Sent.Name != "" || c.Saved.Name == "" {
		return runtime.Save{}
	}
	return runtime.Save{Computer: runtime.ID(c.ID), Name: c.Saved.Name}
}

func sentOf(c state.Computer) runtime.Save {
	if c.Sent.Name == "" {
		return runtime.Save{}
	}
	return runtime.Save{Computer: runtime.ID(c.ID), Name: c.Sent.Name}
}

// first puts what a disk needs that is not the newest before all that would use it.
func first(what action, wish state.Wish, n newness) action {
	switch {
	case wish == state.WishDeleted:
		return what
	case n == olderDisk:
		return setAside
	case n == restoredDisk:
		return adopt
	}
	return what
}

// phaseOf is how a fact is recorded when nothing is left to do.
func phaseOf(fact runtime.Phase, before state.Phase) state.Phase {
	switch fact {
	case runtime.Running:
		return state.Running
	case runtime.Stopped, runtime.Created:
		return state.Stopped
	case absent:
		if before != state.Provisioning && before != state.Failed { // why it failed stays to be read
			return state.Stopped
		}
	}
	return before
}
