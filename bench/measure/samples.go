package measure

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Samples gathers how long something took, from several goroutines. Every
// sample is kept, so percentiles are exact.
type Samples struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
	first  error // the first failure, so that a report can say why
}

// Add notes one that succeeded.
func (s *Samples) Add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, d)
}

// Fail notes one that did not.
func (s *Samples) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	if s.first == nil {
		s.first = err
	}
}

// Time runs do, and notes how long it took or that it failed.
func (s *Samples) Time(do func() error) error {
	begun := time.Now()
	err := do()
	took := time.Since(begun)
	if err != nil {
		s.Fail(err)
		return err
	}
	s.Add(took)
	return nil
}

// Count is how many succeeded, and how many did not.
func (s *Samples) Count() (succeeded, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.took), s.failed
}

// FirstFailure is nil when nothing failed.
func (s *Samples) FirstFailure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Percentile is the smallest sample that p percent of all are no larger than;
// 0 without samples.
func (s *Samples) Percentile(p float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	return rank(s.took, p)
}

// rank is the nearest rank: always one of the samples, never between two.
func rank(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(n, 1), len(sorted))-1]
}
