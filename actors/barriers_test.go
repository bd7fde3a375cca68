package actors

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestBarriersWaitForThoseBehind(t *testing.T) {
	b := newBarriers()
	var why error
	leaves, leave, ok := b.enter("c", func(err error) { why = err })
	_, second, ok2 := b.enter("c", nil)
	if !ok || !ok2 || isClosed(leaves) {
		t.Fatal("an open barrier keeps somebody out")
	}
	_, empty, ok := b.close("c")
	if !ok || isClosed(empty) || !isClosed(leaves) {
		t.Fatal("those behind it are not told to leave")
	}
	if _, _, ok := b.enter("c", nil); ok {
		t.Fatal("a shut barrier lets somebody in")
	}
	if _, _, ok := b.close("c"); ok {
		t.Fatal("it was shut twice")
	}
	leave()
	leave()
	if isClosed(empty) {
		t.Fatal("it is empty with one behind it")
	}
	b.evict("c")
	if why != nil {
		t.Fatal("who had left was evicted")
	}
	second()
	if !isClosed(empty) {
		t.Fatal("it is not empty")
	}
	b.open("c")
	b.open("c")
	if _, leave, ok := b.enter("c", nil); !ok {
		t.Fatal("it stays shut")
	} else {
		leave()
	}
	if len(b.of) != 0 {
		t.Fatalf("%d barriers are kept", len(b.of))
	}
}

func TestBarriersEvict(t *testing.T) {
	b := newBarriers()
	var why error
	_, leave, _ := b.enter("c", func(err error) { why = err })
	b.close("c")
	b.evict("c")
	b.evict("other")
	if !errors.Is(why, errSuperseded) {
		t.Fatal(why)
	}
	b.open("c") // although it has not left
	_, next, ok := b.enter("c", nil)
	if !ok {
		t.Fatal("it stays shut")
	}
	leave()
	if len(b.of) != 1 {
		t.Fatal("who left late opened another's barrier")
	}
	next()
}

func TestBarriersArePassedWhenTheyOpen(t *testing.T) {
	b := newBarriers()
	b.close("c")
	brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.pass(brief, "c"); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	passed := make(chan error, 1)
	go func() {
		leave, err := b.pass(t.Context(), "c")
		if err == nil {
			leave()
		}
		passed <- err
	}()
	b.open("c")
	select {
	case err := <-passed:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("nobody passes")
	}
}
