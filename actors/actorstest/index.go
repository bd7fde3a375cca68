package actorstest

import (
	"sync"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/state/statetest"
)

// Index keeps a search index in memory, read and written by one at a time. It
// is an actors.IndexStore.
type Index struct {
	mu     sync.Mutex
	memory *statetest.Memory
}

// NewIndex makes an empty one.
func NewIndex() *Index { return &Index{memory: statetest.New()} }

// Update changes the index.
func (i *Index) Update(change func(state.Writer) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return change(i.memory)
}

// View reads the index, and keeps others out until done is called.
func (i *Index) View() (state.Reader, func(), error) {
	i.mu.Lock()
	return i.memory, i.mu.Unlock, nil
}

// Watch is another watcher of what a node applies.
func (n *Node) Watch() *Watch {
	w := &Watch{changed: map[state.Change]struct{}{}, wake: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watches = append(n.watches, w)
	return w
}

// Watch is an actors.ThreadChanges of its own.
type Watch struct {
	mu      sync.Mutex
	changed map[state.Change]struct{}
	wake    chan struct{}
}

func (w *Watch) note(c state.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed[c] = struct{}{}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Settle has nothing to do: changes are noted as they are applied.
func (w *Watch) Settle() {}

// Wake has a value when there is something to Take.
func (w *Watch) Wake() <-chan struct{} { return w.wake }

// Take returns what changed since the last call.
func (w *Watch) Take() (changes []state.Change, missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.changed {
		changes = append(changes, c)
	}
	clear(w.changed)
	return changes, false
}

// Full reports that there is room.
func (*Index) Full() bool { return false }
