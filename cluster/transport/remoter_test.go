package transport

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// withActors gives each node a hollywood engine that speaks through its remoter.
func withActors(t testing.TB, c *cluster, change ...func(*RemoterOptions)) ([]*Remoter, []*actor.Engine) {
	t.Helper()
	var remoters []*Remoter
	var engines []*actor.Engine
	for _, n := range c.nodes {
		o := RemoterOptions{Knows: func(kind string) bool { return kind != "future" }}
		for _, f := range change {
			f(&o)
		}
		r, err := n.NewRemoter(o)
		must(t, err)
		e, err := actor.NewEngine(actor.NewEngineConfig().WithRemote(r))
		must(t, err)
		remoters, engines = append(remoters, r), append(engines, e)
	}
	return remoters, engines
}

// inbox is an actor that keeps what it receives.
func inbox(e *actor.Engine, kind string) (*actor.PID, <-chan any) {
	got := make(chan any, 1024)
	pid := e.SpawnFunc(func(ctx *actor.Context) {
		switch ctx.Message().(type) {
		case actor.Initialized, actor.Started, actor.Stopped:
		default:
			got <- ctx.Message()
		}
	}, kind)
	return pid, got
}

func next(t *testing.T, from <-chan any) any {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came within 10 s")
		return nil
	}
}

func TestAskIsAnsweredAcrossNodes(t *testing.T) {
	c := newCluster(t, 2)
	remoters, engines := withActors(t, c)
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		env, ok := ctx.Message().(*Envelope)
		if !ok {
			return
		}
		if env.Kind == "refuse" {
			ctx.Respond(env.Refuse(fmt.Errorf("start: %w", fault.New(fault.Moved, "epoch %d is over", env.Epoch))))
			return
		}
		ctx.Respond(env.Answer([]byte(fmt.Sprintf("%s/%s/%d/%s", env.Kind, env.Key, env.Epoch, env.Body))))
		ctx.Respond(env.Answer([]byte("once too often"))) // must block nobody
	}, "computer")

	for i := range 200 {
		got, err := remoters[0].Ask(within(t, 10*time.Second), pid, Envelope{Kind: "start", Key: "c1", Epoch: 7, Body: fmt.Appendf(nil, "%d", i)})
		if want := fmt.Sprintf("start/c1/7/%d", i); err != nil || string(got.Body) != want {
			t.Fatalf("got %v, %v, want %q", got, err, want)
		}
	}
	_, err := remoters[0].Ask(within(t, 10*time.Second), pid, Envelope{Kind: "refuse", Epoch: 3})
	if fault.Of(err) != fault.Moved {
		t.Fatalf("got %v, want moved", err)
	}
	if n := len(remoters[0].asks.open); n != 0 {
		t.Fatalf("%d asks left in the table", n)
	}
}

