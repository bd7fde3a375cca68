package proc

import (
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Stream tells where output came from.
type Stream int

// The streams of a process. One with a terminal has only Terminal.
const (
	Stdout Stream = iota
	Stderr
	Terminal
)

// Event is output, or the end. Data belongs to the receiver and is shared
// with other listeners: it must not be changed.
type Event struct {
	Stream Stream
	Data   []byte
	End    *End
}

// End is how a process ended.
type End struct {
	Status   syscall.WaitStatus
	TimedOut bool // Spec.Timeout killed it
}

// Code is the exit code, or -1 when a signal ended the process.
func (e End) Code() int { return e.Status.ExitStatus() }

// String is "exit status 1", "signal: killed" or "signal: aborted (core dumped)".
func (e End) String() string {
	switch {
	case e.Status.Exited():
		return "exit status " + strconv.Itoa(e.Status.ExitStatus())
	case e.Status.CoreDump():
		return "signal: " + e.Status.Signal().String() + " (core dumped)"
	default:
		return "signal: " + e.Status.Signal().String()
	}
}

// Subscription delivers the events of one process, from when it was made.
type Subscription struct {
	// C delivers output and, last, the end; then it is closed.
	C <-chan Event
	// Cut is closed when this listener kept the others waiting too long.
	Cut <-chan struct{}

	c         chan Event
	cut, gone chan struct{}
	quit      <-chan struct{} // the table's end
	stall     time.Duration   // stallLimit
	goneOnce  sync.Once
	cutOnce   sync.Once
}

func newSubscription(quit <-chan struct{}, stall time.Duration) *Subscription {
	s := &Subscription{
		c:    make(chan Event, queuedChunks),
		cut:  make(chan struct{}),
		gone: make(chan struct{}),
		quit: quit, stall: stall,
	}
	s.C, s.Cut = s.c, s.cut
	return s
}

// Cancel ends the listening. It may be called more than once.
func (s *Subscription) Cancel() { s.goneOnce.Do(func() { close(s.gone) }) }

// offer gives ev to the listener. While the queue is full it waits, and alone
// says whether nobody else is kept waiting by that.
func (s *Subscription) offer(ev Event, alone func() bool) {
	select {
	case <-s.gone:
		return
	case <-s.cut:
		return
	default:
	}
	select {
	case s.c <- ev:
		return
	default:
	}
	stalled := time.NewTicker(s.stall)
	defer stalled.Stop()
	for {
		select {
		case s.c <- ev:
			return
		case <-s.gone:
			return
		case <-s.cut:
			return
		case <-s.quit:
			return
		case <-stalled.C:
			if !alone() {
				s.cutOnce.Do(func() { close(s.cut) })
				return
			}
		}
	}
}
