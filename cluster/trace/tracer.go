package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxWaiting bounds the spans that wait to be exported; more are dropped.
	maxWaiting = 8192
	// exportTimeout bounds one attempt to export.
	exportTimeout = 10 * time.Second
	// scope names who made the spans.
	scope = "github.com/bothy-computer/bothy"
)

// Config says where spans go.
type Config struct {
	Endpoint string            // URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318
	Headers  map[string]string // sent with each export
	Ratio    float64           // of the traces that begin here, 0 to 1; those that began elsewhere are as they were
	Node     string            // this node's name
	Version  string            // of this build
}

// Tracer begins spans. The nil Tracer begins none, at no cost.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
}

// Open makes a tracer that exports what it sees. A collector that does not
// answer costs spans and nothing else.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint(c.Endpoint)), otlptracehttp.WithHeaders(c.Headers),
		otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	to := &reporting{SpanExporter: exporter, log: log.With("endpoint", c.Endpoint)}
	return newTracer(c, sdk.WithBatcher(to, sdk.WithMaxQueueSize(maxWaiting), sdk.WithExportTimeout(exportTimeout))), nil
}

// endpoint is where a collector takes traces, by its URL: its own path where it
// has one.
func endpoint(at string) string {
	if u, err := url.Parse(at); err == nil && strings.Trim(u.Path, "/") == "" {
		return u.JoinPath("v1", "traces").String()
	}
	return at
}

// reporting tells the log, once each time, that spans are lost and that they no
// longer are. The library's own way to tell is one for the whole process.
type reporting struct {
	sdk.SpanExporter
	log  *slog.Logger
	lost int // spans since the last that were taken; only the exporting goroutine's
}

// ExportSpans is sdk.SpanExporter's.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && r.lost == 0:
		r.log.Warn("the collector of traces takes none", "err", err)
	case err == nil && r.lost > 0:
		r.log.Info("the collector of traces takes them again", "lost", r.lost)
		r.lost = 0
	}
	if err != nil {
		r.lost += len(spans)
	}
	return nil
}

func newTracer(c Config, to sdk.TracerProviderOption) *Tracer {
	provider := sdk.NewTracerProvider(to, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "bothy"),
			attribute.String("service.instance.id", c.Node), attribute.String("service.version", c.Version))))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope)}
}

// Close exports what waits, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("close the exporter of traces: %w", err)
	}
	return nil
}

// Begin begins a span that goes on from a traceparent, or a new trace where that
// is "" or none. It is for what came from outside this process.
func (t *Tracer) Begin(ctx context.Context, traceparent, name string, attributes ...string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTraceparent: traceparent})
	}
	ctx, span := t.tracer.Start(ctx, name, otel.WithSpanKind(otel.SpanKindServer), otel.WithAttributes(pairs(attributes)...))
	return ctx, Span{span}
}

// Start begins a span below the one of ctx; where that has none, nothing.
// Attributes are keys and values in turn.
func Start(ctx context.Context, name string, attributes ...string) (context.Context, Span) {
	above := otel.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := above.TracerProvider().Tracer(scope).Start(ctx, name, otel.WithAttributes(pairs(attributes)...))
	return ctx, Span{span}
}

// Span is a part of a trace. The zero Span is none.
type Span struct{ span otel.Span }

// Set adds attributes: keys and values in turn.
func (s Span) Set(attributes ...string) {
	if s.span != nil {
		s.span.SetAttributes(pairs(attributes)...)
	}
}

// End ends the span, as failed with an error.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

func pairs(list []string) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		out = append(out, attribute.String(list[i], list[i+1]))
	}
	return out
}

// headerTraceparent is the W3C's, as its propagator spells it.
const headerTraceparent = "traceparent"

// Cause is ctx's cause with its place in the trace.
func Cause(ctx context.Context) state.Cause {
	c := state.CauseOf(ctx)
	c.Trace = ""
	if otel.SpanContextFromContext(ctx).IsValid() {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		c.Trace = carrier[headerTraceparent]
	}
	return c
}
