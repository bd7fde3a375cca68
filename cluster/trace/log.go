package trace

import (
	"context"
	"log/slog"

	otel "go.opentelemetry.io/otel/trace"

	"github.com/bothy-computer/bothy/cluster/state"
)

// What a line of the log is found by.
const (
	logRequest = "request"
	logTrace   = "trace"
)

// Logger is a logger whose lines name the request, and the trace, of the context
// that they are written with.
func Logger(l *slog.Logger) *slog.Logger { return slog.New(handler{l.Handler()}) }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	named := false
	r.Attrs(func(a slog.Attr) bool { named = a.Key == logRequest; return !named })
	if request := state.CauseOf(ctx).Request; request != "" && !named {
		r.AddAttrs(slog.String(logRequest, request))
	}
	if at := otel.SpanContextFromContext(ctx); at.IsSampled() {
		r.AddAttrs(slog.String(logTrace, at.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
