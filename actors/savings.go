package actors

import (
	"context"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// maxSaves bounds the saves that go on at once on a node.
const maxSaves = 2

// doubt is what nobody here knows to be recorded or not; "" is none.
type doubt string

const (
	doubtSave doubt = "save" // that a save is all there is
	doubtGift doubt = "gift" // that another node owns the computer, with all there is
)

// savings is what a node knows of the saves that it makes, besides the records.
type savings struct {
	turns chan struct{} // holds one for each save that goes on
	// using reports whether files of a computer are read or written just now.
	using func(state.ComputerID) bool

	mu    sync.Mutex
	going map[state.ComputerID]*saving
	// doubts are computers of which something may be recorded later than anybody
	// here knows.
	doubts map[state.ComputerID]doubt
	// dirty is since when a computer here may hold what no save has.
	dirty map[state.ComputerID]time.Time
}

func newSavings(using func(state.ComputerID) bool) *savings {
	return &savings{turns: make(chan struct{}, maxSaves), using: using,
		going: map[state.ComputerID]*saving{}, doubts: map[state.ComputerID]doubt{}, dirty: map[state.ComputerID]time.Time{}}
}

// saving is one save of a computer, from before it looks at the disk until the
// record knows of it.
type saving struct {
	of   *savings
	id   state.ComputerID
	name string // of the snapshot that it is made from
	// written is set when somebody was let write since it began.
	written bool
	// recording is closed when the record knows; nil before it is told.
	recording chan struct{}
}

// begin begins a save of a computer, or fails while there is another.
func (s *savings) begin(id state.ComputerID, name string) (*saving, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.going[id] != nil {
		return nil, false
	}
	one := &saving{of: s, id: id, name: name}
	s.going[id] = one
	return one, true
}

// record reports whether nobody was let write since the save began. Who wants
// to from now on waits until the save ends.
func (s *saving) record() (untouched bool) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.recording = make(chan struct{})
	return !s.written
}

func (s *saving) end() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.recording != nil {
		close(s.recording)
	}
	delete(s.of.going, s.id)
}

// touch tells a save that goes on that the disk is about to be written to, once
// that save is not just being recorded. It returns what the record may yet come to
// say.
func (s *savings) touch(ctx context.Context, id state.ComputerID) (d doubt, err error) {
	for {
		s.mu.Lock()
		one := s.going[id]
		if one == nil || one.recording == nil {
			if one != nil {
				one.written = true
			}
			d = s.doubts[id]
			s.mu.Unlock()
			return d, nil
		}
		recorded := one.recording
		s.mu.Unlock()
		select {
		case <-recorded:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// doubt notes that nobody knows whether something was recorded; certain that a
// later command was, which says what counts.
func (s *savings) doubt(id state.ComputerID, of doubt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts[id] = of
}

func (s *savings) certain(id state.ComputerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.doubts, id)
}

// saves reports whether a snapshot of this machine is one that a save is made from.
func (s *savings) saves(of runtime.Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.going[state.ComputerID(of.Computer)]
	return one != nil && one.name == of.Name
}

// found notes whether a computer holds what no save has. What it holds may be as
// old as the last time that it was found to hold nothing such.
func (s *savings) found(id state.ComputerID, unsaved bool, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !unsaved {
		delete(s.dirty, id)
	} else if _, known := s.dirty[id]; !known {
		s.dirty[id] = since
	}
}

// left forgets what is known of a computer that is no longer this node's.
func (s *savings) left(id state.ComputerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dirty, id)
	delete(s.doubts, id)
}

// age is how old the oldest change is that is unsaved; 0 when there is none.
func (s *savings) age(now time.Time) (oldest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, since := range s.dirty {
		oldest = max(oldest, now.Sub(since))
	}
	return oldest
}
