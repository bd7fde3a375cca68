package sshgate

import "sync"

// tally counts what is held for each of many, and bounds it.
type tally[K comparable] struct {
	most int

	mu   sync.Mutex
	held map[K]int // none of them zero
}

func newTally[K comparable](most int) *tally[K] {
	return &tally[K]{most: most, held: map[K]int{}}
}

// take counts one more, or reports that there is no room for it.
func (t *tally[K]) take(k K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[k] >= t.most {
		return false
	}
	t.held[k]++
	return true
}

// give undoes one take.
func (t *tally[K]) give(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[k]--; t.held[k] == 0 {
		delete(t.held, k)
	}
}
