package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurnstile(t *testing.T) {
	var ts turnstile
	ts.advance(5)
	must(t, ts.wait(within(t, patience), 5))
	var passed atomic.Uint64
	var all sync.WaitGroup
	for i := range uint64(20) {
		all.Go(func() {
			must(t, ts.wait(within(t, patience), 6+i))
			if ts.position() < 6+i {
				t.Errorf("passed %d at %d", 6+i, ts.position())
			}
			passed.Add(1)
		})
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	if err := ts.wait(ctx, 100); !errors.Is(err, gone) {
		t.Fatal(err)
	}
	ts.advance(3) // never back
	for i := range uint64(20) {
		ts.advance(6 + i)
	}
	all.Wait()
	if passed.Load() != 20 || len(ts.waiting) != 0 {
		t.Fatalf("%d passed, %d wait", passed.Load(), len(ts.waiting))
	}
}

// TestRoundsAreNeverJoinedLate checks that a caller gets only the answer of a
// question that was put after it came, and that callers share questions.
func TestRoundsAreNeverJoinedLate(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	rs := rounds[int64]{ask: func(context.Context) (int64, error) {
		n := asked.Add(1)
		<-release
		return n, nil
	}}
	first := make(chan int64)
	go func() {
		n, _ := rs.join(within(t, patience))
		first <- n
	}()
	for asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var all sync.WaitGroup
	for range 50 { // all come while the first question is under way
		all.Go(func() {
			n, err := rs.join(within(t, patience))
			if err != nil || n != 2 {
				t.Errorf("joined question %d, %v", n, err)
			}
		})
	}
	for {
		rs.mu.Lock()
		n := 0
		if rs.next != nil {
			n = rs.next.waiting
		}
		rs.mu.Unlock()
		if n == 50 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	if n := <-first; n != 1 {
		t.Errorf("the first caller got the answer of question %d", n)
	}
	all.Wait()
	if asked.Load() != 2 {
		t.Errorf("%d questions for 51 callers", asked.Load())
	}
}

func TestRoundEndsWhenNobodyWaits(t *testing.T) {
	ended := make(chan struct{})
	rs := rounds[int]{ask: func(ctx context.Context) (int, error) {
		<-ctx.Done()
		close(ended)
		return 0, ctx.Err()
	}}
	if _, err := rs.join(within(t, 20*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the question goes on with nobody waiting")
	}
}
