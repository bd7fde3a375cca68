package actors

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// minFlush and maxFlush space the batches of streamed text: the first piece
	// goes at once, the next at most this often, slower the slower commits are.
	minFlush = 100 * time.Millisecond
	maxFlush = time.Second
	// flushPerCommit is how many times a commit's latency lies between batches.
	flushPerCommit = 4
	// maxPending bounds text that waits to be committed; whoever streams waits.
	maxPending = 1 << 20
	// maxPieceBytes bounds one text event.
	maxPieceBytes = 32 << 10
)

// journal writes one run's events into its thread's log: one batch in flight,
// each numbered after the last, with whatever gathers meanwhile as the next.
// An unclear answer is cleared up below: Apply proposes the same batch under
// the same id until it knows.
type journal struct {
	cluster Cluster
	metrics *metrics
	now     func() time.Time
	thread  state.ThreadID
	run     state.RunID
	epoch   state.Epoch

	commits sync.Mutex // held while a batch is in flight
	next    uint64     // seq of the next event; guarded by commits
	fatal   error      // why nothing more is committed; guarded by commits

	mu      sync.Mutex
	pieces  []state.Event // text not yet committed, neighbours of an item joined
	bytes   int
	ready   chan struct{} // pieces came; buffered, one
	room    chan struct{} // pieces went; buffered, one
	latency time.Duration
}

func newJournal(d *ownership, run state.Run, epoch state.Epoch, next uint64) *journal {
	return &journal{cluster: d.cluster, metrics: d.metrics, now: d.now, thread: run.Thread, run: run.ID, epoch: epoch,
		next: next, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// piece adds streamed text, as events like one. It waits while too much is
// pending, until ctx ends.
func (j *journal) piece(ctx context.Context, like state.Event, text string) {
	for len(text) > 0 && ctx.Err() == nil {
		n := runeCut(text, min(len(text), maxPieceBytes))
		if n == 0 {
			n = min(len(text), maxPieceBytes)
		}
		if !j.add(like, text[:n]) {
			select {
			case <-j.room:
			case <-ctx.Done():
			}
			continue
		}
		text = text[n:]
	}
}

func (j *journal) add(like state.Event, text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.bytes >= maxPending {
		return false
	}
	if last := len(j.pieces) - 1; last >= 0 && j.pieces[last].Kind == state.EventText && j.pieces[last].Item == like.Item && len(j.pieces[last].Text)+len(text) <= maxPieceBytes {
		j.pieces[last].Text += text
	} else {
		like.Kind, like.Text = state.EventText, text
		j.pieces = append(j.pieces, like)
	}
	j.bytes += len(text)
	signal(j.ready)
	return true
}

// push adds one event among the pieces, in their order. It is never refused:
// events are few, where pieces are many.
func (j *journal) push(e state.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pieces = append(j.pieces, e)
	signal(j.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take hands over pending pieces, at most max of them.
func (j *journal) take(max int) []state.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.pieces), max)
	taken := j.pieces[:n:n]
	j.pieces = append([]state.Event(nil), j.pieces[n:]...)
	for _, p := range taken {
		if p.Kind == state.EventText {
			j.bytes -= len(p.Text)
		}
	}
	signal(j.room)
	if len(j.pieces) > 0 {
		signal(j.ready)
	}
	return taken
}

// stream commits pieces as they gather, until ctx ends.
func (j *journal) stream(ctx context.Context) {
	for {
		select {
		case <-j.ready:
		case <-ctx.Done():
			return
		}
		if err := j.flush(ctx); err != nil {
			return // commit has kept the reason
		}
		select {
		case <-time.After(j.pause()):
		case <-ctx.Done():
			return
		}
	}
}

// flush commits what is pending now, as one batch.
func (j *journal) flush(ctx context.Context) error {
	j.commits.Lock()
	defer j.commits.Unlock()
	pieces := j.take(maxPieces)
	if len(pieces) == 0 {
		return nil
	}
	return j.propose(ctx, state.Append{Events: pieces})
}

// maxPieces keeps a batch of full pieces well below the bound of one entry.
const maxPieces = 16

func (j *journal) pause() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return min(max(minFlush, flushPerCommit*j.latency), maxFlush)
}

// commit appends a batch after everything streamed so far. What it says of
// money and of the run takes effect with its events, or not at all.
func (j *journal) commit(ctx context.Context, batch state.Append) error {
	j.commits.Lock()
	defer j.commits.Unlock()
	for {
		pieces := j.take(maxPieces)
		if len(pieces) == 0 {
			return j.propose(ctx, batch)
		}
		if err := j.propose(ctx, state.Append{Events: pieces}); err != nil {
			return err
		}
	}
}

// propose sends one batch; j.commits is held. After a refusal that says the
// run is somebody else's, nothing is sent any more.
func (j *journal) propose(ctx context.Context, batch state.Append) error {
	if j.fatal != nil {
		return j.fatal
	}
	batch.Thread, batch.Run, batch.Epoch, batch.FirstSeq = j.thread, j.run, j.epoch, j.next
	begun := j.now()
	_, err := j.cluster.Apply(ctx, batch)
	switch {
	case err == nil:
		j.next += uint64(len(batch.Events))
	case fault.Is(err, fault.Moved), fault.Is(err, fault.NotFound), fault.Is(err, fault.Unavailable), ctx.Err() != nil:
		// Moved: another owner goes on. The others: unclear whether it was
		// applied, so the next batch could not be numbered.
		j.fatal = fmt.Errorf("append to thread %s: %w", j.thread, err)
	}
	j.metrics.batch.Observe(float64(len(batch.Events)))
	j.mu.Lock()
	j.latency = j.now().Sub(begun)
	j.mu.Unlock()
	return err
}

// lost reports whether the run is no longer this journal's to write.
func (j *journal) lost() error {
	j.commits.Lock()
	defer j.commits.Unlock()
	return j.fatal
}
