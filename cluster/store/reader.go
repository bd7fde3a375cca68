package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/bothy-computer/bothy/cluster/state"
)

var (
	_ state.Reader = reader{}
	_ state.Writer = writer{}
)

// reader reads a snapshot, a batch over a store, or a store.
type reader struct{ from pebble.Reader }

// Get returns a copy of the value, so that a view may be read by several goroutines.
func (r reader) Get(key []byte) ([]byte, error) {
	v, held, err := r.from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = append(make([]byte, 0, len(v)), v...) // an empty value is not nil
	return v, held.Close()
}

func (r reader) Scan(from, to []byte, reverse bool, visit func(key, value []byte) bool) error {
	if to != nil && bytes.Compare(from, to) >= 0 {
		return nil
	}
	it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		if !visit(it.Key(), it.Value()) {
			break
		}
	}
	return it.Close() // reports what broke the iteration, too
}

// writer writes into a batch and reads through it.
type writer struct {
	reader
	batch *pebble.Batch
	hot   *hot
}

// Get is reader's, faster for keys that are read often.
func (w writer) Get(key []byte) ([]byte, error) {
	if v, known := w.hot.get(key); known {
		return v, nil
	}
	return w.reader.Get(key)
}

func (w writer) Set(key, value []byte) error {
	w.hot.set(key, append(make([]byte, 0, len(value)), value...))
	return w.batch.Set(key, value, nil)
}

func (w writer) Delete(key []byte) error {
	w.hot.set(key, nil)
	return w.batch.Delete(key, nil)
}

func (w writer) DeleteRange(from, to []byte) error {
	w.hot.dropRange(from, to)
	return w.batch.DeleteRange(from, to, nil)
}
