package cluster

import (
	"sync"

	"github.com/bothy-computer/bothy/cluster/state"
)

// maxPendingChanges bounds what a watcher that does not look keeps; beyond it
// the watcher is told to look at everything.
const maxPendingChanges = 1024

// hub wakes watchers. The apply loop hands it changes and never waits for it.
type hub struct {
	mu      sync.Mutex
	broad   map[*Watcher]struct{}            // look at every change
	keyed   map[record]map[*Watcher]struct{} // look at one record
	pending []state.Change
	missed  bool
	wake    chan struct{}
}

// record names what a change is about.
type record struct {
	noun state.Noun
	id   string
}

func newHub() *hub {
	return &hub{broad: map[*Watcher]struct{}{}, keyed: map[record]map[*Watcher]struct{}{}, wake: make(chan struct{}, 1)}
}

// publish takes what an entry changed. It is called by the apply loop.
func (h *hub) publish(changes []state.Change) {
	if len(changes) == 0 {
		return
	}
	h.mu.Lock()
	h.pending = append(h.pending, changes...)
	h.mu.Unlock()
	poke(h.wake)
}

// lost tells every watcher that changes were skipped.
func (h *hub) lost() {
	h.mu.Lock()
	h.missed = true
	h.mu.Unlock()
	poke(h.wake)
}

// run hands changes to watchers until done is closed.
func (h *hub) run(done <-chan struct{}) {
	for {
		select {
		case <-h.wake:
			h.deliver()
		case <-done:
			return
		}
	}
}

func (h *hub) deliver() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.pending {
		for w := range h.keyed[record{c.Noun, c.ID}] {
			w.note(c)
		}
		for w := range h.broad {
			if w.want(c) {
				w.note(c)
			}
		}
	}
	h.pending = nil
	if !h.missed {
		return
	}
	h.missed = false
	for w := range h.broad {
		w.miss()
	}
	for _, ws := range h.keyed {
		for w := range ws {
			w.miss()
		}
	}
}

// poke puts a wake-up into a channel that has room for one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one waits already
	}
}

// Watcher is woken when records change. Changes that come before it looks are
// put together; what it then reads is at least as new as they are.
type Watcher struct {
	h    *hub
	want func(state.Change) bool
	key  *record
	wake chan struct{}

	mu      sync.Mutex
	changes map[state.Change]struct{}
	missed  bool
}

// Watch wakes the watcher for changes that want accepts. want is called for
// every change in the cluster, so it must be quick and must not block.
func (c *Cluster) Watch(want func(state.Change) bool) *Watcher {
	return c.hub.add(&Watcher{want: want})
}

// WatchRecord wakes the watcher for changes of one record. It costs nothing
// when others change, so there may be very many.
func (c *Cluster) WatchRecord(noun state.Noun, id string) *Watcher {
	return c.hub.add(&Watcher{key: &record{noun, id}})
}

func (h *hub) add(w *Watcher) *Watcher {
	w.h, w.wake, w.changes = h, make(chan struct{}, 1), map[state.Change]struct{}{}
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.key == nil {
		h.broad[w] = struct{}{}
		return w
	}
	if h.keyed[*w.key] == nil {
		h.keyed[*w.key] = map[*Watcher]struct{}{}
	}
	h.keyed[*w.key][w] = struct{}{}
	return w
}

// Wake has a value when there is something to Take.
func (w *Watcher) Wake() <-chan struct{} { return w.wake }

// Settle makes what a Read before the call showed be there to Take.
func (w *Watcher) Settle() { w.h.deliver() }

// Take returns what changed since the last Take. missed means that there was
// more: look at everything.
func (w *Watcher) Take() (changes []state.Change, missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.changes {
		changes = append(changes, c)
	}
	clear(w.changes)
	missed, w.missed = w.missed, false
	return changes, missed
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	delete(w.h.broad, w)
	if w.key == nil {
		return
	}
	delete(w.h.keyed[*w.key], w)
	if len(w.h.keyed[*w.key]) == 0 {
		delete(w.h.keyed, *w.key)
	}
}

func (w *Watcher) note(c state.Change) {
	w.mu.Lock()
	if len(w.changes) < maxPendingChanges {
		w.changes[c] = struct{}{}
	} else {
		clear(w.changes)
		w.missed = true
	}
	w.mu.Unlock()
	poke(w.wake)
}

func (w *Watcher) miss() {
	w.mu.Lock()
	w.missed = true
	w.mu.Unlock()
	poke(w.wake)
}
