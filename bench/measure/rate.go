package measure

import (
	"context"
	"sync"
	"time"
)

// Closed keeps n clients busy for a time, each with one call after another, and
// returns what they saw and for how long. A client that fails goes on.
func Closed(ctx context.Context, n int, during time.Duration, call func(ctx context.Context, client int) error) (*Samples, time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	var all Samples
	var clients sync.WaitGroup
	begun := time.Now()
	for i := range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				at := time.Now()
				err := call(context.WithoutCancel(ctx), i)
				if err != nil {
					all.Fail(err)
					continue
				}
				all.Add(time.Since(at))
			}
		})
	}
	clients.Wait()
	return &all, time.Since(begun)
}

// AtOnce makes n calls that all begin now, whatever becomes of the others:
// nobody waits for a turn before its clock runs.
func AtOnce(n int, call func(i int) error) (*Samples, time.Duration) {
	var all Samples
	var calls sync.WaitGroup
	begun := time.Now()
	for i := range n {
		calls.Go(func() {
			if err := call(i); err != nil {
				all.Fail(err)
				return
			}
			all.Add(time.Since(begun))
		})
	}
	calls.Wait()
	return &all, time.Since(begun)
}

// AtOnceEach starts n callers at once, each of which notes what it times, and
// waits for all.
func AtOnceEach(n int, caller func(s *Samples)) (*Samples, time.Duration) {
	var all Samples
	var callers sync.WaitGroup
	begun := time.Now()
	for range n {
		callers.Go(func() { caller(&all) })
	}
	callers.Wait()
	return &all, time.Since(begun)
}
