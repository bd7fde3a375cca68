package fake

import (
	"fmt"
	"slices"
	"sync"

	"github.com/bothy-computer/bothy/runtime"
)

// maxHistory bounds the calls a World keeps; older ones are dropped.
const maxHistory = 1 << 20

// Call is one call of a driver, or one thing that happened to a computer.
type Call struct {
	Node  string
	Op    Op
	ID    runtime.ID // "" for List and Capacity
	Epoch runtime.Epoch
	Argv  []string // of Exec
	Err   error    // what the caller was told
}

// World is what many drivers have in common. It may be used by many
// goroutines.
type World struct {
	mu         sync.Mutex
	calls      []Call
	violations []error
	ran        map[tenure]string              // which node ran it
	running    map[runtime.ID]map[string]bool // by node
	store      string                         // id of the blob store; "" is none
	saves      map[runtime.Save]save
}

type tenure struct {
	id    runtime.ID
	epoch runtime.Epoch
}

// NewWorld makes a World in which nothing has happened.
func NewWorld() *World {
	return &World{ran: make(map[tenure]string), running: make(map[runtime.ID]map[string]bool),
		saves: make(map[runtime.Save]save)}
}

// Calls returns the history, oldest first. Calls of one computer at one node
// are in the order in which they took effect.
func (w *World) Calls() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// Of returns the history of one computer.
func (w *World) Of(id runtime.ID) []Call {
	return slices.DeleteFunc(w.Calls(), func(c Call) bool { return c.ID != id })
}

// Violations returns how the promise was broken that a computer has one owner
// at a time. A test fails when there are any.
func (w *World) Violations() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

func (w *World) note(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) >= maxHistory {
		w.calls = append(w.calls[:0:0], w.calls[maxHistory/2:]...)
	}
	w.calls = append(w.calls, c)
}

// acted notes that a node has run a computer in an epoch.
func (w *World) acted(node string, id runtime.ID, epoch runtime.Epoch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := tenure{id, epoch}
	if first, ok := w.ran[key]; ok && first != node {
		w.violations = append(w.violations, fmt.Errorf("computer %s was run in epoch %d by %s and by %s", id, epoch, first, node))
		return
	}
	w.ran[key] = node
}

// moves notes whether a node's copy of a computer runs now.
func (w *World) moves(node string, id runtime.ID, running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	nodes := w.running[id]
	if !running {
		delete(nodes, node)
		if len(nodes) == 0 {
			delete(w.running, id)
		}
		return
	}
	for other := range nodes {
		if other != node {
			w.violations = append(w.violations, fmt.Errorf("computer %s runs at %s and at %s", id, other, node))
		}
	}
	if nodes == nil {
		nodes = make(map[string]bool)
		w.running[id] = nodes
	}
	nodes[node] = true
}
