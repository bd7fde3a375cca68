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
	// first ones first, and whether there are more.
	Read(after, upTo uint64) (events []state.Event, more bool, err error)
	// Wait returns when there may be more, or with why it did not.
	Wait(context.Context) error
	// Rings is how often there may have been more, for everybody who follows now.
	// What is read after it was asked for holds all that it counts.
	Rings() uint64
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
	more        bool // as much was read as may be at once
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
	events, more, err := f.Read(after, upTo)
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
	p.more = more || len(events) > 0 && p.last < events[len(events)-1].Seq
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
	looked bool    // at the log, after as many
	rings  uint64
	over   error // ErrOver once there is nothing to come, as seen then
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

// listen sends what there is and what comes.
func (l *listener) listen(s *door.Stream, until state.RunID) error {
	thread := l.all.thread.ID
	for woken := false; ; woken = true {
		sent, err := l.catchUp(s, until)
		if err == nil && woken && !sent { // by something that is no event
			err = l.over(until)
		}
		if err == nil {
			err = l.api.rest(s, l.f, thread, until)
		}
		if err != nil {
			return err
		}
	}
}

// over is ErrOver when nothing is to come.
func (l *listener) over(until state.RunID) error {
	if until != "" {
		return l.api.Over(l.all.thread.ID, until)
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	return l.all.over
}

// catchUp sends what there is now.
func (l *listener) catchUp(s *door.Stream, until state.RunID) (sent bool, err error) {
	for more := true; more; {
		var p piece
		if p, more, err = l.next(); err != nil {
			return sent, err
		}
		sent = sent || p.last > p.after
		text, ended := p.until(until)
		if err := s.Send(text); err != nil {
			return sent, err
		}
		if ended {
			return sent, door.ErrOver
		}
	}
	return sent, nil
}

// next returns the piece that follows, without an event when there is none now, and
// whether there may be another already; if not, the follower's Wait tells of more.
func (l *listener) next() (p piece, more bool, err error) {
	p, upTo, more, err := l.all.next(l.api, l.f, l.at)
	if upTo == 0 || err != nil {
		l.self, l.at = nil, p.last
		return p, more, err
	}
	if l.self == nil {
		l.self = NewScribe()
	}
	p, err = l.api.compose(l.self, l.all.thread, l.f, l.at, upTo)
	behind := upTo != math.MaxUint64
	if err == nil && p.last == l.at && behind {
		p.last = upTo // what was there is pruned
	}
	l.at = p.last
	return p, behind || p.more, err
}

// next is the piece after a seq, and whether there is another one after it. One who
// is not where others are is told up to where to read by itself instead.
func (b *broadcast) next(a *API, f Follower, at uint64) (p piece, upTo uint64, more bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at > b.tip {
		return piece{last: at}, math.MaxUint64, false, nil
	}
	for _, p := range b.pieces {
		if p.after == at {
			return p, 0, p.more || p.last < b.tip, nil
		}
		if p.after > at {
			return piece{last: at}, p.after, false, nil
		}
	}
	if at < b.tip {
		return piece{last: at}, b.tip, false, nil
	}
	p, err = b.advance(a, f)
	return p, 0, p.more, err
}

// advance reads and writes what is new, if anything can be.
func (b *broadcast) advance(a *API, f Follower) (piece, error) {
	rings := f.Rings()
	if b.looked && rings == b.rings {
		return piece{after: b.tip, last: b.tip}, nil
	}
	if b.scribe == nil {
		b.scribe = NewScribe()
	}
	p, err := a.compose(b.scribe, b.thread, f, b.tip, math.MaxUint64)
	if err != nil {
		b.scribe = nil // it may have seen a part
		return piece{last: b.tip}, err
	}
	b.looked, b.rings = !p.more, rings
	if p.last == p.after {
		b.over = a.Over(b.thread.ID, "")
	}
	b.tip = p.last
	if p.last > p.after && b.shared {
		b.keep(p)
	}
	return p, nil
}

func (b *broadcast) keep(p piece) {
	b.pieces = append(b.pieces, p)
	b.bytes += len(p.text)
	for len(b.pieces) > 1 && b.bytes-len(p.text) > keptBytes {
		b.bytes -= len(b.pieces[0].text)
		b.pieces = append([]piece(nil), b.pieces[1:]...)
	}
}
