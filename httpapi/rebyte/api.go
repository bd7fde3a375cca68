package rebyte

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Request limits of this dialect, for each key or address.
const (
	DefaultRequests = 100_000
	Window          = 15 * time.Minute
)

// prefix is what each route is served under.
const prefix = "/v1"

// Computers makes, changes and removes machines.
type Computers interface {
	Create(context.Context, actors.Caller, state.Computer) (actors.Asked, error)
	Update(context.Context, actors.Caller, state.ComputerID, actors.Shown) (actors.Asked, error)
	Delete(context.Context, actors.Caller, state.ComputerID, state.Origin) (actors.Asked, error)
}

// Nouns are what the dialect asks.
type Nouns struct {
	Computers Computers
	Tasks     Tasks
	Webhooks  Webhooks
	Uploads   Uploads
	Files     Files
}

// Options is what the API stands on.
type Options struct {
	Nouns
	Shared   door.Shared
	Links    door.Links
	Requests int // in a Window; 0 is DefaultRequests
}

// API serves the dialect.
type API struct {
	*door.Door
	Nouns
	links door.Links
}

// New makes the API.
func New(o Options) *API {
	if o.Requests == 0 {
		o.Requests = DefaultRequests
	}
	return &API{Nouns: o.Nouns, links: o.Links, Door: door.New(o.Shared, door.Dialect{
		Name: "rebyte", Requests: o.Requests, Window: Window, Refuse: refuse})}
}

// Mount adds the routes to an engine.
func (a *API) Mount(e *gin.Engine) {
	a.Door.Mount(e, []string{prefix}, slices.Concat(a.computerRoutes(), a.taskRoutes(), a.fileRoutes(), a.artifactRoutes(), a.webhookRoutes()))
}

// codeOfKind is what the body's code says of a failure.
var codeOfKind = map[fault.Kind]string{
	fault.Invalid:      "validation_error",
	fault.Unauthorized: "invalid_api_key",
	fault.Forbidden:    "insufficient_scopes",
	fault.NotFound:     "not_found",
	fault.Conflict:     "conflict",
	fault.Moved:        "unavailable",
	fault.Payment:      "payment_required",
	fault.Exhausted:    "rate_limited",
	fault.TooLarge:     "validation_error",
	fault.Full:         "limit_exceeded",
	fault.Unavailable:  "unavailable",
	fault.Unsupported:  "validation_error",
	fault.Internal:     "internal_error",
}

// failure is the body of every reply that is no success.
type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Request string `json:"requestId"`
	} `json:"error"`
}

// refuse writes a failure as this dialect's clients read it.
func refuse(c *gin.Context, f *fault.Error) (int, any) {
	var body failure
	body.Error.Code, body.Error.Message, body.Error.Request = codeOfKind[f.Kind], f.Message, door.RequestID(c)
	status := door.Statuses[f.Kind]
	switch {
	case f.Kind == fault.Unauthorized && !door.ShowsKey(c):
		body.Error.Code = "missing_api_key"
	case f.Code == state.CodeLimit:
		body.Error.Code, status = "limit_exceeded", http.StatusBadRequest
	case f.Kind == fault.Unsupported:
		status = http.StatusBadRequest
	}
	return status, body
}

func invalid(field, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField(field)
}
