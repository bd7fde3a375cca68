package computeragents

import (
	"context"
	"math"
	"sync"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Follower reads a thread's log.
type Follower interface {
	door.Follower
	// Read returns events after one seq and up to another, some at a time and the
	// first ones first; none if there is none now.
	Read(after, upTo uint64) ([]state.Event, error)
	// Wait returns when there may be more, or with why it did not.
	Wait(context.Context) error
}

const (
	// pieceBytes is how much is written at once, and then one event more at most.
	pieceBytes = 256 << 10
	// keptBytes bounds what a broadcast keeps for those who read slower than others,
	// besides the newest piece.
	keptBytes = 64 << 10
)

// piece is what streams send for some events in a row.
type piece struct {
	after, last uint64 // the seqs before its first event and of its last one
	text        []byte
	ends        []runEnd
}

// runEnd is where a run's last line ends in a piece.
type runEnd struct {
	run state.RunID
	at  int
}

// until is what a stream sends of a piece that ends with a run's end, and whether
// that is in it.
func (p piece) until(run state.RunID) ([]byte, bool) {
	for _, e := range p.ends {
		if e.run == run && run != "" {
			return p.text[:e.at], true
		}
	}
	return p.text, false
}

// compose writes the events after a seq, and up to another, as lines.
func (a *API) compose(scribe *Scribe, thread state.Thread, f Follower, after, upTo uint64) (piece, error) {
	p := piece{after: after, last: after}
	events, err := f.Read(after, upTo)
	if err != nil {
		return p, err
	}
	for _, e := range events {
		lines, err := a.lines(scribe, thread, e)
		if err != nil {
			return p, err
		}
		for i, line := range lines {
			id := uint64(0)
			if i == len(lines)-1 { // who resumes after it has seen all lines of the event
				id = e.Seq
			}
			if p.text, err = door.AppendEvent(p.text, id, line); err != nil {
				return p, err
			}
		}
		if e.Kind == state.EventRunCompleted {
			p.ends = append(p.ends, runEnd{e.Run, len(p.text)})
		}
		if p.last = e.Seq; len(p.text) >= pieceBytes {
			break
		}
	}
	return p, nil
}

// broadcasts are those of the threads that somebody follows at this node.
type broadcasts struct {
	mu  sync.Mutex
	all map[state.ThreadID]*broadcast
}

// broadcast is a thread's stream, written once for all who follow it: what is sent
// for an event depends on the events before it alone.
//
//	          kept pieces
//	──┤────────┼─────┼──────┤ tip
//	behind: reads by itself to the next ┼, and goes on with the others from there
type broadcast struct {
	thread state.Thread
	users  int // held with broadcasts.mu

	mu     sync.Mutex
	tip    uint64  // where the newest piece ends
	pieces []piece // each begins where the one before it ends
	bytes  int     // of pieces
	shared bool    // somebody else follows: pieces are worth keeping
	scribe *Scribe // at tip; nil knows nothing
}

// join takes part in a thread's broadcast; leave must be called.
func (bs *broadcasts) join(thread state.Thread, after uint64) *broadcast {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.all[thread.ID]
	if b == nil {
		b = &broadcast{thread: thread, tip: min(after, thread.LastSeq)}
		bs.all[thread.ID] = b
	}
	b.users++
	b.share(b.users > 1)
	return b
}

func (bs *broadcasts) leave(b *broadcast) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.users--; b.users == 0 {
		delete(bs.all, b.thread.ID)
	}
	b.share(b.users > 1)
}

func (b *broadcast) share(shared bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared = shared; !shared {
		b.pieces, b.bytes = nil, 0
	}
}

// listener is one who follows a broadcast.
type listener struct {
	api  *API
	all  *broadcast
	f    Follower
	at   uint64  // it has everything up to this seq
	self *Scribe // of one who is behind
}

// next returns the piece that follows, without an event when there is none now.
func (l *listener) next() (piece, error) {
	p, upTo, err := l.all.next(l.api, l.f, l.at)
	if upTo == 0 || err != nil {
		l.self, l.at = nil, p.last
		return p, err
	}
	if l.self == nil {
		l.self = NewScribe()
	}
	p, err = l.api.compose(l.self, l.all.thread, l.f, l.at, upTo)
	if err == nil && p.last == l.at && upTo != math.MaxUint64 {
		p.last = upTo // what was there is pruned
	}
	l.at = p.last
	return p, err
}

// next is the piece after a seq. One who is not where others are is told up to
// where to read by itself instead.
func (b *broadcast) next(a *API, f Follower, at uint64) (p piece, upTo uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at > b.tip {
		return piece{last: at}, math.MaxUint64, nil
	}
	for _, p := range b.pieces {
		if p.after == at {
			return p, 0, nil
		}
		if p.after > at {
			return piece{last: at}, p.after, nil
		}
	}
	if at < b.tip {
		return piece{last: at}, b.tip, nil
	}
	if b.scribe == nil {
		b.scribe = NewScribe()
	}
	p, err = a.compose(b.scribe, b.thread, f, at, math.MaxUint64)
	if err != nil {
		b.scribe = nil // it may have seen a part
		return piece{last: at}, 0, err
	}
	b.tip = p.last
	if p.last > at && b.shared {
		b.keep(p)
	}
	return p, 0, nil
}

func (b *broadcast) keep(p piece) {
	b.pieces = append(b.pieces, p)
	b.bytes += len(p.text)
	for len(b.pieces) > 1 && b.bytes-len(p.text) > keptBytes {
		b.bytes -= len(b.pieces[0].text)
		b.pieces = append([]piece(nil), b.pieces[1:]...)
	}
}
