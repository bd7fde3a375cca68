package door

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// HeaderRequestID names a request in the reply and in the node's log. A client
// may choose it.
const HeaderRequestID = "X-Request-Id"

const requestKey = "bothy.request"

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
}

// RequestID is the request's id.
func RequestID(c *gin.Context) string { return c.GetString(requestKey) }

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
		"Range", "If-Range", "If-Match", "If-None-Match"}, ", ")
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
