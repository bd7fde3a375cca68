package door

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

type open struct{ asked []string }

func (o *open) Take(_ context.Context, scope string, limit int, span time.Duration) (actors.Decision, error) {
	o.asked = append(o.asked, scope)
	return actors.Decision{Allowed: true, Limit: limit, Left: limit - 1, Resets: time.Now().Add(span)}, nil
}

// newDoor is a door with a limiter that admits all, and an engine behind it.
func newDoor(t *testing.T, log io.Writer) (*Door, *open, *gin.Engine) {
	gin.SetMode(gin.ReleaseMode)
	limits := &open{}
	d := New(Shared{Limits: limits, Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.NewTextHandler(log, nil)),
		Now: time.Now, Drain: t.Context(), Streams: NewStreams(1)},
		Dialect{Name: "test", Requests: 10, Window: time.Minute, Refuse: func(_ *gin.Context, f *fault.Error) (int, any) {
			return Statuses[f.Kind], gin.H{"message": f.Message}
		}})
	e := gin.New()
	e.Use(Identify, CrossOrigin, d.Fence)
	e.NoRoute(d.NotFound)
	return d, limits, e
}

func TestAPanicIsA500ThatTellsNothing(t *testing.T) {
	var log strings.Builder
	_, _, e := newDoor(t, &log)
	e.GET("/x", func(*gin.Context) { panic("secret detail") })
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	id := w.Header().Get(HeaderRequestID)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), id) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "secret detail") || !strings.Contains(log.String(), id) {
		t.Fatalf("the log lacks it: %s", log.String())
	}
}

func TestARequestKeepsItsClientsID(t *testing.T) {
	_, _, e := newDoor(t, io.Discard)
	for sent, kept := range map[string]bool{"my-id_1": true, "": false, "a b": false, strings.Repeat("x", 200): false, "x\r\ny": false} {
		req := httptest.NewRequest("GET", "/x", nil)
		req.Header.Set(HeaderRequestID, sent)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, req)
		if got := w.Header().Get(HeaderRequestID); (got == sent) != kept || got == "" {
			t.Errorf("%q became %q", sent, got)
		}
	}
}

func TestPagesOfOtherOriginsMayCall(t *testing.T) {
	_, _, e := newDoor(t, io.Discard)
	e.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	req := httptest.NewRequest("OPTIONS", "/x", nil)
	req.Header.Set("Origin", "https://app.example")
	req.Header.Set("Access-Control-Request-Method", "GET")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, req)
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
		t.Fatalf("%d %v", w.Code, h)
	}
	if h.Get("Access-Control-Allow-Credentials") != "" {
		t.Fatal("cookies are let in")
	}
}

func TestRequestsWithoutAKeyAreCountedByAddress(t *testing.T) {
	d, limits, _ := newDoor(t, io.Discard)
	for remote, scope := range map[string]string{
		"192.0.2.7:1234":            "test:addr:192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:80": "test:addr:2001:db8:1:2::",
		"[2001:db8:1:2:ffff::1]:80": "test:addr:2001:db8:1:2::",
		"[::ffff:192.0.2.7]:80":     "test:addr:192.0.2.7",
		"[fe80::1%eth0]:80":         "test:addr:fe80::",
		"@":                         "test:addr:unknown",
	} {
		limits.asked = nil
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest("GET", "/x", nil)
		c.Request.RemoteAddr = remote
		// A client cannot choose its window by a header.
		c.Request.Header.Set("X-Forwarded-For", "203.0.113.9")
		if err := d.take(c, d.addressScope(c)); err != nil || limits.asked[0] != scope {
			t.Errorf("%s is counted as %v (%v), want %s", remote, limits.asked, err, scope)
		}
	}
}

func TestWhatARequestDoesKnowsIt(t *testing.T) {
	var log strings.Builder
	d, _, e := newDoor(t, io.Discard)
	d.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	key := state.Key{ID: "key_a", Account: "acct_a", User: "user_a"}
	d.Keys = oneKey{key}
	got := make(chan state.Cause, 1)
	serve := func(c *gin.Context) { got <- state.CauseOf(c.Request.Context()) }
	d.Mount(e, []string{""}, []Route{{Method: "GET", Path: "/mine", Serve: serve}, {Method: "GET", Path: "/open", Access: Public, Serve: serve}})
	for path, want := range map[string]state.Cause{
		"/mine": {Request: "my-id", Account: "acct_a", User: "user_a", Key: "key_a"}, "/open": {Request: "my-id"},
	} {
		req := httptest.NewRequest("GET", path, nil)
		req.Header.Set(HeaderRequestID, "my-id")
		req.Header.Set("Authorization", "Bearer text")
		e.ServeHTTP(httptest.NewRecorder(), req)
		if cause := <-got; cause != want {
			t.Errorf("%s: %+v", path, cause)
		}
		if line := log.String(); !strings.Contains(line, "route="+path) || !strings.Contains(line, "request=my-id") || !strings.Contains(line, "status=200") {
			t.Errorf("the log says %q", line)
		}
	}
}

type oneKey struct{ key state.Key }

func (k oneKey) Authenticate(context.Context, string) (state.Key, error) { return k.key, nil }
