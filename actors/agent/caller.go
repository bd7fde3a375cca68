package agent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Bounds of a model call when a Caller does not say.
const (
	DefaultAttempts    = 5
	DefaultCallTimeout = 15 * time.Minute // one attempt, to the end of its reply
	DefaultIdleTimeout = 4 * time.Minute  // with nothing at all from the vendor
	firstBackoff       = 500 * time.Millisecond
	maxBackoff         = 30 * time.Second
	// maxRetryAfter is the longest that a vendor's Retry-After is waited for; a
	// longer one ends the call, and the error says how long it was.
	maxRetryAfter = 2 * time.Minute
)

// Attempt is a model call that failed.
type Attempt struct {
	Number int
	Err    *Error
	// Wait is how long the next attempt waits. There is none when Last is set.
	Wait time.Duration
	Last bool
	// Items are the ids of entries of which pieces were streamed. They never
	// become part of the transcript.
	Items []string
	// Begun is set when the vendor had begun to answer, so that it bills the
	// input, and StreamedBytes of text and reasoning besides.
	Begun         bool
	StreamedBytes int64
	Took          time.Duration
}

// Watcher sees a model call while it goes on, from the goroutine that made it.
type Watcher interface {
	Delta(Delta)
	// Failed sees each failed attempt, before the wait for the next one if
	// there is one. An error then ends the call with kind Vetoed, as when the
	// budget has no room.
	Failed(Attempt) error
}

// Caller calls a model until it has a whole reply, within bounds.
type Caller struct {
	Model    Model
	Attempts int           // 0 is DefaultAttempts
	Timeout  time.Duration // of one attempt; 0 is DefaultCallTimeout
	Idle     time.Duration // 0 is DefaultIdleTimeout
	// Sleep waits, or returns early with ctx's error. Jitter is in [0,1). Now
	// measures attempts.
	Sleep  func(context.Context, time.Duration) error
	Jitter func() float64
	Now    func() time.Time
	// Taken reports ids of calls that are taken besides those in the request;
	// nil means none.
	Taken func(id string) bool
}

// Call returns the reply as entries ready to commit: with unique ids that
// begin with prefix, the step, call ids that are unique in the thread, and
// the reason for the stop on the last one. There is always at least one
// entry. prefix consists of letters, digits, _ and -, and is never used twice
// in a thread, also not by another owner of it. Errors are *Error.
func (c Caller) Call(ctx context.Context, req Request, step int, prefix string, watch Watcher) (Reply, error) {
	attempts := c.Attempts
	if attempts == 0 {
		attempts = DefaultAttempts
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s_%d", prefix, n)
		reply, failed := c.once(ctx, req, name, watch)
		if failed == nil {
			return stamp(reply, req.Entries, c.Taken, step, name), nil
		}
		failed.Number = n
		failed.Wait = c.backoff(n, failed.Err)
		failed.Last = n >= attempts || !failed.Err.Kind.Retryable() || failed.Wait > maxRetryAfter
		if failed.Last {
			failed.Wait = 0
		}
		err := watch.Failed(*failed)
		if failed.Last {
			return Reply{}, failed.Err
		}
		if err != nil {
			return Reply{}, Errorf(Vetoed, "no further attempt: %w", err)
		}
		if err := c.Sleep(ctx, failed.Wait); err != nil {
			return Reply{}, AsError(err)
		}
	}
}

// errIdle is why an attempt's context ends when the vendor falls silent.
var errIdle = errors.New("the vendor sent nothing for too long")

// once makes one attempt.
func (c Caller) once(ctx context.Context, req Request, name string, watch Watcher) (Reply, *Attempt) {
	attempt := &Attempt{}
	live, cancel := context.WithTimeout(ctx, orDuration(c.Timeout, DefaultCallTimeout))
	defer cancel()
	live, silence := context.WithCancelCause(live)
	defer silence(nil)
	idle := orDuration(c.Idle, DefaultIdleTimeout)
	timer := time.AfterFunc(idle, func() { silence(errIdle) })
	defer timer.Stop()

	begun, seen := c.Now(), map[string]bool{}
	reply, err := c.Model.Call(live, req, func(d Delta) {
		timer.Reset(idle)
		attempt.Begun = true
		if d.Kind == AliveDelta || d.Text == "" {
			return
		}
		d.Item = name + "_" + d.Item
		if !seen[d.Item] {
			seen[d.Item] = true
			attempt.Items = append(attempt.Items, d.Item)
		}
		attempt.StreamedBytes += int64(len(d.Text))
		watch.Delta(d)
	})
	attempt.Took = c.Now().Sub(begun)
	if err == nil {
		return reply, nil
	}
	attempt.Err = because(ctx, live, err)
	return Reply{}, attempt
}

// because tells an attempt's own time limits apart from the caller's wish to
// stop and from the vendor's failures.
func because(ctx, live context.Context, err error) *Error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		// The run's own time is over: another attempt would have none.
		return Errorf(Cancelled, "the run's time limit was reached: %w", ctx.Err())
	case ctx.Err() != nil:
		return Errorf(Cancelled, "the call was cancelled: %w", ctx.Err())
	case errors.Is(context.Cause(live), errIdle):
		return Errorf(Timeout, "the model's vendor sent nothing for too long: %w", errIdle)
	case live.Err() != nil:
		return Errorf(Timeout, "the model did not finish its reply in time: %w", live.Err())
	}
	return AsError(err)
}

// backoff is the wait after attempt n: what the vendor asked for, and a
// little more so that many callers do not return together; else doubling
// waits of which half is chance.
func (c Caller) backoff(n int, err *Error) time.Duration {
	if err.RetryAfter > 0 {
		return err.RetryAfter + time.Duration(c.Jitter()*float64(firstBackoff))
	}
	wait := min(firstBackoff<<min(n-1, 10), maxBackoff)
	return wait/2 + time.Duration(c.Jitter()*float64(wait/2))
}

// legalCallID is what every vendor accepts as the id of a call, and what is
// safe as a file name.
var legalCallID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// stamp makes a client's reply ready to commit. A vendor's call id is kept
// when it is legal and new in the transcript, because some vendors like to
// see their own again; others count from zero in every reply.
func stamp(reply Reply, before []Entry, elsewhere func(string) bool, step int, name string) Reply {
	taken := map[string]bool{}
	for _, e := range before {
		if e.Call != nil {
			taken[e.Call.ID] = true
		}
	}
	if len(reply.Entries) == 0 {
		reply.Entries = []Entry{{Kind: Text, ID: "0"}}
	}
	for i := range reply.Entries {
		e := &reply.Entries[i]
		e.ID = name + "_" + e.ID
		e.Step = step
		if e.Call == nil {
			continue
		}
		if !legalCallID.MatchString(e.Call.ID) || taken[e.Call.ID] || elsewhere != nil && elsewhere(e.Call.ID) {
			e.Call.ID = e.ID
		}
		taken[e.Call.ID] = true
		e.Call.Cut = e.Call.Cut || reply.Stop == StopLength && i == len(reply.Entries)-1
	}
	if reply.Stop == "" {
		reply.Stop = StopEnd
	}
	reply.Entries[len(reply.Entries)-1].Stop = reply.Stop
	return reply
}

func orDuration(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
