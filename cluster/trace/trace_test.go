package trace

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bothy-computer/bothy/cluster/state"
)

func recorded(t *testing.T) (*Tracer, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	tracer := newTracer(Config{Ratio: 1, Node: "n1"}, sdk.WithSyncer(kept))
	t.Cleanup(func() {
		if err := tracer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tracer, kept
}

func TestSpansGoOnAcrossRecords(t *testing.T) {
	tracer, kept := recorded(t)
	ctx, request := tracer.Begin(state.WithCause(t.Context(), state.Cause{Request: "req_1"}), "", "POST /threads")
	ctx, command := Start(ctx, "command", "bothy.command", "start-run")
	cause := Cause(ctx)
	command.End(nil)
	request.End(errors.New("lost"))
	// What the records keep is all that the run's owner knows.
	ctx, run := tracer.Begin(t.Context(), cause.Trace, "run")
	_, step := Start(ctx, "step")
	step.Set("bothy.tool", "shell", "odd")
	step.End(nil)
	run.End(nil)

	parents, traces := map[string]string{}, map[string]bool{}
	ids := map[string]string{}
	spans := kept.GetSpans()
	for _, s := range spans {
		ids[s.SpanContext.SpanID().String()] = s.Name
		traces[s.SpanContext.TraceID().String()] = true
	}
	for _, s := range spans {
		parents[s.Name] = ids[s.Parent.SpanID().String()]
	}
	want := map[string]string{"POST /threads": "", "command": "POST /threads", "run": "command", "step": "run"}
	for name, parent := range want {
		if got, ok := parents[name]; !ok || got != parent {
			t.Errorf("%s is below %q, there %v; want %q", name, got, ok, parent)
		}
	}
	if len(traces) != 1 || len(spans) != len(want) {
		t.Errorf("%d traces, %d spans", len(traces), len(spans))
	}
	if cause.Request != "req_1" || len(cause.Trace) != 55 {
		t.Errorf("%+v", cause)
	}
}

func TestClientsDecideAndTheRatioDecidesForTheRest(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tracer := newTracer(Config{Ratio: 0}, sdk.WithSyncer(kept))
	const id = "0af7651916cd43dd8448eb211c80319c"
	for _, from := range []string{"", "nonsense", "00-" + id + "-b7ad6b7169203331-00", "00-" + id + "-b7ad6b7169203331-01"} {
		_, span := tracer.Begin(t.Context(), from, "x")
		span.End(nil)
	}
	if got := kept.GetSpans(); len(got) != 1 || got[0].SpanContext.TraceID().String() != id {
		t.Errorf("%d spans: %v", len(got), got)
	}
}

// Without a tracer nothing happens and nothing is made.
func TestOffCostsNothing(t *testing.T) {
	var tracer *Tracer
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		ctx, span := tracer.Begin(ctx, "", "request")
		_, below := Start(ctx, "command", "bothy.command", "x")
		below.Set("k", "v")
		below.End(nil)
		span.End(nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := tracer.Close(ctx); err != nil {
		t.Error(err)
	}
	if c := Cause(ctx); c != (state.Cause{}) || Encode(ctx) != nil {
		t.Errorf("%+v", c)
	}
}

func TestLinesNameTheRequest(t *testing.T) {
	var out strings.Builder
	log := Logger(slog.New(slog.NewTextHandler(&out, nil))).With("on", "n1").WithGroup("g")
	ctx := state.WithCause(t.Context(), state.Cause{Request: "req_1"})
	tracer, _ := recorded(t)
	traced, span := tracer.Begin(ctx, "", "x")
	defer span.End(nil)
	log.InfoContext(traced, "traced")
	log.InfoContext(ctx, "named", "request", "req_2")
	log.Info("nobody's")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "request=req_1") || !strings.Contains(lines[0], "trace=") {
		t.Error(lines[0])
	}
	if strings.Contains(lines[1], "req_1") || !strings.Contains(lines[1], "req_2") || strings.Contains(lines[2], "req_") {
		t.Error(lines[1:])
	}
}

func TestRequestsCarryTheirCause(t *testing.T) {
	got := make(chan state.Cause, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- state.CauseOf(Received(r).Context())
	}))
	defer server.Close()
	client := &http.Client{Transport: Transport{server.Client().Transport}}
	for _, sent := range []state.Cause{{}, {Request: "req_1", Account: "acct_a", User: "user_a", Key: "key_a"}} {
		req, err := http.NewRequestWithContext(state.WithCause(t.Context(), sent), "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if c := <-got; c != sent {
			t.Errorf("%+v arrived as %+v", sent, c)
		}
	}
	client.CloseIdleConnections()
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(state.WithCause(context.Background(), state.Cause{Request: "req_1", Trace: "x"})))
	f.Add([]byte{0xa1, 1, 0x61})
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := Decode(context.Background(), b)
		if again := Decode(context.Background(), Encode(ctx)); state.CauseOf(again).Request != state.CauseOf(ctx).Request {
			t.Errorf("%x", b)
		}
	})
}

// A request that says something at its end must not lose it.
func TestTrailersAreSent(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer.Get("Last")
	}))
	defer server.Close()
	trailer := http.Header{"Last": nil}
	body, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "first")
		trailer.Set("Last", "word")
		write.Close()
	}()
	ctx := state.WithCause(t.Context(), state.Cause{Request: "req_1"})
	if Encode(ctx) == nil {
		t.Fatal("the request has no cause, so nothing is tried")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = trailer
	resp, err := Transport{server.Client().Transport}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if last := <-got; last != "word" {
		t.Fatalf("the trailer is %q", last)
	}
}

func TestACollectorsURL(t *testing.T) {
	for at, want := range map[string]string{
		"http://c:4318": "http://c:4318/v1/traces", "http://c:4318/": "http://c:4318/v1/traces", "https://c/otlp/v1/traces": "https://c/otlp/v1/traces",
	} {
		if got := endpoint(at); got != want {
			t.Errorf("%s: %s", at, got)
		}
	}
}
