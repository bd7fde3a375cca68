package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

func echo(_ context.Context, _ state.NodeID, body []byte) ([]byte, error) { return body, nil }

func TestCall(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	b.Handle("who", func(_ context.Context, from state.NodeID, _ []byte) ([]byte, error) { return []byte(from), nil })
	b.Handle("refuse", func(context.Context, state.NodeID, []byte) ([]byte, error) {
		return nil, fmt.Errorf("propose: %w", fault.New(fault.Conflict, "not the leader").WithCode("not_leader").WithRetry(time.Second))
	})
	b.Handle("panic", func(context.Context, state.NodeID, []byte) ([]byte, error) { panic("boom") })
	b.Handle("long", func(context.Context, state.NodeID, []byte) ([]byte, error) { return make([]byte, MaxBodyBytes+1), nil })
	ctx := within(t, 20*time.Second)

	t.Run("bodies of every size come back", func(t *testing.T) {
		for _, n := range []int{0, 1, 100, streamBufferBytes, MaxBodyBytes} {
			body := bytes.Repeat([]byte{7}, n)
			got, err := a.Call(ctx, b.id, "echo", body)
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes: %d came back, err %v", n, len(got), err)
			}
		}
	})
	t.Run("the caller is who its certificate says", func(t *testing.T) {
		got, err := a.CallUrgent(ctx, b.id, "who", nil)
		if err != nil || state.NodeID(got) != a.id {
			t.Fatalf("got %q, %v", got, err)
		}
	})
	t.Run("a fault keeps kind, code and hint", func(t *testing.T) {
		_, err := a.Call(ctx, b.id, "refuse", nil)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Conflict || f.Code != "not_leader" || f.RetryAfter != time.Second {
			t.Fatalf("got %#v", err)
		}
	})
	for name, tt := range map[string]struct {
		method string
		body   []byte
		node   state.NodeID
		want   fault.Kind
	}{
		"an unknown method":         {"nope", nil, b.id, fault.Unsupported},
		"a method that panics":      {"panic", nil, b.id, fault.Internal},
		"an answer over the bound":  {"long", nil, b.id, fault.TooLarge},
		"a body over the bound":     {"echo", make([]byte, MaxBodyBytes+1), b.id, fault.TooLarge},
		"a node without an address": {"echo", nil, "6a2f41a3-c54c-fce8-32d2-0324e1c32e22", fault.Unavailable},
		"a method of this node":     {"nope", nil, a.id, fault.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := a.Call(ctx, tt.node, tt.method, tt.body); fault.Of(err) != tt.want {
				t.Fatalf("got %v (%s), want %s", err, fault.Of(err), tt.want)
			}
		})
	}
	if got, err := a.Call(ctx, b.id, "echo", []byte("still there")); err != nil || string(got) != "still there" {
		t.Fatalf("after all that: %q, %v", got, err)
	}
}

func TestManyCallersShareOneConnection(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	b.Handle("echo", echo)
	ctx := within(t, 30*time.Second)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("%d/%d", i, j)
				got, err := a.Call(ctx, b.id, "echo", []byte(want))
				if err != nil || string(got) != want {
					t.Errorf("sent %q, got %q, %v", want, got, err)
					return
				}
			}
		})
	}
	callers.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.conns) != 1 {
		t.Fatalf("%d connections, want 1", len(a.conns))
	}
}

func BenchmarkCall(b *testing.B) {
	c := newCluster(b, 2)
	x, y := c.nodes[0], c.nodes[1]
	y.Handle("echo", echo)
	body := make([]byte, 128)
	for _, conc := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", conc), func(b *testing.B) {
			b.SetParallelism(conc / 2)
			if conc == 1 {
				for b.Loop() {
					if _, err := x.Call(context.Background(), y.id, "echo", body); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := x.Call(context.Background(), y.id, "echo", body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
