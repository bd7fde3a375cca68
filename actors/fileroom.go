package actors

import (
	"context"
	"fmt"
	"hash/maphash"
	"path"
	"sync"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// maxFileOps bounds the operations on files that a node does at once, each
	// of which may hold a whole content in memory.
	maxFileOps = 64
	// maxFileOpsEach bounds those on one computer, so that none takes all.
	maxFileOpsEach = 16
	// fileTurns is how many changes of different files can go on at once
	// without fail.
	fileTurns = 64
)

// fileRoom is where operations on files take place: it bounds how many there
// are, and has those that change one file take turns.
type fileRoom struct {
	most, mostEach int
	mu             sync.Mutex
	all            int
	each           map[state.ComputerID]int
	seed           maphash.Seed
	turns          [fileTurns]chan struct{} // each holds who has the turn
}

// newFileRoom makes a room for most operations, of which mostEach on one
// computer.
func newFileRoom(most, mostEach int) *fileRoom {
	r := &fileRoom{most: most, mostEach: mostEach, each: map[state.ComputerID]int{}, seed: maphash.MakeSeed()}
	for i := range r.turns {
		r.turns[i] = make(chan struct{}, 1)
	}
	return r
}

// enter takes a place, or fails at once with Unavailable.
func (r *fileRoom) enter(id state.ComputerID) (leave func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.each[id] >= r.mostEach {
		return nil, fault.New(fault.Unavailable, "%d operations on the computer's files go on already", r.mostEach).WithRetry(retryMailbox)
	}
	if r.all >= r.most {
		return nil, fault.New(fault.Unavailable, "the node is busy with %d operations on files", r.most).WithRetry(retryMailbox)
	}
	r.all++
	r.each[id]++
	return sync.OnceFunc(func() { r.left(id) }), nil
}

// uses reports whether there is any operation on a computer.
func (r *fileRoom) uses(id state.ComputerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.each[id] > 0
}

func (r *fileRoom) left(id state.ComputerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.each[id]--; r.each[id] == 0 {
		delete(r.each, id)
	}
}

// turn waits until nobody else changes the file, however its path is written, or
// ctx ends; done ends the turn. Different files may share one.
func (r *fileRoom) turn(ctx context.Context, id state.ComputerID, name string) (done func(), err error) {
	if clean, err := workspace.Clean(name); err == nil {
		name = clean
	}
	at := r.turns[maphash.String(r.seed, path.Join(string(id), name))%fileTurns]
	select {
	case at <- struct{}{}:
		return func() { <-at }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of %s: %w", name, ctx.Err())
	}
}
