package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestALogLosesNoLetter(t *testing.T) {
	h := open(t)
	text := strings.Repeat("grüße 🛖 ", 20_000) + "\n"
	h.builder.Play(func(_ context.Context, b runtime.Build) (string, error) {
		for from := 0; from < len(text); from += 7 {
			if _, err := fmt.Fprint(b.Log, text[from:min(from+7, len(text))]); err != nil {
				return "", err
			}
		}
		return "", nil
	})
	id := h.asked(t, h.recipeWith(t, "pandas").ID)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f := h.Builds.Follow(id, 0)
	defer f.Close()
	var all strings.Builder
	for seq := uint64(1); ; {
		pieces, _, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) == 0 {
			break
		}
		for _, p := range pieces {
			if p.Seq != seq || !utf8.ValidString(p.Text) || len(p.Text) > state.MaxEventBytes {
				t.Fatalf("piece %d is numbered %d: %.80q", seq, p.Seq, p.Text)
			}
			all.WriteString(p.Text)
			seq++
		}
	}
	if all.String() != text || h.said(t, id) != text {
		t.Fatalf("%d bytes of %d came through", all.Len(), len(text))
	}
}

func TestALongLogIsCut(t *testing.T) {
	h := open(t)
	line := strings.Repeat("x", 1023) + "\n"
	h.builder.Play(fake.Saying(strings.Repeat(line, state.MaxBuildLogBytes/len(line)+100), nil))
	b := h.over(t, h.asked(t, h.recipeWith(t, "pandas").ID))
	log := h.said(t, b.ID)
	if b.Phase != state.BuildSucceeded || len(log) > state.MaxBuildLogBytes || !strings.HasSuffix(log, cutText) {
		t.Fatalf("%s; %d bytes, the end %q", b.Phase, len(log), log[len(log)-80:])
	}
}

// slow is a cluster whose commits wait.
type slow struct {
	Cluster
	entered chan struct{} // has a value for each commit that waits
	gate    chan struct{}

	mu    sync.Mutex
	texts []string
}

func (s *slow) Apply(ctx context.Context, cmd state.Command) (cbor.RawMessage, error) {
	s.entered <- struct{}{}
	select {
	case <-s.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, cmd.(state.AppendBuildLog).Texts...)
	return nil, nil
}

func (s *slow) pass(t *testing.T) {
	t.Helper()
	select {
	case <-s.entered:
	case <-time.After(patience):
		t.Fatal("nothing is committed")
	}
	s.gate <- struct{}{}
}

func TestALogEndsWithWhatWasSaidLast(t *testing.T) {
	s := &slow{entered: make(chan struct{}, 8), gate: make(chan struct{})}
	l := newBuildLog(t.Context(), s, state.Build{})
	fmt.Fprint(l, "first ")
	<-s.entered // and does not come back before the end
	fmt.Fprint(l, "last")
	closed := make(chan error, 1)
	go func() { closed <- l.close() }()
	<-l.ended
	s.gate <- struct{}{}
	s.pass(t)
	if err := <-closed; err != nil || strings.Join(s.texts, "|") != "first |last" {
		t.Fatalf("%v, %q", err, s.texts)
	}
	if _, err := fmt.Fprint(l, "late"); !errors.Is(err, errLogEnded) {
		t.Fatalf("a late writer is told %v", err)
	}
}

func TestAWriteMayEndWithinALetter(t *testing.T) {
	s := &slow{entered: make(chan struct{}, 8), gate: make(chan struct{})}
	l := newBuildLog(t.Context(), s, state.Build{})
	bar := "━"
	fmt.Fprint(l, "a"+bar[:2])
	s.pass(t)
	fmt.Fprint(l, bar[2:]+bar[:1])
	s.pass(t)
	closed := make(chan error, 1)
	go func() { closed <- l.close() }()
	s.pass(t)
	if err := <-closed; err != nil || strings.Join(s.texts, "|") != "a|"+bar+"|?" {
		t.Fatalf("%v, %q", err, s.texts)
	}
}

func TestAnAbandonedLogHoldsNobody(t *testing.T) {
	s := &slow{entered: make(chan struct{}, 8), gate: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	l := newBuildLog(ctx, s, state.Build{})
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := l.Write(make([]byte, maxPending)); err != nil {
				failed <- err
				return
			}
		}
	}()
	<-s.entered
	cancel() // the build ends, and no commit comes back
	select {
	case <-failed:
	case <-time.After(patience):
		t.Fatal("a writer waits for ever")
	}
	l.abandon()
}

// While no leader answers, what a build says and how it ended wait: it is not
// made again, and nothing is said twice.
func TestABuildOutlastsSecondsWithoutALeader(t *testing.T) {
	h := open(t)
	away := fault.New(fault.Unavailable, "no leader")
	var mu sync.Mutex
	refused, lost := map[string]int{}, map[string]int{}
	twice := func(seen map[string]int) func(state.Command) error {
		return func(cmd state.Command) error {
			kind := state.KindOf(cmd)
			if kind != "append-build-log" && kind != "finish-build" {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[kind]++; seen[kind] > 1 {
				return nil
			}
			return away
		}
	}
	h.node.Fail, h.node.Lose = twice(refused), twice(lost)
	h.builder.Play(fake.Saying("one\ntwo\n", nil))
	b := h.over(t, h.asked(t, h.recipeWith(t, "pandas").ID))
	if b.Phase != state.BuildSucceeded || b.Tries != 1 || len(h.builder.Builds()) != 1 || h.said(t, b.ID) != "one\ntwo\n" {
		t.Fatalf("%s after %d tries: %q", b.Phase, b.Tries, h.said(t, b.ID))
	}
	// Each was refused, then applied unheard. The log had to ask once more; the
	// end is seen in the record, maybe before whoever applied it has said so.
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return refused["append-build-log"] >= 3 && refused["finish-build"] >= 2 && lost["append-build-log"] >= 1 && lost["finish-build"] >= 1
	})
}
