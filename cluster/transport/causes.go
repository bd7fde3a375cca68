package transport

import (
	"context"
	"log/slog"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// cause is what ctx's call is made for, where other nodes can read it.
func (t *Transport) cause(ctx context.Context) []byte {
	if t.o.Causes == nil || !t.o.Causes() {
		return nil
	}
	return trace.Encode(ctx)
}

// received begins what another node asks for a request, and notes its end. What
// nodes ask by themselves is not followed.
func (t *Transport) received(ctx context.Context, from state.NodeID, what string) (context.Context, func(error)) {
	cause := state.CauseOf(ctx)
	if cause == (state.Cause{}) {
		return ctx, func(error) {}
	}
	begun := time.Now()
	span := trace.Span{}
	if cause.Trace != "" {
		ctx, span = t.o.Tracer.Begin(ctx, cause.Trace, what, "bothy.from", string(from), "bothy.request", cause.Request)
	}
	return ctx, func(err error) {
		span.End(err)
		if t.log.Enabled(ctx, slog.LevelDebug) {
			t.log.DebugContext(ctx, "did for another node", "what", what, "from", string(from), "request", cause.Request, "took", time.Since(begun), "err", err)
		}
	}
}
