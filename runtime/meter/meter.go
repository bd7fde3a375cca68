// Package meter keeps what computers have used as counters that never go back.
//
// The kernel's counters begin at zero with every life of a computer, and
// memory and storage are amounts, not counters. So a Book adds up: what a
// counter grew by since the last look, and each amount times the time it was
// held. It is looked into every few seconds and saved as one file.
package meter

import (
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// maxHeld bounds how long an amount seen once is taken to have been held. A
// node that was away longer charges no more than this for what it did not see.
const maxHeld = 2 * time.Minute

// Sample is what is true of a computer at one moment. The counters are those
// of the present life.
type Sample struct {
	At           time.Time
	Life         string // changes when CPU and EgressBytes begin anew
	CPU          time.Duration
	EgressBytes  int64
	MemoryBytes  int64
	StorageBytes int64
}

// account is a computer's page in the book.
type account struct {
	Total runtime.Usage `json:"total"`
	Last  Sample        `json:"last"`
}

// add counts a sample. A clock that went back adds nothing.
func (a account) add(s Sample) account {
	cpu, egress := s.CPU, s.EgressBytes
	if s.Life == a.Last.Life {
		cpu -= a.Last.CPU
		egress -= a.Last.EgressBytes
	}
	held := s.At.Sub(a.Last.At)
	if a.Last.At.IsZero() {
		held = 0
	}
	seconds := min(max(held, 0), maxHeld).Seconds()
	a.Total.CPU += max(cpu, 0)
	a.Total.EgressBytes += max(egress, 0)
	a.Total.MemoryTime += float64(a.Last.MemoryBytes) * seconds
	a.Total.StorageTime += float64(a.Last.StorageBytes) * seconds
	a.Total.MemoryBytes, a.Total.StorageBytes = s.MemoryBytes, s.StorageBytes
	if s.Life == a.Last.Life { // a link made anew in the same life counts from zero
		s.CPU = max(s.CPU, a.Last.CPU)
	}
	a.Last = s
	return a
}
