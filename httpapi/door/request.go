package door

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// HeaderRequestID names a request in the reply and in the node's log. A client
// may choose it.
const HeaderRequestID = "X-Request-Id"

const requestKey = "bothy.request"

// headerTraceparent is the W3C's: the trace that a client's request is part of.
const headerTraceparent = "Traceparent"

// Identify gives each request an id, the client's own when it is one.
func Identify(c *gin.Context) {
	id := c.GetHeader(HeaderRequestID)
	if !LooksLikeID(id) {
		var b [12]byte
		rand.Read(b[:]) // never fails: it would end the process
		id = "req_" + hex.EncodeToString(b[:])
	}
	c.Set(requestKey, id)
	c.Header(HeaderRequestID, id)
	because(c, state.Cause{Request: id})
}

// because has what is done with the request's context say that it led there.
func because(c *gin.Context, cause state.Cause) {
	c.Request = c.Request.WithContext(state.WithCause(c.Request.Context(), cause))
}

// RequestID is the request's id.
func RequestID(c *gin.Context) string { return c.GetString(requestKey) }

// follow begins the span of a request to a route, and has the log name each
// request that was answered.
func (d *Door) follow(r Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		begun := d.Now()
		var span trace.Span
		if d.Tracer != nil {
			ctx, s := d.Tracer.Begin(c.Request.Context(), c.GetHeader(headerTraceparent), c.Request.Method+" "+r.Path, "http.request.method", c.Request.Method,
				"http.route", r.Path, "bothy.dialect", d.Name, "bothy.request", RequestID(c))
			c.Request, span = c.Request.WithContext(ctx), s
		}
		ctx := c.Request.Context()
		c.Next()
		status := c.Writer.Status()
		span.Set("http.response.status_code", strconv.Itoa(status))
		span.End(failure(status))
		if d.Log.Enabled(ctx, slog.LevelDebug) {
			d.Log.DebugContext(ctx, "answered", "method", c.Request.Method, "route", r.Path, "status", status, "request", RequestID(c),
				"account", string(CallerOf(c).Account), "took", d.Now().Sub(begun))
		}
	}
}

// failure is the failure that a status tells of, which is the server's own.
func failure(status int) error {
	if status < http.StatusInternalServerError {
		return nil
	}
	return errors.New(http.StatusText(status))
}

// Fence keeps a handler's panic inside its request.
func (d *Door) Fence(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v) // net/http's own way to cut a connection
		}
		d.Log.ErrorContext(c.Request.Context(), "handler panicked", "route", c.FullPath(), "request", RequestID(c),
			"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // half a reply must not look like a whole one
		}
		d.Fail(c, fault.New(fault.Internal, "handler panicked"))
	}()
	c.Next()
}

// corsHeaders are what a page of another origin may send and read. Keys travel
// in headers that a page must set itself, never in cookies, so every origin
// may call.
var (
	corsSend = strings.Join([]string{"Authorization", "X-API-Key", "API_KEY", "API-Key", "Content-Type", "Idempotency-Key", "Last-Event-ID", HeaderRequestID,
		headerTraceparent, "Tracestate", "Range", "If-Range", "If-Match", "If-None-Match"}, ", ")
	corsRead = strings.Join([]string{HeaderOwner, HeaderStale, HeaderRequestID, "Retry-After",
		"ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}, ", ")
)

// CrossOrigin lets web pages of any origin call, and answers their preflights.
func CrossOrigin(c *gin.Context) {
	if c.GetHeader("Origin") == "" {
		return
	}
	c.Header("Access-Control-Allow-Origin", "*")
	c.Header("Access-Control-Expose-Headers", corsRead)
	if c.Request.Method != http.MethodOptions || c.GetHeader("Access-Control-Request-Method") == "" {
		return
	}
	c.Header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	c.Header("Access-Control-Allow-Headers", corsSend)
	c.Header("Access-Control-Max-Age", "7200")
	c.AbortWithStatus(http.StatusNoContent)
}
