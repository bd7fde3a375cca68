package actors

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// echo answers what it is asked, panics at "panic", and stalls at a channel.
type echo struct{ busy bool }

func (e *echo) receive(msg any, answer func(any, error)) {
	switch m := msg.(type) {
	case chan struct{}:
		<-m
	case string:
		if m == "panic" {
			panic("as asked")
		}
		answer(m, nil)
		answer("a second answer is dropped", nil)
	}
}

func (e *echo) idle() bool { return !e.busy }
func (e *echo) stopped()   {}

func openSystem(t *testing.T) *system {
	t.Helper()
	s, err := newSystem(nil, slog.New(slog.DiscardHandler), newMetrics(prometheus.NewRegistry()), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func TestAPanicEndsTheActorAndNotTheProcess(t *testing.T) {
	s := openSystem(t)
	spawned := 0
	make := func(*cell) behaviour { spawned++; return &echo{busy: true} }
	if _, err := s.ask(t.Context(), threadKind, "a", "panic", make); !fault.Is(err, fault.Internal) {
		t.Fatalf("got %v", err)
	}
	v, err := s.ask(t.Context(), threadKind, "a", "hello", make)
	if err != nil || v != "hello" || spawned != 2 {
		t.Fatalf("got %v, %v after %d spawns", v, err, spawned)
	}
}

func TestAFullMailboxRefuses(t *testing.T) {
	s := openSystem(t)
	make := func(*cell) behaviour { return &echo{busy: true} }
	gate := makeGate()
	if err := s.tell(threadKind, "a", gate, make); err != nil {
		t.Fatal(err)
	}
	var refused error
	for range mailboxBound + 1 {
		if refused = s.tell(threadKind, "a", "more", make); refused != nil {
			break
		}
	}
	close(gate)
	var f *fault.Error
	if !errors.As(refused, &f) || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
		t.Fatalf("got %v, want Unavailable with a hint", refused)
	}
}

func makeGate() chan struct{} { return make(chan struct{}) }

func TestAnAskEndsWithItsContext(t *testing.T) {
	s := openSystem(t)
	make := func(*cell) behaviour { return &echo{busy: true} }
	gate := makeGate()
	defer close(gate)
	if err := s.tell(threadKind, "a", gate, make); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.ask(ctx, threadKind, "a", "hello", make); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestNoLetterIsLostToPassivation(t *testing.T) {
	s := openSystem(t)
	make := func(*cell) behaviour { return &echo{} } // idle after each letter
	for i := range 5000 {
		if v, err := s.ask(t.Context(), computerKind, "a", "hello", make); err != nil || v != "hello" {
			t.Fatalf("ask %d: %v, %v", i, v, err)
		}
	}
}

func TestWhatWasAdmittedCanEndAtAFullMailbox(t *testing.T) {
	s := openSystem(t)
	handled := make(chan struct{})
	gate := makeGate()
	b := func(*cell) behaviour { return &counting{done: handled} }
	if err := s.tell(threadKind, "a", gate, b); err != nil {
		t.Fatal(err)
	}
	for s.tell(threadKind, "a", "more", b) == nil {
	}
	s.insist(threadKind, "a", used{-1})
	close(gate)
	select {
	case <-handled:
	case <-time.After(patience):
		t.Fatal("the letter was lost")
	}
}

// counting waits at gates and tells when a use ended.
type counting struct{ done chan struct{} }

func (c *counting) receive(msg any, _ func(any, error)) {
	switch m := msg.(type) {
	case chan struct{}:
		<-m
	case used:
		close(c.done)
	}
}

func (c *counting) idle() bool { return false }
func (c *counting) stopped()   {}
