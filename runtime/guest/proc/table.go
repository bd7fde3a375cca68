package proc

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Reach says which children a Table waits for.
type Reach bool

const (
	// OwnOnly waits for the processes that the table started.
	OwnOnly Reach = false
	// EveryOrphan is for pid 1: what nobody else waits for comes to it.
	EveryOrphan Reach = true
)

// Table holds the processes of a computer. It has one goroutine of its own
// and a few for each process; Close ends them all.
type Table struct {
	log   *slog.Logger
	reach Reach
	stall time.Duration // stallLimit, shorter in tests

	mu     sync.Mutex
	live   map[int]*Process // running or exited, by pid
	ended  []*Process       // oldest first
	held   int              // processes whose goroutines go on, against MaxLive
	pipes  map[*os.File]struct{}
	closed bool

	chld   chan os.Signal
	reaped chan struct{} // a hint that something was reaped
	quit   chan struct{}
	wg     sync.WaitGroup
}

// NewTable makes an empty table and begins to wait for children.
func NewTable(reach Reach, log *slog.Logger) *Table {
	t := &Table{
		log: log, reach: reach, stall: stallLimit, live: make(map[int]*Process), pipes: make(map[*os.File]struct{}),
		chld: make(chan os.Signal, 1), reaped: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	heed()
	signal.Notify(t.chld, unix.SIGCHLD)
	t.wg.Go(t.reapLoop)
	return t
}

// heed has processes begin with the default action of every signal. Whoever
// started this program may have had it ignore some, as nohup does, and what is
// ignored is inherited; what is only caught is not.
func heed() {
	var ignored []os.Signal
	for s := unix.SIGHUP; s < 65; s++ {
		if signal.Ignored(s) {
			ignored = append(ignored, s)
		}
	}
	if len(ignored) > 0 {
		signal.Notify(make(chan os.Signal, 1), ignored...)
	}
}

// Find returns the process with this number, running or lately ended.
func (t *Table) Find(pid int) (*Process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.live[pid]; p != nil {
		return p, nil
	}
	t.forget()
	for i := len(t.ended) - 1; i >= 0; i-- {
		if t.ended[i].pid == pid {
			return t.ended[i], nil
		}
	}
	return nil, fmt.Errorf("%w: pid %d", ErrNotFound, pid)
}

// FindTag returns the newest running process with this tag, else the one
// that ended last.
func (t *Table) FindTag(tag string) (*Process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *Process
	for _, p := range t.live {
		if p.spec.Tag == tag && (found == nil || p.pid > found.pid) {
			found = p
		}
	}
	if found != nil {
		return found, nil
	}
	t.forget()
	for i := len(t.ended) - 1; i >= 0; i-- {
		if t.ended[i].spec.Tag == tag {
			return t.ended[i], nil
		}
	}
	return nil, fmt.Errorf("%w: tag %q", ErrNotFound, tag)
}

// List returns the processes that have not ended, in no order.
func (t *Table) List() []*Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Process, 0, len(t.live))
	for _, p := range t.live {
		list = append(list, p)
	}
	return list
}

// retire moves a process from the living to the remembered.
func (t *Table) retire(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live[p.pid] == p {
		delete(t.live, p.pid)
	}
	p.endedAt = time.Now()
	t.ended = append(t.ended, p)
	t.forget()
}

// release gives back the room of a process that nothing is left of.
func (t *Table) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held--
}

// drop closes a pipe that has been read to its end.
func (t *Table) drop(pipe *os.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pipes, pipe)
	pipe.Close()
}

// forget drops what has been remembered long enough. The caller holds mu.
func (t *Table) forget() {
	n := max(0, len(t.ended)-MaxEnded)
	for n < len(t.ended) && time.Since(t.ended[n].endedAt) > Retention {
		n++
	}
	if n > 0 {
		clear(t.ended[:n])
		t.ended = append(t.ended[:0:0], t.ended[n:]...)
	}
}
