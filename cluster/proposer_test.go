package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// fakeLeader takes a proposer's batches and applies them, or loses answers.
type fakeLeader struct {
	mu      sync.Mutex
	index   uint64
	batches [][]state.Proposal
	answer  func(batch []state.Proposal) error // nil applies
	p       *proposer
}

func (l *fakeLeader) send(_ context.Context, batch []state.Proposal) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, batch)
	if l.answer != nil {
		if err := l.answer(batch); err != nil {
			return 0, err
		}
	}
	l.index++
	var results []state.Result
	for _, p := range batch {
		results = append(results, state.Result{ID: p.ID})
	}
	l.p.settle(results)
	return l.index, nil
}

func (l *fakeLeader) applied() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

func newTestProposer(t *testing.T, patience time.Duration, answer func([]state.Proposal) error) (*proposer, *fakeLeader) {
	l := &fakeLeader{answer: answer}
	l.p = newProposer("n", patience, l.applied, l.send)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.p.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.p, l
}

func TestProposerNumbersAndGathers(t *testing.T) {
	slow := make(chan struct{})
	first := true
	p, l := newTestProposer(t, patience, func([]state.Proposal) error {
		if first {
			first = false
			<-slow
		}
		return nil
	})
	p.begin(7)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, err := p.do(within(t, patience), state.Proposal{})
			must(t, err)
		})
	}
	for { // until all wait, behind the first batch
		p.mu.Lock()
		n := len(p.open) + len(p.queue)
		p.mu.Unlock()
		if n == 100 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(slow)
	all.Wait()
	if len(l.batches) > 2 {
		t.Errorf("%d batches, not what waited in one", len(l.batches))
	}
	seen := map[uint64]bool{}
	for _, b := range l.batches {
		for _, p := range b {
			if p.ID.Node != "n" || p.ID.Incarnation != 7 || seen[p.ID.Counter] || p.ID.Counter <= p.Acked {
				t.Fatalf("the proposal %+v, acked %d", p.ID, p.Acked)
			}
			seen[p.ID.Counter] = true
		}
	}
	if len(seen) != 100 {
		t.Fatalf("%d commands were sent", len(seen))
	}
}

// TestProposerSendsTheSameAgain loses the answer: the id stays the same, and
// the command is applied under it only.
func TestProposerSendsTheSameAgain(t *testing.T) {
	tries := 0
	p, l := newTestProposer(t, patience, func([]state.Proposal) error {
		if tries++; tries < 4 {
			return errNotLeader
		}
		return nil
	})
	p.begin(1)
	if _, err := p.do(within(t, patience), state.Proposal{}); err != nil {
		t.Fatal(err)
	}
	for _, b := range l.batches {
		if len(b) != 1 || b[0].ID.Counter != 1 {
			t.Fatalf("sent %+v", b)
		}
	}
	if len(l.batches) != 4 {
		t.Fatalf("sent %d times", len(l.batches))
	}
	if got := p.lowMark(); got != 1 {
		t.Fatalf("the low mark is %d", got)
	}
}

// TestProposerAsksForWhatItMissed has the leader say that the entry is applied,
// while its result came unseen, as with a snapshot.
func TestProposerAsksForWhatItMissed(t *testing.T) {
	var l *fakeLeader
	sent := 0
	p := newProposer("n", patience, func() uint64 { return 9 }, func(_ context.Context, b []state.Proposal) (uint64, error) {
		if sent++; sent > 1 {
			l.p.settle([]state.Result{{ID: b[0].ID, Reply: []byte{1}}})
		}
		return 9, nil
	})
	l = &fakeLeader{p: p}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.run(ctx) }()
	defer func() { cancel(); <-done }()
	p.begin(1)
	r, err := p.do(within(t, patience), state.Proposal{})
	if err != nil || len(r.Reply) != 1 || sent != 2 {
		t.Fatalf("%+v, %v after %d sends", r, err, sent)
	}
}

func TestProposerFailures(t *testing.T) {
	down := func([]state.Proposal) error { return errNotLeader }
	t.Run("sent and not answered is unclear", func(t *testing.T) {
		p, _ := newTestProposer(t, 50*time.Millisecond, down)
		p.begin(1)
		_, err := p.do(within(t, patience), state.Proposal{})
		if !errors.Is(err, ErrUnclear) || codeOf(err) != CodeUnclear || fault.Of(err) != fault.Unavailable {
			t.Fatal(err)
		}
	})
	t.Run("not sent is no leader", func(t *testing.T) {
		p, _ := newTestProposer(t, 50*time.Millisecond, down) // without an incarnation nothing is sent
		if _, err := p.do(within(t, patience), state.Proposal{}); !errors.Is(err, ErrNoLeader) || errors.Is(err, ErrUnclear) {
			t.Fatal(err)
		}
	})
	t.Run("a caller that leaves is told what is known", func(t *testing.T) {
		p, _ := newTestProposer(t, patience, down)
		if _, err := p.do(within(t, 10*time.Millisecond), state.Proposal{}); errors.Is(err, ErrUnclear) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.begin(1)
		if _, err := p.do(within(t, 50*time.Millisecond), state.Proposal{}); !errors.Is(err, ErrUnclear) {
			t.Fatal(err)
		}
	})
	t.Run("too many wait", func(t *testing.T) {
		p := newProposer("n", patience, func() uint64 { return 0 }, nil)
		for range maxQueued {
			must(t, p.enqueue(&pending{}))
		}
		if err := p.enqueue(&pending{}); fault.Of(err) != fault.Unavailable {
			t.Fatal(err)
		}
	})
	t.Run("a closed node refuses", func(t *testing.T) {
		p := newProposer("n", patience, func() uint64 { return 0 }, nil)
		waiting := &pending{result: make(chan outcome, 1)}
		must(t, p.enqueue(waiting))
		p.close()
		if o := <-waiting.result; !errors.Is(o.err, ErrClosed) {
			t.Fatal(o.err)
		}
		if err := p.enqueue(&pending{}); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

// TestLowMarkNeverPassesAnOpenCommand settles commands in any order.
func TestLowMarkNeverPassesAnOpenCommand(t *testing.T) {
	p := newProposer("n", patience, func() uint64 { return 0 }, nil)
	p.begin(1)
	for range 10 {
		must(t, p.enqueue(&pending{result: make(chan outcome, 1)}))
	}
	batch := p.take()
	for i, counter := range []uint64{3, 1, 2, 10, 5, 4} {
		p.settle([]state.Result{{ID: state.CommandID{Node: "n", Incarnation: 1, Counter: counter}}})
		want := []uint64{0, 1, 3, 3, 3, 5}[i]
		if got := p.lowMark(); got != want {
			t.Fatalf("after %d the low mark is %d, not %d (%s)", counter, got, want, fmt.Sprint(len(batch)))
		}
	}
}
