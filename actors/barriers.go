package actors

import (
	"context"
	"sync"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// errLeaves is why a run stops here between two steps: its computer is given to
// another node, which goes on with it.
var errLeaves = fault.New(fault.Moved, "the computer goes to another node")

// barriers keep what must not be cut from a computer that its node gives away: runs
// leave between two steps, commands when they have ended, and no others come in.
type barriers struct {
	mu sync.Mutex
	of map[state.ComputerID]*barrier // that are shut, or that somebody is behind
}

// barrier is that of one computer.
type barrier struct {
	inside map[*visit]struct{}
	shut   chan struct{} // closed when it is
	calm   chan struct{} // closed when it is shut and no run is behind it
	empty  chan struct{} // closed when it is shut and nobody is behind it
	open   chan struct{} // closed when it opens again
}

// visit is who is behind a barrier.
type visit struct {
	evict func(error) // nil of who is only waited for
}

func newBarriers() *barriers { return &barriers{of: map[state.ComputerID]*barrier{}} }

func (g *barriers) barrier(id state.ComputerID) *barrier {
	at := g.of[id]
	if at == nil {
		at = &barrier{inside: map[*visit]struct{}{}, shut: make(chan struct{}), calm: make(chan struct{}), empty: make(chan struct{}), open: make(chan struct{})}
		g.of[id] = at
	}
	return at
}

// settled closes calm and empty once they are true of a barrier that is shut.
func (g *barrier) settled() {
	runs := false
	for v := range g.inside {
		runs = runs || v.evict != nil
	}
	select {
	case <-g.calm:
	default:
		if !runs {
			close(g.calm)
		}
	}
	if len(g.inside) == 0 {
		close(g.empty)
	}
}

func (g *barrier) isShut() bool {
	select {
	case <-g.shut:
		return true
	default:
		return false
	}
}

// enter lets somebody in who calls leave at the end, and should when leaves is
// closed. evict, which may be nil, ends them. False: the barrier is shut.
func (g *barriers) enter(id state.ComputerID, evict func(error)) (leaves <-chan struct{}, leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.barrier(id)
	if at.isShut() {
		return nil, nil, false
	}
	v := &visit{evict}
	at.inside[v] = struct{}{}
	return at.shut, sync.OnceFunc(func() { g.leave(id, at, v) }), true
}

// pass is enter for who waits while the barrier is shut.
func (g *barriers) pass(ctx context.Context, id state.ComputerID) (leave func(), err error) {
	for {
		_, leave, ok := g.enter(id, nil)
		if ok {
			return leave, nil
		}
		g.mu.Lock()
		at := g.of[id]
		g.mu.Unlock()
		if at == nil {
			continue
		}
		select {
		case <-at.open:
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "the computer is on its way to another node").WithRetry(retryMailbox)
		}
	}
}

func (g *barriers) leave(id state.ComputerID, at *barrier, v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(at.inside, v)
	switch {
	case at.isShut():
		at.settled()
	case len(at.inside) == 0 && g.of[id] == at:
		delete(g.of, id)
	}
}

// close shuts the barrier of a computer; calm is closed once no run is behind it,
// and empty once nobody is. False: it is shut already.
func (g *barriers) close(id state.ComputerID) (calm, empty <-chan struct{}, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.barrier(id)
	if at.isShut() {
		return nil, nil, false
	}
	close(at.shut)
	at.settled()
	return at.calm, at.empty, true
}

// evict ends those behind a barrier that can be ended.
func (g *barriers) evict(id state.ComputerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.of[id]; at != nil {
		for v := range at.inside {
			if v.evict != nil {
				v.evict(errSuperseded)
			}
		}
	}
}

// open opens the barrier that was shut; who is still behind it is behind it no more.
func (g *barriers) open(id state.ComputerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.of[id]; at != nil && at.isShut() {
		delete(g.of, id)
		close(at.open)
	}
}