func TestUndeliverableComesBackTyped(t *testing.T) {
	c := newCluster(t, 2)
	remoters, engines := withActors(t, c, func(o *RemoterOptions) {
		known := o.Knows
		o.Knows = func(kind string) bool { return known(kind) }
	})
	there, _ := inbox(engines[1], "there")
	gone := actor.NewPID("6a2f41a3-c54c-4ce8-b2d2-0324e1c32e22", "computer/1")
	asker, came := inbox(engines[0], "asker")

	tests := map[string]struct {
		to   *actor.PID
		env  Envelope
		want Reason
	}{
		"a kind the receiver does not know": {there, Envelope{Kind: "future"}, UnknownKind},
		"no such actor":                     {there.Child("none"), Envelope{Kind: "x"}, UnknownActor},
		"a node nobody knows":               {gone, Envelope{Kind: "x"}, UnknownNode},
		"a body over the bound":             {there, Envelope{Kind: "x", Body: make([]byte, MaxBodyBytes+1)}, TooLarge},
		"hollywood's own responses":         {actor.NewPID(there.Address, "response/1"), Envelope{Kind: "x"}, UnknownActor},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := remoters[0].Ask(within(t, 10*time.Second), tt.to, tt.env)
			var n *Nack
			if !errors.As(err, &n) || n.Reason != tt.want || n.MayHaveArrived() {
				t.Fatalf("ask: got %v, want %s", err, tt.want)
			}
			env := tt.env
			engines[0].SendWithSender(tt.to, &env, asker)
			u, ok := next(t, came).(*Undelivered)
			if !ok || u.Nack.Reason != tt.want || u.To.ID != tt.to.ID || u.Kind != tt.env.Kind {
				t.Fatalf("send: got %+v, want %s", u, tt.want)
			}
		})
	}
	t.Run("no envelope", func(t *testing.T) {
		engines[0].SendWithSender(there, "just text", asker)
		engines[0].Send(there, nil) // nobody to tell
		if u, ok := next(t, came).(*Undelivered); !ok || u.Nack.Reason != NoEnvelope {
			t.Fatalf("got %+v", u)
		}
	})
	t.Run("a deadline that has passed", func(t *testing.T) {
		engines[0].SendWithSender(there, &Envelope{Kind: "x", Deadline: time.Now().Add(-time.Second)}, asker)
		if u, ok := next(t, came).(*Undelivered); !ok || u.Nack.Reason != Expired {
			t.Fatalf("got %+v", u)
		}
	})
	t.Run("hollywood's request is refused and does not hang", func(t *testing.T) {
		got, err := engines[0].Request(there, &Envelope{Kind: "x"}, 10*time.Second).Result()
		if u, ok := got.(*Undelivered); err != nil || !ok || u.Nack.Reason != NoEnvelope {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

func TestSenderIsNeverSomeoneElse(t *testing.T) {
	c := newCluster(t, 2)
	_, engines := withActors(t, c)
	type seen struct{ body, sender string }
	got := make(chan any, 4096)
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		if env, ok := ctx.Message().(*Envelope); ok {
			s := seen{body: string(env.Body)}
			if ctx.Sender() != nil {
				s.sender = ctx.Sender().String()
			}
			got <- s
		}
	}, "sink")
	a, _ := inbox(engines[0], "a")
	for i := range 1000 {
		if i%2 == 0 {
			engines[0].SendWithSender(pid, &Envelope{Kind: "x", Body: []byte("with")}, a)
		} else {
			engines[0].Send(pid, &Envelope{Kind: "x", Body: []byte("without")})
		}
	}
	for i := range 1000 {
		want := seen{"with", a.String()}
		if i%2 == 1 {
			want = seen{"without", ""}
		}
		if s := next(t, got); s != want {
			t.Fatalf("message %d: got %+v, want %+v", i, s, want)
		}
	}
}

func TestDeliverAdmits(t *testing.T) {
	c := newCluster(t, 2)
	calls := 0
	remoters, engines := withActors(t, c, func(o *RemoterOptions) {
		o.Deliver = func(_ *actor.Engine, to string, _ *Envelope, _ *actor.PID) error {
			calls++
			if calls == 1 {
				panic("a defect")
			}
			return fault.New(fault.Exhausted, "mailbox of %s is full", to)
		}
	})
	pid, _ := inbox(engines[1], "x")
	for _, want := range []fault.Kind{fault.Internal, fault.Exhausted} {
		_, err := remoters[0].Ask(within(t, 10*time.Second), pid, Envelope{Kind: "x"})
		var n *Nack
		if !errors.As(err, &n) || n.Reason != Rejected || fault.Of(err) != want {
			t.Fatalf("got %v (%s), want a nack that is %s", err, fault.Of(err), want)
		}
	}
}

func TestAskOverACutLink(t *testing.T) {
	c := newCluster(t, 2)
	remoters, engines := withActors(t, c)
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		if env, ok := ctx.Message().(*Envelope); ok {
			ctx.Respond(env.Answer(nil))
		}
	}, "x")
	ask := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		_, err := remoters[0].Ask(ctx, pid, Envelope{Kind: "x"})
		return err
	}
	must(t, ask(10*time.Second))
	c.links.CutBoth(c.nodes[0].id, c.nodes[1].id)
	if err := ask(200 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("over a cut link: got %v", err)
	}
	c.links.Heal()
	eventually(t, "asks are answered after healing", func() bool { return ask(time.Second) == nil })
}

func TestAsksToADeadNodeFailSoon(t *testing.T) {
	c := newCluster(t, 2)
	remoters, engines := withActors(t, c)
	arrived := make(chan struct{}, 1)
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		if _, ok := ctx.Message().(*Envelope); ok {
			arrived <- struct{}{}
		}
	}, "mute")
	lost := make(chan error, 1)
	go func() {
		_, err := remoters[0].Ask(within(t, 30*time.Second), pid, Envelope{Kind: "x"})
		lost <- err
	}()
	<-arrived
	must(t, c.nodes[1].Close())
	var n *Nack
	if err := <-lost; !errors.As(err, &n) || !n.MayHaveArrived() {
		t.Fatalf("got %v, want a nack that says it may have arrived", err)
	}
	_, err := remoters[0].Ask(within(t, 10*time.Second), pid, Envelope{Kind: "x"})
	if !errors.As(err, &n) || n.MayHaveArrived() {
		t.Fatalf("got %v, want a nack that says it did not arrive", err)
	}
	remoters[0].Stop().Wait()
	_, err = remoters[0].Ask(within(t, 10*time.Second), pid, Envelope{Kind: "x"})
	if !errors.As(err, &n) || n.Reason != Closed {
		t.Fatalf("after Stop: got %v", err)
	}
}

func BenchmarkAsk(b *testing.B) {
	c := newCluster(b, 2)
	remoters, engines := withActors(b, c)
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		if env, ok := ctx.Message().(*Envelope); ok {
			ctx.Respond(env.Answer(nil))
		}
	}, "x")
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.SetParallelism(max(callers/2, 1))
			ask := func() error {
				_, err := remoters[0].Ask(context.Background(), pid, Envelope{Kind: "x", Body: make([]byte, 64)})
				return err
			}
			if callers == 1 {
				for b.Loop() {
					must(b, ask())
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := ask(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
