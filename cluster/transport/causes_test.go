package transport

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// What is asked of another node says which request it is for, by every way.
func TestCausesCrossNodes(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	causes := false
	for _, n := range c.nodes {
		n.o.Causes = func() bool { return causes }
	}
	remoters, engines := withActors(t, c)
	got := make(chan state.Cause, 1)
	b.Handle("what", func(ctx context.Context, _ state.NodeID, _ []byte) ([]byte, error) {
		got <- state.CauseOf(ctx)
		return nil, nil
	})
	b.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- state.CauseOf(r.Context()) }))
	pid := engines[1].SpawnFunc(func(ctx *actor.Context) {
		if env, ok := ctx.Message().(*Envelope); ok {
			got <- state.CauseOf(trace.Decode(context.Background(), env.Cause))
			ctx.Respond(env.Answer(nil))
		}
	}, "what")
	ways := map[string]func(context.Context) error{
		"a call": func(ctx context.Context) error { _, err := a.Call(ctx, b.id, "what", []byte("body")); return err },
		"an ask": func(ctx context.Context) error {
			_, err := remoters[0].Ask(ctx, pid, Envelope{Kind: "what", Body: []byte("body")})
			return err
		},
		"a stream": func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+string(b.id)+"/what", nil)
			if err != nil {
				return err
			}
			reply, err := (&http.Client{Transport: a.RoundTripper()}).Do(req)
			if err == nil {
				reply.Body.Close()
			}
			return err
		},
	}
	asked := state.Cause{Request: "req_1", Account: "acct_a", User: "user_a", Key: "key_a"}
	for _, causes = range []bool{false, true} {
		for name, way := range ways {
			for _, sent := range []state.Cause{{}, asked} {
				must(t, way(state.WithCause(within(t, 20*time.Second), sent)))
				want := sent
				if !causes && name != "a stream" { // headers hurt no older node
					want = state.Cause{}
				}
				if arrived := <-got; arrived != want {
					t.Errorf("%s, causes read %v: %+v arrived as %+v", name, causes, sent, arrived)
				}
			}
		}
	}
}
