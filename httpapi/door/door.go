package door

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

// Records is where doors read.
type Records interface {
	// View shows everything that was acknowledged before the call. It is
	// Unavailable when no leader answers for 2 s.
	View(ctx context.Context) (*state.View, error)
	// StaleView shows what this node has applied so far.
	StaleView() *state.View
	// Ready is nil when a leader is known and this node's lease holds.
	Ready() error
	NodeName(id state.NodeID) string
	Self() state.NodeID
}

// Shared is what all doors of a node stand on.
type Shared struct {
	Records Records
	Keys    Keys
	Limits  Limits
	Metrics *Metrics
	Log     *slog.Logger
	Tracer  *trace.Tracer // nil begins no spans
	Now     func() time.Time
	// Drain is done when the node begins to drain: streams end.
	Drain context.Context
	// Streams bounds how many streams are open at once.
	Streams  *Streams
	Patience Patience
}

// Dialect is what differs between doors.
type Dialect struct {
	Name     string // a label of metrics and part of a limit's scope
	Requests int    // admitted in a Window, for each key or address
	Window   time.Duration
	// Refuse turns a failure into a status and a body.
	Refuse func(c *gin.Context, f *fault.Error) (status int, body any)
}

// Door guards the routes of one dialect.
type Door struct {
	Shared
	Dialect
	large chan struct{} // a place for each large body
}

// New makes a door.
func New(s Shared, d Dialect) *Door {
	s.Patience = s.Patience.OrDefault()
	s.Metrics.begin(d.Name)
	return &Door{Shared: s, Dialect: d, large: make(chan struct{}, maxLargeBodies)}
}

// Route is one route of a dialect. Path is written as gin writes it, without
// the /v1 before it.
type Route struct {
	Method string
	Path   string
	// Scopes lets in a key that has any of them. None and not Public lets in
	// every key.
	Scopes []string
	Access Access
	// Long says that the handler streams, and bounds by itself what it waits for.
	Long  bool
	Serve gin.HandlerFunc
}

// Access says who may use a route.
type Access int

const (
	ByKey   Access = iota // a valid key with one of the scopes
	ByAdmin               // an admin key
	Public                // everybody, limited by address
	Probe                 // everybody, never limited: load balancers ask often
)

// Mount adds routes under each prefix.
func (d *Door) Mount(e *gin.Engine, prefixes []string, routes []Route) {
	for _, prefix := range prefixes {
		for _, r := range routes {
			e.Handle(r.Method, prefix+r.Path, d.count(r.Path), d.follow(r), d.bound(r), d.guard(r), r.Serve)
		}
	}
}

// Handle makes a handler of one that may fail; a failure is the reply.
func (d *Door) Handle(handle func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handle(c); err != nil {
			d.Fail(c, err)
		}
	}
}

// bound gives a request that is not streamed an end.
func (d *Door) bound(r Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		if r.Long {
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), d.Patience.Request)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// guard admits a request or refuses it before its handler runs.
func (d *Door) guard(r Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		var err error
		switch r.Access {
		case Probe:
		case Public:
			err = d.take(c, d.addressScope(c))
		default:
			err = d.admit(c, r)
		}
		if err != nil {
			d.Fail(c, err)
		}
	}
}

// Fail refuses a request and ends its handlers.
func (d *Door) Fail(c *gin.Context, err error) {
	if c.Writer.Written() {
		d.Log.WarnContext(c.Request.Context(), "reply cut short", "route", c.FullPath(), "request", RequestID(c), "err", err)
		c.Abort()
		return
	}
	f := classify(c, err)
	if f.Kind == fault.Internal {
		d.Log.ErrorContext(c.Request.Context(), "request failed", "route", c.FullPath(), "request", RequestID(c), "err", err)
		f = fault.New(fault.Internal, "Internal error; the node's log has it under request %s", RequestID(c))
	}
	if f.Kind == fault.Payment {
		d.Metrics.unpaid(f.Code)
	}
	status, body := d.Refuse(c, f)
	if wait := retryAfter(f); wait > 0 {
		c.Header("Retry-After", seconds(wait))
	}
	c.AbortWithStatusJSON(status, body)
}

// Done answers with a status and a body.
func (d *Door) Done(c *gin.Context, status int, body any) { c.JSON(status, body) }

// NotFound answers a path that has no route.
func (d *Door) NotFound(c *gin.Context) {
	if err := d.take(c, d.addressScope(c)); err != nil {
		d.Fail(c, err)
		return
	}
	d.Fail(c, fault.New(fault.NotFound, "No route %s %s", c.Request.Method, clip(c.Request.URL.Path, 200)))
}

// NotAllowed answers a path that has routes, but not for this method.
func (d *Door) NotAllowed(c *gin.Context) {
	if err := d.take(c, d.addressScope(c)); err != nil {
		d.Fail(c, err)
		return
	}
	_, body := d.Refuse(c, fault.New(fault.Invalid, "%s does not take %s; it takes %s",
		clip(c.Request.URL.Path, 200), c.Request.Method, c.Writer.Header().Get("Allow")).WithCode(CodeMethod))
	c.AbortWithStatusJSON(http.StatusMethodNotAllowed, body)
}

// CodeMethod marks the refusal of a method that a path does not take.
const CodeMethod = "METHOD_NOT_ALLOWED"

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
