package store

const (
	// maxHotKeys and maxHotBytes bound what hot keeps: a few MiB at most.
	maxHotKeys  = 4096
	maxHotBytes = 2 << 10 // of one value
)

// hot keeps the newest values of keys that updates read again and again: a
// node's record, an account, a thread. There is one writer, so what it wrote
// last is what the store holds. Views do not use it.
type hot struct {
	committed map[string][]byte
	pending   map[string][]byte // written by the update in progress; nil is deleted
}

func newHot() *hot { return &hot{committed: map[string][]byte{}, pending: map[string][]byte{}} }

// get returns a key's value and whether it is known here. The caller gets the
// only copy there is: it must not be changed.
func (h *hot) get(key []byte) (value []byte, known bool) {
	if v, ok := h.pending[string(key)]; ok {
		return v, true
	}
	v, ok := h.committed[string(key)]
	return v, ok
}

// set notes a write of the update in progress; a nil value deletes.
func (h *hot) set(key, value []byte) { h.pending[string(key)] = value }

// dropRange notes that the update deletes [from, to).
func (h *hot) dropRange(from, to []byte) {
	in := func(k string) bool { return k >= string(from) && (to == nil || k < string(to)) }
	for k := range h.committed {
		if in(k) {
			h.pending[k] = nil
		}
	}
	for k := range h.pending {
		if in(k) {
			h.pending[k] = nil
		}
	}
}

// commit keeps what the update wrote.
func (h *hot) commit() {
	for k, v := range h.pending {
		if v == nil || len(v) > maxHotBytes {
			delete(h.committed, k)
			continue
		}
		h.committed[k] = v
	}
	clear(h.pending)
	for k := range h.committed { // any will do: what is used comes back
		if len(h.committed) <= maxHotKeys {
			break
		}
		delete(h.committed, k)
	}
}

// rollback forgets the update, which failed.
func (h *hot) rollback() { clear(h.pending) }
