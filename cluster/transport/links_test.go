package transport

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

func TestUrgentCallsPassBulk(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("bulk", func(_ context.Context, _ state.NodeID, body []byte) ([]byte, error) { return body, nil })
	b.Handle("renew", echo)
	ctx, stop := context.WithCancel(within(t, 60*time.Second))
	var bulk sync.WaitGroup
	defer bulk.Wait()
	defer stop()
	body := make([]byte, MaxBodyBytes)
	// Over this link one bulk body takes 100 ms, so the ordinary lane stands in a queue.
	c.links.Delay(a.id, b.id, 2*time.Millisecond)
	for range 32 {
		bulk.Go(func() {
			for ctx.Err() == nil {
				a.Call(ctx, b.id, "bulk", body)
			}
		})
	}
	eventually(t, "bulk waits in the ordinary lane", func() bool {
		p, err := a.peer(b.id)
		must(t, err)
		l, err := p.normal.line(ctx)
		return err == nil && len(l.out.frames) > 4
	})
	slowest := time.Duration(0)
	for range 20 {
		begun := time.Now()
		_, err := a.CallUrgent(ctx, b.id, "renew", []byte("now"))
		must(t, err)
		slowest = max(slowest, time.Since(begun))
	}
	if slowest > time.Second {
		t.Fatalf("an urgent call took %v behind bulk", slowest)
	}
	t.Logf("slowest urgent call beside bulk: %v", slowest)
}

func TestSlowMethodHoldsNobodyUp(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	ended := make(chan error, 1)
	b.Handle("echo", echo)
	b.Handle("slow", func(ctx context.Context, _ state.NodeID, _ []byte) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	slow := make(chan error, 1)
	go func() {
		_, err := a.Call(ctx, b.id, "slow", nil)
		slow <- err
	}()
	for range 100 {
		_, err := a.Call(within(t, 20*time.Second), b.id, "echo", nil)
		must(t, err)
	}
	cancel()
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the method was not told that its caller is gone")
	}
}

func TestDeadlineTravels(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	left := make(chan time.Duration, 1)
	b.Handle("left", func(ctx context.Context, _ state.NodeID, _ []byte) ([]byte, error) {
		d, _ := ctx.Deadline()
		left <- time.Until(d)
		return nil, nil
	})
	_, err := a.Call(within(t, 30*time.Second), b.id, "left", nil)
	must(t, err)
	if d := <-left; d < 20*time.Second || d > 30*time.Second {
		t.Fatalf("the method saw %v left of 30 s", d)
	}
	_, err = a.Call(within(t, -time.Second), b.id, "left", nil)
	var n *Nack
	if !errors.As(err, &n) || n.Reason != Expired || n.MayHaveArrived() {
		t.Fatalf("after the deadline: %v", err)
	}
}

func TestCutAndHealedLink(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	call := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		_, err := a.Call(ctx, b.id, "echo", nil)
		return err
	}
	must(t, call(10*time.Second))

	for name, cut := range map[string]func(){
		"both ways":        func() { c.links.CutBoth(a.id, b.id) },
		"only the way out": func() { c.links.Cut(a.id, b.id) },
		"only the answers": func() { c.links.Cut(b.id, a.id) },
	} {
		t.Run(name, func(t *testing.T) {
			cut()
			if err := call(150 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
			begun := time.Now()
			err := call(20 * time.Second)
			var n *Nack
			if !errors.As(err, &n) || time.Since(begun) > 2*(maxSilence+pingEvery) {
				t.Fatalf("the silent line was not given up: %v after %v", err, time.Since(begun))
			}
			c.links.Heal()
			eventually(t, "calls are answered again", func() bool { return call(time.Second) == nil })
		})
	}
	t.Run("delayed", func(t *testing.T) {
		c.links.Delay(a.id, b.id, 100*time.Millisecond)
		begun := time.Now()
		must(t, call(10*time.Second))
		if time.Since(begun) < 100*time.Millisecond {
			t.Fatal("the delay is not felt")
		}
	})
}

func TestNodeThatMovesToAnotherPort(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	ctx := within(t, 30*time.Second)
	_, err := a.Call(ctx, b.id, "echo", nil)
	must(t, err)
	must(t, b.Close())
	moved := c.add(t, b.ident)
	moved.Handle("echo", echo)
	eventually(t, "calls find it there", func() bool {
		_, err := a.Call(ctx, b.id, "echo", nil)
		return err == nil
	})
}

func TestTooManyCallsAreRefusedNotQueued(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	release := make(chan struct{})
	b.Handle("wait", func(ctx context.Context, _ state.NodeID, _ []byte) ([]byte, error) {
		<-release
		return nil, nil
	})
	ctx := within(t, 30*time.Second)
	results := make(chan error, maxServing+100)
	for range maxServing + 100 {
		go func() {
			_, err := a.Call(ctx, b.id, "wait", nil)
			results <- err
		}()
	}
	for range 100 {
		if err := <-results; !fault.Is(err, fault.Unavailable) {
			t.Fatalf("got %v, want unavailable", err)
		}
	}
	close(release)
	for range maxServing {
		must(t, <-results)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	arrived := make(chan struct{})
	b.Handle("wait", func(ctx context.Context, _ state.NodeID, _ []byte) ([]byte, error) {
		close(arrived)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	result := make(chan error, 1)
	go func() {
		_, err := a.Call(within(t, 30*time.Second), b.id, "wait", nil)
		result <- err
	}()
	<-arrived
	must(t, a.Close())
	var n *Nack
	if err := <-result; !errors.As(err, &n) || !n.MayHaveArrived() {
		t.Fatalf("got %v", err)
	}
	if _, err := a.Call(within(t, time.Second), b.id, "wait", nil); !errors.As(err, &n) || n.Reason != Closed {
		t.Fatalf("after Close: %v", err)
	}
}
