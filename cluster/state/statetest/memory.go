// Package statetest keeps records in memory, for tests of what reads and
// writes them: an ordered key-value store that is a state.Writer, strict about
// what that interface promises.
package statetest

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// maxBlockPairs bounds a block, so that a write moves little memory however
// many keys there are.
const maxBlockPairs = 256

// Memory is an ordered key-value store. It is a state.Reader and state.Writer.
// The slices it lends are good until the next call on it and are then
// overwritten, so that a caller that keeps one is found out. It is not safe for
// use by several goroutines.
type Memory struct {
	blocks [][]pair // each sorted, not empty, and all of it below the next
	lent   [][]byte
}

type pair struct {
	key   string
	value []byte
}

// New returns an empty store.
func New() *Memory { return &Memory{} }

// Get returns a loan of key's value, or nil when there is none.
func (m *Memory) Get(key []byte) ([]byte, error) {
	m.recall()
	b, i, found := m.find(string(key))
	if !found {
		return nil, nil
	}
	return m.lend(m.blocks[b][i].value), nil
}

// Scan visits loans of the pairs in [from, to), or in the reverse order, until
// visit returns false. It shows them as they were when it began.
func (m *Memory) Scan(from, to []byte, reverse bool, visit func(key, value []byte) bool) error {
	m.recall()
	pairs := m.between(string(from), string(to))
	if reverse {
		slices.Reverse(pairs)
	}
	for _, p := range pairs {
		m.recall()
		if !visit(m.lend([]byte(p.key)), m.lend(p.value)) {
			return nil
		}
	}
	return nil
}

// Set keeps copies of key and value. A nil value is an empty one.
func (m *Memory) Set(key, value []byte) error {
	m.recall()
	p := pair{string(key), append([]byte{}, value...)}
	b, i, found := m.find(p.key)
	switch {
	case found:
		m.blocks[b][i] = p
		return nil
	case len(m.blocks) == 0:
		m.blocks = [][]pair{{p}}
		return nil
	}
	m.blocks[b] = slices.Insert(m.blocks[b], i, p)
	if len(m.blocks[b]) > maxBlockPairs {
		half := len(m.blocks[b]) / 2
		m.blocks = slices.Insert(m.blocks, b+1, slices.Clone(m.blocks[b][half:]))
		m.blocks[b] = slices.Clone(m.blocks[b][:half])
	}
	return nil
}

// Delete removes key; an absent one is no error.
func (m *Memory) Delete(key []byte) error {
	m.recall()
	m.drop(string(key))
	return nil
}

// DeleteRange removes every key in [from, to).
func (m *Memory) DeleteRange(from, to []byte) error {
	m.recall()
	for _, p := range m.between(string(from), string(to)) {
		m.drop(p.key)
	}
	return nil
}

// Len is how many keys there are.
func (m *Memory) Len() int {
	n := 0
	for _, b := range m.blocks {
		n += len(b)
	}
	return n
}

// Clone returns a store with the same pairs that shares nothing with m.
func (m *Memory) Clone() *Memory {
	c := &Memory{blocks: make([][]pair, len(m.blocks))}
	for i, b := range m.blocks {
		c.blocks[i] = slices.Clone(b) // values are replaced, never changed
	}
	return c
}

// Diff says where two stores first differ, or "" when they are equal to the byte.
func (m *Memory) Diff(other *Memory) string {
	a, b := slices.Concat(m.blocks...), slices.Concat(other.blocks...)
	for i := range min(len(a), len(b)) {
		switch {
		case a[i].key != b[i].key:
			return fmt.Sprintf("key %d is %q in one and %q in the other", i, a[i].key, b[i].key)
		case !bytes.Equal(a[i].value, b[i].value):
			return fmt.Sprintf("%q is %x in one and %x in the other", a[i].key, a[i].value, b[i].value)
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d keys in one and %d in the other", len(a), len(b))
	}
	return ""
}

// find returns where key is, or where it belongs.
func (m *Memory) find(key string) (block, at int, found bool) {
	block = max(0, sort.Search(len(m.blocks), func(i int) bool { return m.blocks[i][0].key > key })-1)
	if len(m.blocks) == 0 {
		return 0, 0, false
	}
	at, found = slices.BinarySearchFunc(m.blocks[block], key, func(p pair, k string) int {
		return strings.Compare(p.key, k)
	})
	return block, at, found
}

// between copies the pairs in [from, to); nothing when to is not above from.
func (m *Memory) between(from, to string) []pair {
	var pairs []pair
	block, at, _ := m.find(from)
	for ; block < len(m.blocks); block, at = block+1, 0 {
		for _, p := range m.blocks[block][at:] {
			if p.key >= to {
				return pairs
			}
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func (m *Memory) drop(key string) {
	b, i, found := m.find(key)
	if !found {
		return
	}
	m.blocks[b] = slices.Delete(m.blocks[b], i, i+1)
	if len(m.blocks[b]) == 0 {
		m.blocks = slices.Delete(m.blocks, b, b+1)
	}
}

func (m *Memory) lend(b []byte) []byte {
	loan := append([]byte{}, b...)
	m.lent = append(m.lent, loan)
	return loan
}

// recall ends all loans.
func (m *Memory) recall() {
	for _, loan := range m.lent {
		for i := range loan {
			loan[i] = 0xDD
		}
	}
	m.lent = m.lent[:0]
}
